"""The header of a calibrated light."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from astropy.io import fits

from toros.imaging.fits_io import BROKEN_CARD, quiet
from toros.imaging.headers import ExposureInfo
from toros.imaging.headers.angles import has_celestial_wcs
from toros.imaging.headers.cards import Cards, name_of
from toros.imaging.headers.layout import Layout
from toros.imaging.products import (
    NONE,
    add_history,
    ascii_text,
    fits_time,
    pipeline_version,
    set_card,
)

if TYPE_CHECKING:
    from toros.imaging.light_result import CalibratedResult

# Cards that describe the raw file's pixels, not these.
_OF_THE_RAW_FILE = (
    "BZERO", "BSCALE", "BLANK", "BLOCKED", "CHECKSUM", "DATASUM", "DATAMIN", "DATAMAX", "DATAMEAN",
    "CBLACK", "CWHITE", "CSTRETCH", "PEDESTAL", "XTENSION", "EXTNAME", "INHERIT", "PCOUNT",
    "GCOUNT", "BIASSEC", "TRIMSEC", "DATASEC", "DETSEC", "CCDSEC", "AMPSEC", "DETSIZE", "CCDSIZE",
    "AMPSIZE", "LTV1", "LTV2", "LTM1_1", "LTM2_2", "ATV1", "ATV2", "ATM1_1", "ATM2_2", "DTV1",
    "DTV2", "DTM1_1", "DTM2_2",
)  # fmt: skip
# And those of its amplifiers, where they are numbered.
_OF_AN_AMPLIFIER = re.compile(
    r"(BIASSEC|TRIMSEC|DATASEC|DETSEC|CCDSEC|AMPSEC|E?GAIN|GTGAIN|RDNOISE|GTRON)\d+"
)
# The WCS of a cube of one plane along its other axes.
_OF_MORE_AXES = re.compile(
    r"(CTYPE|CRVAL|CRPIX|CDELT|CUNIT|CROTA|CNAME)[3-9]|(CD|PC)([3-9]_\d|\d_[3-9])"
    r"|PC(00[3-9]00\d|00\d00[3-9])"
)
# Measured by some other program on other pixels: ours are there only where they are measured.
_MEASURED_ELSEWHERE = ("FWHM", "MAGZPT", "MAGLIM", "SKYLEVEL", "STATUS", "ZMAG")
# In raw counts; of these pixels the mask tells which are saturated.
_LEVELS = ("SATURATE", "SATLEVEL", "SATURATN", "SATURATI", "MAXLIN")
_SIP = re.compile(r"([AB])P?_(\d)_(\d)")
# Time scales that `toros.imaging.headers.times` converts, and the times that TIMESYS tells of.
_CONVERTED = ("TAI", "TT", "TDB")
_ON_THE_SCALE = (
    "MJD-OBS", "DATE-BEG", "MJD-BEG", "DATE-AVG", "MJD-AVG", "DATE-END", "MJD-END", "MJD", "JD",
    "TIME-OBS", "TIME-END",
)  # fmt: skip
_WCS_CARDS = (
    "WCSAXES", "CTYPE1", "CTYPE2", "CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2", "CDELT1", "CDELT2",
    "CROTA1", "CROTA2", "CUNIT1", "CUNIT2", "CD1_1", "CD1_2", "CD2_1", "CD2_2", "PC1_1", "PC1_2",
    "PC2_1", "PC2_2", "PC001001", "PC001002", "PC002001", "PC002002",
)  # fmt: skip


def light_header(
    raw: fits.Header,
    info: ExposureInfo,
    result: CalibratedResult,
    read_noise_adu: float | None,
    missing: Mapping[str, str],
) -> fits.Header:
    """Return the raw frame's header with what the calibration did to it (CONTRACT §6)."""
    header = _inherited(raw, result)
    move_wcs(header, info.layout)
    set_card(header, "IMAGETYP", (info.image_type or "light").upper(), "type of frame")
    set_card(header, "BUNIT", result.unit, "unit of the pixels")
    _noise_cards(header, info, result, read_noise_adu)
    if info.date_obs is not None:
        _to_utc(header)
        set_card(header, "DATE-OBS", fits_time(info.date_obs), "UTC, start of the exposure")
    set_card(header, "EXPTIME", info.exptime_s, "[s] exposure time")
    set_card(header, "FILTER", info.filter, "filter")
    if info.ccd_temp_c is not None:
        set_card(header, "CCD-TEMP", info.ccd_temp_c, "[degC] temperature of the CCD")
    set_card(header, "NCOMBINE", 1, "number of frames combined")
    _master_cards(header, result)
    measured_cards(header, result)
    set_card(header, "RAWNAME", result.source.name, "the raw frame")
    set_card(header, "PIPEVER", pipeline_version(), "software that made this")
    _say_what_is_missing(header, result, missing)
    if info.saturation_adu is None:
        add_history(header, ["The saturation is unknown: no pixel is marked for it."])
    add_history(header, result.notes)
    add_history(header, [doubt.message for doubt in result.doubts])
    return header


def measured_cards(header: fits.Header, result: CalibratedResult) -> None:
    """Set what is known only once the light is written, and before that keeps its place."""
    set_card(header, "SKYLEVEL", result.sky_level, f"[{result.unit}] median of the sky")
    set_card(header, "SKYNOISE", result.sky_noise, f"[{result.unit}] scatter of the sky per pixel")
    set_card(header, "FWHM", result.fwhm, f"[pixel] of the stars, median of {result.fwhm_stars}")
    if result.fwhm is None:
        # A card for a card: the header keeps its length.
        add_history(header, ["FWHM not measured: fewer than five stars stand alone in its sample."])
    set_card(header, "NSATUR", result.saturated, "saturated pixels")
    set_card(header, "NMASKED", result.masked, "masked pixels")
    set_card(header, "STATUS", *result.status)


def _to_utc(header: fits.Header) -> None:
    """Take out the other times of a header on another scale: DATE-OBS is brought to UTC."""
    scale = str(header.get("TIMESYS", "UTC")).strip().upper()
    if scale not in _CONVERTED:
        return
    for keyword in _ON_THE_SCALE:
        if keyword in header:
            add_history(header, [f"{keyword} of the raw header was {header[keyword]} ({scale})"])
            header.remove(keyword, remove_all=True)
    set_card(header, "TIMESYS", "UTC", "time scale")


def move_wcs(header: fits.Header, layout: Layout | None) -> None:
    """Bring the WCS of the first amplifier's image to the frame that it was put into.

    A pixel that was at x is at x' = ±(x - shift); the sky under it is the same.
    """
    if layout is None or "CRPIX1" not in header:
        return
    first = layout.amplifiers[0]
    for axis, (start, place, size, turned) in enumerate(
        (
            (first.data.x_start, first.place.x_start, first.data.shape[1], first.place.flip_x),
            (first.data.y_start, first.place.y_start, first.data.shape[0], first.place.flip_y),
        ),
        start=1,
    ):
        at = header.get(f"CRPIX{axis}")
        if not isinstance(at, int | float):
            continue
        offset = at - start
        header[f"CRPIX{axis}"] = place + (size + 1 - offset if turned else offset)
        if turned:
            _turn(header, axis)


def _turn(header: fits.Header, axis: int) -> None:
    """Change the sign of a pixel axis: its column of CD or PC, else its CDELT."""
    for matrix in ("CD", "PC"):
        names = [name for name in (f"{matrix}1_{axis}", f"{matrix}2_{axis}") if name in header]
        if names:
            break
    for name in names or [f"CDELT{axis}"]:
        if name in header:
            header[name] = -header[name]
    # The distortion is a polynomial of the pixels, in pixels along each axis: A along the first.
    for name, card in header.items():
        found = _SIP.fullmatch(name)
        if found is None or not isinstance(card, int | float):
            continue
        along = 1 if found[1] == "A" else 2
        if (int(found[1 + axis]) + (along == axis)) % 2:
            header[name] = -card


def _inherited(raw: fits.Header, result: CalibratedResult) -> fits.Header:
    header = _readable(raw)
    header.strip()
    numbered = [keyword for keyword in header if _OF_AN_AMPLIFIER.fullmatch(keyword)]
    if raw.get("NAXIS", 2) > 2:
        numbered += [keyword for keyword in header if _OF_MORE_AXES.fullmatch(keyword)]
        if "WCSAXES" in header:
            header["WCSAXES"] = 2
    for keyword in (*_OF_THE_RAW_FILE, *numbered):
        header.remove(keyword, ignore_missing=True, remove_all=True)
    for keyword in (*_MEASURED_ELSEWHERE, *_LEVELS):
        if keyword in header:
            add_history(header, [f"{keyword} of the raw header was {header[keyword]}"])
            header.remove(keyword, remove_all=True)
    if ("CTYPE1" in header or "CRVAL1" in header) and not has_celestial_wcs(Cards(header)):
        # The pixel coordinates of a capture program; readers stumble over them.
        for keyword in _WCS_CARDS:
            header.remove(keyword, ignore_missing=True, remove_all=True)
        add_history(header, ["The WCS of the raw header is no WCS of the sky: taken out."])
    return header


def _readable(raw: fits.Header) -> fits.Header:
    """Return the cards of `raw` that can be read: the others could not be written either."""
    header = fits.Header()
    with quiet():
        for card in raw.cards:
            try:
                card.verify("fix")
                header.append(fits.Card(card.keyword, card.value, card.comment), end=True)
            except BROKEN_CARD:
                add_history(header, [f"Taken out, unreadable: {name_of(card)}"])
    return header


def _noise_cards(
    header: fits.Header,
    info: ExposureInfo,
    result: CalibratedResult,
    read_noise_adu: float | None,
) -> None:
    set_card(header, "GAINSET", info.gain_setting, "gain setting of the camera")
    set_card(header, "GAIN", result.gain_e_adu, "[e-/ADU] gain (electrons/ADU) that was applied")
    if result.read_noise_e is not None:
        set_card(header, "RDNOISE", result.read_noise_e, "[electron] read noise")
    else:
        set_card(header, "RDNOISE", read_noise_adu, "[adu] read noise")


def _master_cards(header: fits.Header, result: CalibratedResult) -> None:
    for keyword, kind, master in (
        ("BIASCOR", "bias", result.bias),
        ("DARKCOR", "dark", result.dark),
        ("FLATCOR", "flat", result.flat),
    ):
        set_card(header, keyword, _name(master), f"master {kind}")
    set_card(header, "BPMASK", result.bad_pixels and result.bad_pixels.name, "bad-pixel mask")
    set_card(header, "FRINGCOR", result.fringe and result.fringe.name, "fringe frame")
    set_card(header, "FRINGAMP", result.fringe_amplitude, "how much of it was subtracted")
    scale = result.dark_scale if result.dark is not None else None
    set_card(header, "DARKSCAL", scale, "factor on the master dark")


def _name(master: Path | None) -> str:
    return master.name if master is not None else NONE


def _say_what_is_missing(
    header: fits.Header, result: CalibratedResult, missing: Mapping[str, str]
) -> None:
    for kind in ("bias", "dark", "flat"):
        if getattr(result, kind) is None:
            why = missing.get(kind, "none was given")
            sentence = ascii_text(f"No master {kind}: {why}")
            add_history(header, [sentence if sentence.endswith(".") else f"{sentence}."])
