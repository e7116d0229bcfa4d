"""Raw FITS files, read back by astropy."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import AltAz, Angle, SkyCoord
from astropy.io import fits
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st

from toros.sky.site import Site
from toros.telescope.air import Air
from toros.telescope.rawfits import Instrument, RawFrame, file_name, sexagesimal, write_raw

MACON = Site("Cordón Macón", -24.6226, -67.3218, 4650.0)
NIGHT = date(2017, 8, 17)
INSTRUMENT = Instrument(
    observatory="Cordón Macón",
    telescope="TOROS",
    camera="a camera whose name is rather longer than most",
    gain_e_adu=1.5,
    read_noise_e=6.0,
    pixel_size_um=9.0,
    focal_length_mm=1160.0,
    set_point_c=-20.0,
    read_out_mode="Normal",
)


def light() -> RawFrame:
    rng = np.random.default_rng(3)
    return RawFrame(
        pixels=rng.integers(0, 65536, (24, 32), dtype=np.uint16),
        image_type="light",
        start=datetime(2017, 8, 17, 23, 20, 1, 5678, tzinfo=UTC),
        exptime_s=60.0,
        binning=2,
        filter="r",
        ccd_temp_c=-19.9,
        object="NGC 4993",
        ra_deg=197.4491,
        dec_deg=-23.3841,
        target_ra_deg=197.449,
        target_dec_deg=-23.384,
        alert="GW170817",
        order="3f0e8a2c9d614f1b8d2e7c5a9b1f4e60",
    )


def test_pixels_and_checksums_survive(tmp_path: Path) -> None:
    frame = light()
    path = write_raw(tmp_path, NIGHT, frame, INSTRUMENT, MACON)
    assert path.parent == tmp_path / "20170817"
    with fits.open(path, checksum=True) as hdus:  # a wrong checksum is a warning, thus an error
        assert np.array_equal(hdus[0].data, frame.pixels)
        assert hdus[0].data.dtype == np.uint16
        assert {"CHECKSUM", "DATASUM"} <= set(hdus[0].header)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_the_header_says_what_is_known(tmp_path: Path) -> None:
    header = fits.getheader(write_raw(tmp_path, NIGHT, light(), INSTRUMENT, MACON))
    expected = {
        "IMAGETYP": "light",
        "OBJECT": "NGC 4993",
        "EXPTIME": 60.0,
        "DATE-OBS": "2017-08-17T23:20:01.005",
        "FILTER": "r",
        "GAIN": 1.5,
        "RDNOISE": 6.0,
        "CCD-TEMP": -19.9,
        "SET-TEMP": -20.0,
        "XBINNING": 2,
        "YBINNING": 2,
        "OBJCTRA": "13 09 47.760",
        "OBJCTDEC": "-23 23 02.40",
        "SITELAT": -24.6226,
        "SITELONG": -67.3218,
        "SITEELEV": 4650.0,
        "TELESCOP": "TOROS",
        "READMODE": "Normal",
        "OBSERVAT": "Cordon Macon",
        "ALERT": "GW170817",
        "ORDERID": "3f0e8a2c9d614f1b8d2e7c5a9b1f4e60",
        "FOCALLEN": 1160.0,
    }
    assert {key: header[key] for key in expected} == expected
    assert header["PIXSCALE"] == pytest.approx(3.2007, abs=1e-3)
    assert header["MJD-OBS"] == pytest.approx(Time(light().start).mjd, abs=1e-8)
    assert "CTYPE1" not in header


def test_altitude_and_airmass_are_those_of_mid_exposure(tmp_path: Path) -> None:
    header = fits.getheader(write_raw(tmp_path, NIGHT, light(), INSTRUMENT, MACON))
    middle = Time(light().start) + 30 * u.s
    place = SkyCoord(197.4491 * u.deg, -23.3841 * u.deg)
    seen = place.transform_to(AltAz(obstime=middle, location=MACON.location))
    assert header["ALT"] == pytest.approx(seen.alt.deg, abs=0.001)
    assert header["AZ"] == pytest.approx(seen.az.deg, abs=0.001)
    assert header["AIRMASS"] == pytest.approx(float(seen.secz), rel=0.002)


def test_what_is_unknown_is_left_out(tmp_path: Path) -> None:
    frame = RawFrame(
        pixels=np.zeros((8, 8), np.uint16),
        image_type="bias",
        start=datetime(2017, 8, 17, 21, 50, tzinfo=UTC),
        exptime_s=0.0,
    )
    bare = Instrument(observatory="x", telescope="y", camera="z")
    header = fits.getheader(write_raw(tmp_path, NIGHT, frame, bare, MACON))
    assert not {"RA", "GAIN", "FILTER", "PIXSCALE", "CCD-TEMP", "OBJECT"} & set(header)


def test_names_are_unique_and_plain(tmp_path: Path) -> None:
    frame = replace(light(), object="NGC 4993/../é; rm", filter="r'")
    assert file_name(frame) == "20170817T232001005_light_NGC4993pprm_r.fits"
    first = write_raw(tmp_path, NIGHT, frame, INSTRUMENT, MACON)
    second = write_raw(tmp_path, NIGHT, frame, INSTRUMENT, MACON)
    assert first != second
    assert first.exists()
    assert second.exists()


@given(st.floats(0, 24, exclude_max=True))
def test_hours_are_written_without_a_sixtieth_second(hours: float) -> None:
    text = sexagesimal(hours)
    assert "60" not in text.split()[2][:2]
    back = Angle(text, unit=u.hourangle).hour
    assert min(abs(back - hours), 24 - abs(back - hours)) < 1e-6


@given(st.floats(-90, 90))
def test_degrees_keep_their_sign(degrees: float) -> None:
    text = sexagesimal(degrees, signed=True)
    assert Angle(text, unit=u.deg).deg == pytest.approx(degrees, abs=2e-6)
    assert text[0] == ("-" if degrees < 0 else "+")


@given(st.text(max_size=120))
def test_any_object_name_makes_a_valid_header(name: str) -> None:
    from toros.telescope.rawfits import _fill

    header = fits.Header()
    _fill(header, replace(light(), object=name), INSTRUMENT, MACON)
    assert fits.Header.fromstring(header.tostring())["IMAGETYP"] == "light"


def test_the_weather_stands_in_the_header_where_it_was_measured(tmp_path: Path) -> None:
    measured = {"temperature_c": -4.5, "wind_speed_m_s": 7.25, "star_fwhm_arcsec": float("nan")}
    frame = replace(light(), weather=measured, focus_temperature_c=-3.0)
    header = fits.getheader(write_raw(tmp_path, NIGHT, frame, INSTRUMENT, MACON))
    assert (header["AMBTEMP"], header["WINDSPD"], header["FOCTEMP"]) == (-4.5, 7.25, -3.0)
    assert "SEEING" not in header  # not a number: not measured
    assert "HUMIDITY" not in header


def test_an_old_measurement_of_the_weather_says_nothing() -> None:
    air = Air(1000.0, {"temperature_c": -4.5})
    assert air.at(1200.0) == {"temperature_c": -4.5}
    assert air.at(1400.0) == {}
