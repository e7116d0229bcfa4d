"""Raw FITS files: the frame as it was read, and a header that says all that is known of it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from toros import __version__
from toros.common.atomic import atomic_path
from toros.common.clock import iso
from toros.sky.site import Site
from toros.sky.visibility import airmass, altaz

if TYPE_CHECKING:
    from astropy.io.fits import Header

Value = str | int | float | bool
Card = tuple[str, Value | None, str]
# FITS 4.0, §4.2.1: printable ASCII; a card holds 68 characters of text.
TEXT_LENGTH = 68
ARCSEC_PER_RADIAN = 206264.806247
MJD_UNIX_EPOCH = 40587.0
DAY_S = 86400.0
# What a weather station measures, by the keywords that are usual for it.
WEATHER_CARDS = {
    "temperature_c": ("AMBTEMP", "[Celsius] of the air"),
    "humidity_percent": ("HUMIDITY", "[%] relative humidity"),
    "dew_point_c": ("DEWPOINT", "[Celsius] dew point"),
    "pressure_hpa": ("PRESSURE", "[hPa] of the air"),
    "wind_speed_m_s": ("WINDSPD", "[m/s] wind"),
    "wind_gust_m_s": ("WINDGUST", "[m/s] gusts"),
    "wind_direction_deg": ("WINDDIR", "[deg] where the wind comes from"),
    "cloud_cover_percent": ("CLOUDCVR", "[%] of the sky under clouds"),
    "sky_temperature_c": ("SKYTEMP", "[Celsius] of the sky in the infrared"),
    "sky_quality_mag_arcsec2": ("SKYQUAL", "[mag/arcsec2] brightness of the sky"),
    "star_fwhm_arcsec": ("SEEING", "[arcsec] FWHM by the seeing monitor"),
}


@dataclass(frozen=True, kw_only=True)
class Instrument:
    """What does not change from frame to frame; None where unknown."""

    observatory: str
    telescope: str
    camera: str
    gain_e_adu: float | None = None
    read_noise_e: float | None = None
    pixel_size_um: float | None = None
    focal_length_mm: float | None = None
    aperture_mm: float | None = None
    read_out_mode: str | None = None
    gain_setting: int | None = None
    set_point_c: float | None = None


@dataclass(frozen=True, kw_only=True)
class RawFrame:
    """One frame and its circumstances.

    Parameters
    ----------
    pixels : ndarray of uint16, shape (y, x)
        Counts as the camera gave them.
    image_type : str
        ``bias``, ``dark``, ``flat`` or ``light``.
    start : datetime
        When the shutter opened.
    ra_deg, dec_deg : float or None
        Where the telescope pointed, ICRS; None with the dome closed.
    target_ra_deg, target_dec_deg : float or None
        What was asked for, ICRS.
    weather : mapping of str to float
        What a weather station measured, by `toros.alpaca.conditions.WEATHER`'s names.
    """

    pixels: NDArray[np.uint16]
    image_type: str
    start: datetime
    exptime_s: float
    binning: int = 1
    filter: str | None = None
    ccd_temp_c: float | None = None
    object: str | None = None
    ra_deg: float | None = None
    dec_deg: float | None = None
    target_ra_deg: float | None = None
    target_dec_deg: float | None = None
    side_of_pier: str | None = None
    focus_position: int | None = None
    focus_temperature_c: float | None = None
    weather: Mapping[str, float] = field(default_factory=dict)
    alert: str | None = None
    order: str | None = None
    observation_id: int | None = None
    fault: str = ""


def file_name(frame: RawFrame) -> str:
    """Return the frame's file name: its start in UTC to the millisecond, then what it is."""
    moment = f"{frame.start:%Y%m%dT%H%M%S}{frame.start.microsecond // 1000:03d}"
    named = [frame.object, frame.filter] if frame.image_type == "light" else [frame.filter]
    if frame.image_type in ("bias", "dark"):
        named = [f"{frame.exptime_s:g}s"] if frame.image_type == "dark" else []
    parts = [moment, frame.image_type, *(_plain(part) for part in named if part)]
    return "_".join(part for part in parts if part) + ".fits"


def write_raw(
    folder: Path, night: date, frame: RawFrame, instrument: Instrument, site: Site
) -> Path:
    """Write the frame into the night's folder, whole or not at all, and return its path.

    Parameters
    ----------
    folder : pathlib.Path
        The root of raw files; the night's folder ``YYYYMMDD`` is made in it.
    night : datetime.date
        The night of the local noon before.
    """
    from astropy.io import fits

    target = _free(folder / f"{night:%Y%m%d}" / file_name(frame))
    hdu = fits.PrimaryHDU(frame.pixels, uint=True)
    _fill(hdu.header, frame, instrument, site)
    hdu.add_checksum()
    with atomic_path(target) as temporary:
        hdu.writeto(temporary, overwrite=True, output_verify="exception")
    return target


def _free(target: Path) -> Path:
    """Return `target`, or where two frames began in one millisecond, the next free name."""
    number, free = 1, target
    while free.exists():
        free = target.with_stem(f"{target.stem}_{number}")
        number += 1
    return free


def _fill(header: Header, frame: RawFrame, instrument: Instrument, site: Site) -> None:
    cards = [
        *_frame_cards(frame),
        *_instrument_cards(frame, instrument),
        *_site_cards(instrument, site),
        *_pointing_cards(frame, site),
        *_weather_cards(frame),
        ("ALERT", frame.alert, "gravitational-wave event"),
        ("ORDERID", frame.order, "work order that asked for the frame"),
        ("OBSERVID", frame.observation_id, "entry of the telescope's queue"),
        ("FAULT", frame.fault or None, "why the frame counts for nothing"),
        ("CREATOR", f"TOROS {__version__}", "program that wrote the file"),
    ]
    for key, value, comment in cards:
        if value is not None:
            content = _text(value) if isinstance(value, str) else value
            header[key] = (content, _fitting(content, comment))


def _frame_cards(frame: RawFrame) -> Iterator[Card]:
    middle = frame.start + timedelta(seconds=frame.exptime_s / 2)
    end = frame.start + timedelta(seconds=frame.exptime_s)
    yield "IMAGETYP", frame.image_type, "bias, dark, flat or light"
    yield "OBJECT", frame.object, "target"
    yield "EXPTIME", float(frame.exptime_s), "[s] exposure time"
    yield "TIMESYS", "UTC", "time scale"
    yield "DATE-OBS", iso(frame.start).rstrip("Z"), "start of the exposure, UTC"
    yield "DATE-AVG", iso(middle).rstrip("Z"), "middle of the exposure, UTC"
    yield "DATE-END", iso(end).rstrip("Z"), "end of the exposure, UTC"
    yield "MJD-OBS", _mjd(frame.start), "[d] start of the exposure, UTC"
    yield "MJD-AVG", _mjd(middle), "[d] middle of the exposure, UTC"
    yield "FILTER", frame.filter, "filter"
    yield "CCD-TEMP", frame.ccd_temp_c, "[Celsius] of the detector"
    yield "XBINNING", frame.binning, "pixels binned along x"
    yield "YBINNING", frame.binning, "pixels binned along y"
    yield "BUNIT", "adu", "unit of the pixels"


def _instrument_cards(frame: RawFrame, instrument: Instrument) -> Iterator[Card]:
    size = instrument.pixel_size_um
    binned = size * frame.binning if size else None
    focal = instrument.focal_length_mm
    scale = ARCSEC_PER_RADIAN * binned * 1e-3 / focal if binned and focal else None
    yield "TELESCOP", instrument.telescope, "telescope"
    yield "INSTRUME", instrument.camera, "camera"
    yield "GAIN", instrument.gain_e_adu, "[electron/adu]"
    yield "RDNOISE", instrument.read_noise_e, "[electron] read noise"
    yield "READMODE", instrument.read_out_mode, "read-out mode"
    yield "GAINSET", instrument.gain_setting, "gain setting of the camera"
    yield "SET-TEMP", instrument.set_point_c, "[Celsius] set point of the cooler"
    yield "XPIXSZ", binned, "[um] pixel with its binning, along x"
    yield "YPIXSZ", binned, "[um] pixel with its binning, along y"
    yield "FOCALLEN", focal, "[mm] focal length"
    yield "APTDIA", instrument.aperture_mm, "[mm] aperture"
    yield "PIXSCALE", round(scale, 6) if scale else None, "[arcsec] per pixel"
    yield "FOCUSPOS", frame.focus_position, "position of the focuser"
    yield "FOCTEMP", frame.focus_temperature_c, "[Celsius] of the focuser"


def _site_cards(instrument: Instrument, site: Site) -> Iterator[Card]:
    yield "OBSERVAT", instrument.observatory, "observatory"
    yield "SITELAT", site.latitude_deg, "[deg] latitude, north positive"
    yield "SITELONG", site.longitude_deg, "[deg] longitude, east positive"
    yield "SITEELEV", site.elevation_m, "[m] elevation"


def _weather_cards(frame: RawFrame) -> Iterator[Card]:
    for name, (key, comment) in WEATHER_CARDS.items():
        value = frame.weather.get(name)
        yield key, None if value is None or not np.isfinite(value) else float(value), comment


def _pointing_cards(frame: RawFrame, site: Site) -> Iterator[Card]:
    """Yield where the telescope pointed at the middle of the exposure."""
    if frame.ra_deg is None or frame.dec_deg is None:
        return
    middle = frame.start.timestamp() + frame.exptime_s / 2
    altitude, azimuth = altaz(site, np.array([middle]), [frame.ra_deg], [frame.dec_deg])
    mass = float(airmass(altitude)[0, 0])
    yield "RADESYS", "ICRS", "frame of RA and DEC"
    yield "RA", frame.ra_deg, "[deg] of the telescope, ICRS"
    yield "DEC", frame.dec_deg, "[deg] of the telescope, ICRS"
    if frame.target_ra_deg is not None and frame.target_dec_deg is not None:
        yield "OBJCTRA", sexagesimal(frame.target_ra_deg / 15.0), "[h m s] of the target, ICRS"
        dec = sexagesimal(frame.target_dec_deg, signed=True)
        yield "OBJCTDEC", dec, "[d m s] of the target, ICRS"
    yield "ALT", round(float(altitude[0, 0]), 5), "[deg] altitude at mid-exposure"
    yield "AZ", round(float(azimuth[0, 0]), 5), "[deg] azimuth at mid-exposure, north to east"
    yield "AIRMASS", round(mass, 5) if np.isfinite(mass) else None, "at mid-exposure"
    yield "PIERSIDE", frame.side_of_pier, "side of the pier"


def sexagesimal(value: float, *, signed: bool = False) -> str:
    """Return hours or degrees as ``HH MM SS.sss`` or ``±DD MM SS.ss``, as OBJCTRA has it."""
    # Rounded as a whole number of the last digit, so that no 60.00 appears.
    digits = 2 if signed else 3
    scale = 10**digits
    total = round(abs(value) * 3600 * scale)
    if not signed:
        total %= 24 * 3600 * scale
    minutes, last = divmod(total, 60 * scale)
    whole, minutes = divmod(minutes, 60)
    sign = ("-" if value < 0 else "+") if signed else ""
    seconds = f"{last // scale:02d}.{last % scale:0{digits}d}"
    return f"{sign}{whole:02d} {minutes:02d} {seconds}"


def _mjd(moment: datetime) -> float:
    return round(MJD_UNIX_EPOCH + moment.timestamp() / DAY_S, 9)


def _text(value: str) -> str:
    """Return printable ASCII that fits a card."""
    unaccented = unicodedata.normalize("NFKD", value)
    ascii_only = "".join(each for each in unaccented if not unicodedata.combining(each))
    return ascii_only.encode("ascii", "replace").decode().translate(_CONTROL)[:TEXT_LENGTH]


def _fitting(value: Value, comment: str) -> str:
    """Return as much of a comment as the 80 columns of its card leave room for."""
    used = len(value.replace("'", "''")) + 2 if isinstance(value, str) else 20
    return comment[: max(80 - len("KEYWORD = ") - max(used, 20) - len(" / "), 0)]


_CONTROL = dict.fromkeys([*range(32), 127], " ")


def _plain(text: str) -> str:
    """Return `text` as part of a file name."""
    return re.sub(r"[^A-Za-z0-9+-]+", "", text.replace(".", "p"))[:40]
