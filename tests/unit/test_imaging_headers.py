"""Headers: each dialect's cards, and whatever else a header may hold."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from toros.imaging.headers import ExposureInfo, describe_header, inspect_json, read_exposure
from toros.imaging.headers.foreign import plain
from toros.imaging.headers.image_type import type_of_word


def described(cards: dict[str, Any], name: str = "frame.fits") -> ExposureInfo:
    header = fits.Header()
    header.update(cards)
    return describe_header(Path("/night") / name, header)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Bias Frame", "bias"),
        ("bias", "bias"),
        ("ZERO", "bias"),
        ("Dark Frame         ", "dark"),
        ("DARK", "dark"),
        ("Flat Field", "flat"),
        ("flat", "flat"),
        ("SKYFLAT", "flat"),
        ("Twilight Flat", "flat"),
        ("Light Frame", "light"),
        ("LIGHT", "light"),
        ("science ", "light"),
        ("EXPOSE", "light"),
        ("STANDARD", "light"),
        ("object", "light"),
        ("Master Dark", "dark"),
        ("ARC", "arc"),
        ("elephant", None),
        ("dark flat", "dark"),
        ("", None),
    ],
)
def test_type_words(text: str, kind: str | None) -> None:
    assert type_of_word(text) == kind


@pytest.mark.parametrize(
    ("cards", "name", "kind", "decided_by"),
    [
        ({"IMAGETYP": "Bias Frame"}, "x.fits", "bias", "IMAGETYP"),
        ({"OBSTYPE": "EXPOSE"}, "x.fits", "light", "OBSTYPE"),
        ({"FRAME": "Light"}, "x.fits", "light", "FRAME"),
        ({"HIERARCH CAHA DET EXP TYPE": "flat"}, "x.fits", "flat", "CAHA DET EXP TYPE"),
        ({"IMAGETYP": "Dark Frame", "EXPTIME": 1e-32}, "x.fits", "bias", "IMAGETYP + EXPTIME"),
        ({"IMAGETYP": "Light Frame", "FIELD": "FlatDither03"}, "x.fits", "flat", "FIELD"),
        ({"IMAGETYP": "BIAS"}, "flattest.fit", "bias", "IMAGETYP"),
        ({"OBJECT": "[bias]"}, "x.fits", "bias", "OBJECT"),
        ({"EXPTIME": 30.0}, "lab.0001.DARK.FIT", "dark", "file name"),
        ({"EXPTIME": 3.0}, "skyflat-003.fits", "flat", "file name"),
        (
            {"EXPTIME": 60.0, "OBJECT": "HATP-32", "RA": 31.3, "DEC": 46.8},
            "HATP.FITS",
            "light",
            "OBJECT + RA",
        ),
        ({"EXPTIME": 60.0}, "x.fits", None, None),
        ({}, "darkness.fits", None, None),
    ],
)
def test_image_type(
    cards: dict[str, Any], name: str, kind: str | None, decided_by: str | None
) -> None:
    info = described(cards, name)
    assert info.image_type == kind
    assert info.decided_by.get("image_type") == decided_by


def test_a_type_that_is_not_from_a_type_card_is_noted() -> None:
    assert any("file name" in note for note in described({"EXPTIME": 1.0}, "dark_1.fit").notes)
    assert any("suggests a flat" in n for n in described({"IMAGETYP": "BIAS"}, "flat.fit").notes)
    assert described({"IMAGETYP": "BIAS"}, "bias_1.fit").notes == ()


@pytest.mark.parametrize(
    ("cards", "expected", "decided_by"),
    [
        ({"DATE-OBS": "2024-01-30T00:51:38.050"}, (2024, 1, 30, 0, 51, 38, 50000), "DATE-OBS"),
        ({"DATE-OBS": "2020-05-30T00:22:49.0968820"}, (2020, 5, 30, 0, 22, 49, 96882), "DATE-OBS"),
        (
            {"DATE-OBS": "2017-12-19T18:33:43.317-0700"},
            (2017, 12, 20, 1, 33, 43, 317000),
            "DATE-OBS",
        ),
        ({"DATE-OBS": "2017-12-19T18:33:43+02:30"}, (2017, 12, 19, 16, 3, 43), "DATE-OBS"),
        ({"DATE-OBS": "2017-12-19T18:33:43Z"}, (2017, 12, 19, 18, 33, 43), "DATE-OBS"),
        (
            {"DATE-OBS": "2018-08-10", "TIME-OBS": "23:34:02.633"},
            (2018, 8, 10, 23, 34, 2, 633000),
            "DATE-OBS + TIME-OBS",
        ),
        ({"DATE-OBS": "2018-08-10", "UT": "23:34:02"}, (2018, 8, 10, 23, 34, 2), "DATE-OBS + UT"),
        ({"DATE-OBS": "23/08/18", "UT": "09:00:21"}, (2018, 8, 23, 9, 0, 21), "DATE-OBS + UT"),
        ({"DATE-OBS": "23/08/98", "UT": "09:00:21"}, (1998, 8, 23, 9, 0, 21), "DATE-OBS + UT"),
        ({"MJD-OBS": 59301.5}, (2021, 3, 28, 12, 0, 0), "MJD-OBS"),
        ({"JD": 2459302.0}, (2021, 3, 28, 12, 0, 0), "JD"),
        ({"DATE-OBS": "2016-12-31T23:59:60.5"}, (2017, 1, 1, 0, 0, 0, 500000), "DATE-OBS"),
        ({"DATE-OBS": "2021-01-01T00:01:09.184", "TIMESYS": "TT"}, (2021, 1, 1), "DATE-OBS"),
    ],
)
def test_date_obs(cards: dict[str, Any], expected: tuple[int, ...], decided_by: str) -> None:
    info = described(cards)
    assert info.date_obs is not None
    moment = datetime(*expected, tzinfo=UTC)  # type: ignore[misc, arg-type]
    assert abs((info.date_obs - moment).total_seconds()) < 2e-6
    assert info.date_obs.utcoffset() == UTC.utcoffset(None)
    assert info.decided_by["date_obs"] == decided_by


@pytest.mark.parametrize(
    "value",
    [
        "2024-13-40T00:00:00",
        "2024-01-30T25:00:00",
        "2024-01-30",
        "yesterday",
        "30/02/19",
        "0001-01-01T00:00:00",  # of programs on .NET that were told none
        "9999-12-31T23:59:59",
    ],
)
def test_a_date_that_cannot_be_is_null_and_noted(value: str) -> None:
    info = described({"DATE-OBS": value})
    assert info.date_obs is None
    assert any("DATE-OBS" in note for note in info.notes)


def test_local_time_without_an_offset_is_not_taken_for_utc() -> None:
    header = fits.Header()
    header["DATE-OBS"] = ("2020-01-01T20:00:00", "local time")
    assert describe_header(Path("x"), header).date_obs is None
    header["UT-OBS"] = "2020-01-02T00:00:00"
    info = describe_header(Path("x"), header)
    assert info.date_obs == datetime(2020, 1, 2, tzinfo=UTC)
    assert info.decided_by["date_obs"] == "UT-OBS"


@pytest.mark.parametrize(
    ("cards", "ra", "dec"),
    [
        ({"RA": 31.312099, "DEC": 46.769087}, 31.312099, 46.769087),
        ({"OBJCTRA": "01 35 00", "OBJCTDEC": "+30 44 25"}, 23.75, 30.740277777777777),
        ({"OBJCTRA": "06 52 05", "OBJCTDEC": "-00 18 18"}, 103.02083333333333, -0.305),
        ({"RA": "18:1:54.22", "DEC": "62:54:0.65"}, 270.47591666666665, 62.900180555555556),
        ({"RA": "20h57m04.4s", "DEC": "+31d39m39.6s"}, 314.26833333333335, 31.661),
        ({"RA-MNT": 301.56439, "DEC-MNT": 44.456875}, 301.56439, 44.456875),
        ({"RA": "283.395", "DEC": "33.034"}, 283.395, 33.034),
        ({"OBJCTRA": "00 00 00", "OBJCTDEC": "+00 00 00"}, None, None),
        ({"RA": "25 00 00", "DEC": "+30 00 00"}, None, None),
        ({"RA": 400.0, "DEC": 0.5}, None, None),
        ({"RA": 10.0, "DEC": 95.0}, None, None),
        ({"RA": "", "DEC": ""}, None, None),
        ({"CTYPE1": "PIXEL", "CTYPE2": "PIXEL", "CRVAL1": 512.0, "CRVAL2": 512.0}, None, None),
        ({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 38.5, "CRVAL2": 89.0}, 38.5, 89.0),
    ],
)
def test_pointing(cards: dict[str, Any], ra: float | None, dec: float | None) -> None:
    info = described(cards)
    if ra is None:
        assert (info.ra_deg, info.dec_deg) == (None, None)
    else:
        assert info.ra_deg == pytest.approx(ra, abs=1e-9)
        assert info.dec_deg == pytest.approx(dec, abs=1e-9)


def test_right_ascension_in_decimal_hours_by_its_comment() -> None:
    header = fits.Header()
    header["RA"], header["DEC"] = (2.0, "[hours] right ascension"), 10.0
    assert describe_header(Path("x"), header).ra_deg == pytest.approx(30.0)


def test_coordinates_of_another_equinox_are_precessed() -> None:
    # Meeus (1998), Astronomical Algorithms, example 21.b without proper motion: θ Persei from
    # J2000 (41.054063°, +49.227750°) to 2028 Nov 13.19 (41.547214°, +49.348483° with it).
    info = described({"RA": 41.54, "DEC": 49.3487, "EQUINOX": 2028.867})
    assert info.ra_deg == pytest.approx(41.0476, abs=2e-3)
    assert info.dec_deg == pytest.approx(49.2280, abs=2e-3)
    assert any("precessed" in note for note in info.notes)


@pytest.mark.parametrize(
    ("cards", "celsius"),
    [
        ({"CCD-TEMP": -4.8}, -4.8),
        ({"CAMTEMP": 271.0}, -2.15),
        ({"CCDATEMP": 213.671}, -59.479),
        ({"CAMTEMP": "44 C"}, 44.0),
        ({"CAMTEMP": "271.5 K"}, -1.65),
        ({"CCDTEMP": -99.0}, -99.0),
        # The number before a decimal comma is another number.
        ({"CCD-TEMP": "-10,5"}, None),
        ({"CCD-TEMP": "-10, as set"}, -10.0),
        ({"CCD-TEMP": -999.0}, None),
        ({"SET-TEMP": -15.0}, None),
    ],
)
def test_temperature(cards: dict[str, Any], celsius: float | None) -> None:
    info = described(cards)
    assert info.ccd_temp_c == (None if celsius is None else pytest.approx(celsius))


def test_a_set_point_is_no_measured_temperature() -> None:
    info = described({"SET-TEMP": -15.0})
    assert (info.ccd_temp_c, info.set_temp_c) == (None, -15.0)
    assert any("set point" in note for note in info.notes)


@pytest.mark.parametrize(
    ("cards", "offset"),
    [
        ({"OFFSET": (30, "Sensor gain offset")}, 30.0),
        ({"OFFSET": (30, "Camera offset")}, 30.0),
        ({"BLKLEVEL": 12}, 12.0),
        # Of the telescope, between dithered exposures.
        ({"OFFSET": (4.5, "[arcsec] from the target")}, None),
        ({"OFFSET": 4.5}, None),
    ],
)
def test_offset_of_the_camera(cards: dict[str, Any], offset: float | None) -> None:
    info = described(cards)
    assert info.offset_setting == offset
    assert ("offset_setting" in info.decided_by) == (offset is not None)


@pytest.mark.parametrize(
    ("cards", "window", "decided_by"),
    [
        ({"XORGSUBF": 0, "YORGSUBF": 0}, (0, 0), "XORGSUBF, YORGSUBF"),
        ({"XORGSUBF": "512.", "YORGSUBF": 7}, (512, 7), "XORGSUBF, YORGSUBF"),
        ({"CCDSEC": "[513:1536,1:1024]"}, (512, 0), "CCDSEC"),
        ({"DETSEC": "[2048:1025,1:1024]"}, (1024, 0), "DETSEC"),
        # CAFOS writes a section of its own.
        ({"CCDSEC": "[513,513:1536,1536]"}, None, None),
        ({"XORGSUBF": 4}, None, None),
        ({}, None, None),
    ],
)
def test_window(
    cards: dict[str, Any], window: tuple[int, int] | None, decided_by: str | None
) -> None:
    info = described(cards)
    assert (info.window, info.decided_by.get("window")) == (window, decided_by)
    assert inspect_json(info)["window"] == (None if window is None else list(window))


@pytest.mark.parametrize(
    ("cards", "gain", "setting", "decided_by"),
    [
        ({"EGAIN": (2.06, "")}, 2.06, None, "EGAIN"),
        ({"EGAIN": (1.0022, "e-/ADU"), "GAIN": (120, "The gain set")}, 1.0022, 120.0, "EGAIN"),
        ({"GAIN": (2.45, "[electrons/count] CCD Gain")}, 2.45, None, "GAIN"),
        ({"GAIN": (1.3, "e-/ADU")}, 1.3, None, "GAIN"),
        ({"GAIN": (1.37, "")}, 1.37, None, "GAIN"),
        ({"GAIN": (50.0, "Gain")}, None, 50.0, None),
        ({"GAIN": (2, "")}, None, 2.0, None),
        ({"CCDSENS": (1.43, "(e-/DN)"), "CCDGAIN": (20.0, "analog")}, 1.43, 20.0, "CCDSENS"),
        ({"ISO": (100, "")}, None, 100.0, None),
        ({"EGAIN": (0.0, "")}, None, None, None),
        ({"EGAIN": (0.0, ""), "CCDSENS": (1.43, "(e-/DN)")}, 1.43, None, "CCDSENS"),
        ({"EGAIN": (1.5, ""), "BUNIT": ("electron", "")}, 1.0, None, "BUNIT"),
        ({"EGAIN": (1.5, ""), "BUNIT": ("ADU", "")}, 1.5, None, "EGAIN"),
        # A calibrated image tells the gain that was applied.
        ({"EGAIN": (1.5, ""), "BUNIT": ("electron", ""), "BIASCOR": "b"}, 1.5, None, "EGAIN"),
    ],
)
def test_gain_is_told_apart_from_a_gain_setting(
    cards: dict[str, Any], gain: float | None, setting: float | None, decided_by: str | None
) -> None:
    info = described(cards)
    assert (info.gain_e_adu, info.gain_setting) == (gain, setting)
    assert info.decided_by.get("gain") == decided_by
    if gain is None and setting is not None:
        assert any("gain setting" in note for note in info.notes)


@pytest.mark.parametrize(
    ("cards", "read_noise"),
    [
        ({"RDNOISE": (7.4, "[e-]")}, 7.4),
        ({"CCDRON": (7.4, "Readout-nois at selected Gain (e-)")}, 7.4),
        ({"READNOIS": (5.0, "[adu]"), "EGAIN": (2.0, "")}, 10.0),
        ({"READNOIS": (5.0, "[adu]")}, None),
        ({"RDNOISE": (-1.0, "")}, None),
        ({"RDNOISE": (0.0, ""), "READNOIS": (5.5, "[e-]")}, 5.5),
    ],
)
def test_read_noise(cards: dict[str, Any], read_noise: float | None) -> None:
    assert described(cards).read_noise_e == read_noise


@pytest.mark.parametrize(
    ("cards", "binning"),
    [
        ({"XBINNING": 2, "YBINNING": 3}, (2, 3)),
        ({"CCDXBIN": 1, "CCDYBIN": 1}, (1, 1)),
        ({"CCDBINX": 2, "CCDBINY": 2}, (2, 2)),
        ({"CCDSUM": "2 4"}, (2, 4)),
        ({"BINNING": "3x3"}, (3, 3)),
        ({"BINNING": 2}, (2, 2)),
        ({"XBINNING": 0, "YBINNING": 0}, None),
        ({}, None),
    ],
)
def test_binning(cards: dict[str, Any], binning: tuple[int, int] | None) -> None:
    assert described(cards).binning == binning


@pytest.mark.parametrize(
    ("cards", "name"),
    [
        ({"FILTER": "SII"}, "SII"),
        ({"INSFLNAM": "JohnsonV"}, "JohnsonV"),
        ({"FILTER1": "4020longpass", "FILTER2": "clear"}, "4020longpass"),
        ({"FILTER1": "g", "FILTER2": "ND1"}, "g+ND1"),
        ({"FILTER1": "clear", "FILTER2": "clear"}, "clear"),
        ({"FILTER": "UNKNOWN"}, None),
        ({"FILTER": "None"}, None),
        ({"FILTER": ""}, None),
    ],
)
def test_filter(cards: dict[str, Any], name: str | None) -> None:
    assert described(cards).filter == name


@pytest.mark.parametrize(
    ("name", "encoding", "read"),
    [
        ("Hα", "utf-8", "Halpha"),
        ("Hβ", "utf-8", "Hbeta"),
        ("Rouge foncé", "latin-1", "Rouge fonce"),
        ("滤镜", "utf-8", "u6ee4u955c"),
        ("what?", "ascii", "what?"),
    ],
)
def test_filters_in_other_letters_are_told_apart(
    tmp_path: Path, name: str, encoding: str, read: str
) -> None:
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(np.zeros((4, 5), np.uint16), fits.Header({"FILTER": "x"})).writeto(path)
    content = path.read_bytes()
    at = content.index(b"FILTER  =")
    card = f"FILTER  = '{name}'".encode(encoding).ljust(80)
    path.write_bytes(content[:at] + card + content[at + 80 :])
    assert read_exposure(path).filter == read


@given(st.text(max_size=12))
def test_any_name_is_spelt_in_plain_letters(text: str) -> None:
    assert plain(text).isascii()
    assert plain(text).isprintable()


@pytest.mark.parametrize(
    ("told", "comment", "seconds"),
    [
        (60.0, "[s] exposure time", 60.0),
        (60.0, "", 60.0),
        (60.0, "exposure of the frames in seconds", 60.0),
        ("60 s", "", 60.0),
        (60.0, "[s] exposure time, known to 1 ms", 60.0),
        (60.0, "seconds; the shutter takes 20 ms", 60.0),
        (60.0, "[ms] exposure", 0.06),
        (60.0, "in milliseconds", 0.06),
        (60.0, "in milli-seconds", 0.06),
        (60.0, "Exposure time in ms", 0.06),
        ("60 ms", "", 0.06),
        ("60ms", "exposure", 0.06),
        (60.0, "[us] exposure", 6e-5),
        ("60 usec", "", 6e-5),
        (60, "Exposure time in microseconds", 6e-5),
    ],
)
def test_exposure_time_in_parts_of_a_second_as_it_is_told(
    told: float | str, comment: str, seconds: float
) -> None:
    info = described({"EXPTIME": (told, comment)})
    assert info.exptime_s == pytest.approx(seconds)
    assert any("seconds: converted" in note for note in info.notes) == (seconds < 1)


@pytest.mark.parametrize(
    ("bits", "cards", "saturation"),
    [
        (16, {}, 65535),
        (14, {}, 65532),
        (12, {}, 65520),
        (12, {"SATURATE": 65535}, 65520),
        (12, {"SATURATE": 60000}, 60000),
        (10, {}, 65472),
        # Four values are not how a camera counts.
        (2, {}, 65535),
    ],
)
def test_a_camera_of_fewer_bits_is_saturated_below_the_top_of_16(
    tmp_path: Path, bits: int, cards: dict[str, Any], saturation: float
) -> None:
    path = tmp_path / "a.fits"
    read_out = np.random.default_rng(1).integers(0, 2**bits, (50, 40))
    pixels = (read_out << (16 - bits)).astype(np.uint16)
    fits.PrimaryHDU(pixels, fits.Header(cards)).writeto(path)
    info = read_exposure(path)
    assert info.saturation_adu == saturation
    assert any("multiples" in note for note in info.notes) == (bits in (10, 12, 14))


@pytest.mark.parametrize("way", ["RICE_1", "GZIP_2", "HCOMPRESS_1", "extension", "gz"])
@pytest.mark.parametrize("bits", [12, 14, 16])
def test_the_step_of_a_camera_is_told_of_whatever_file_it_is_in(
    tmp_path: Path, way: str, bits: int
) -> None:
    read_out = np.random.default_rng(1).integers(0, 2**bits, (50, 40))
    pixels = (read_out << (16 - bits)).astype(np.uint16)
    path = tmp_path / ("a.fits.gz" if way == "gz" else "a.fits")
    if way == "gz":
        fits.PrimaryHDU(pixels).writeto(path)
    elif way == "extension":
        fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(pixels)]).writeto(path)
    else:
        image = fits.CompImageHDU(pixels, compression_type=way)
        fits.HDUList([fits.PrimaryHDU(), image]).writeto(path)
    info = read_exposure(path)
    assert info.saturation_adu == 65536 - 2 ** (16 - bits)
    assert (info.header["BITPIX"], info.header["BZERO"]) == (16, 32768)


@pytest.mark.parametrize(("value", "saturation"), [(65520, 65520), (65280, 65535), (0, 65535)])
def test_an_over_exposed_frame_tells_the_ceiling_of_its_camera(
    tmp_path: Path, value: int, saturation: float
) -> None:
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(np.full((9, 9), value, np.uint16)).writeto(path)
    assert read_exposure(path).saturation_adu == saturation


def test_saturation() -> None:
    def level(cards: dict[str, Any], bits: int | None = 16) -> float | None:
        return describe_header(Path("x"), fits.Header(cards), bits=bits).saturation_adu

    assert level({"SATURATN": 63037}) == 63037
    assert level({}) == 65535
    assert level({}, None) is None
    # The largest pixel of an INDI frame is no saturation level; that of an SBIG header is.
    assert level({"DATAMAX": 73.0}) == 65535
    assert level({"DATAMAX": 50000, "SBSTDVER": "SBFITSEXT Version 1.0"}) == 50000
    # 180 000 e- at 1.43 e-/ADU cannot be seen in 16 bits.
    assert level({"CCDSAT": 180000.0, "CCDSENS": 1.43}) == 65535
    assert level({"CCDSAT": 71500.0, "CCDSENS": 1.43}) == pytest.approx(50000)


@pytest.mark.parametrize(
    ("cards", "level"),
    [
        ({"SATURATE": 0, "MAXLIN": 60000}, 60000),
        ({"SATURATE": (60000, "[ADU] saturation level"), "EGAIN": 2.0}, 60000),
        ({"SATURATE": (60000, "[e-] full well"), "EGAIN": 2.0}, 30000),
        ({"SATURATE": (60000, "saturation in electrons")}, 65535),
    ],
)
def test_a_level_of_saturation_in_electrons(cards: dict[str, Any], level: float) -> None:
    header = fits.Header()
    for keyword, card in cards.items():
        header[keyword] = card
    assert describe_header(Path("x"), header, bits=16).saturation_adu == level


@pytest.mark.parametrize(
    ("kind", "level"),
    [("uint8", 255), ("int16", 32767), ("uint16", 65535), ("int32", None), ("float32", None)],
)
def test_no_level_is_over_what_the_pixels_can_hold(
    tmp_path: Path, kind: str, level: float | None
) -> None:
    fits.PrimaryHDU(np.zeros((4, 5), kind)).writeto(tmp_path / "a.fits")
    assert read_exposure(tmp_path / "a.fits").saturation_adu == level


@pytest.mark.parametrize(
    "cards",
    [
        {"COMBINED": True},
        {"NCOMBINE": 26},
        {"CALSTAT": "BDF"},
        {"HISTORY": "Auto-Dark Subtraction"},
        {"HISTORY": " Dark Subtraction (Dark 10, 4864 x 3232, Bin1 x 1)"},
        {"L1STATZE": -1, "L1STATFL": 1},
        {"FLATCOR": "master_flat_V.fits"},
    ],
)
def test_what_is_no_raw_frame_is_said_to_be_none(cards: dict[str, Any]) -> None:
    assert described(cards).processed is not None


@pytest.mark.parametrize(
    "cards",
    [
        {"COMBINED": False},
        {"NCOMBINE": 1},
        {"CALSTAT": ""},
        {"BIASCOR": "NONE"},
        {"HISTORY": "File was processed by PinPoint 6.1.3"},
        {"L1STATZE": -1},
    ],
)
def test_a_raw_frame_is_not_said_to_be_processed(cards: dict[str, Any]) -> None:
    assert described(cards).processed is None


KEYWORDS = st.sampled_from(
    [
        "IMAGETYP", "OBSTYPE", "EXPTIME", "EXPOSURE", "FILTER", "FILTER1", "CCD-TEMP", "CAMTEMP",
        "XBINNING", "YBINNING", "CCDSUM", "BINNING", "EGAIN", "GAIN", "RDNOISE", "DATE-OBS",
        "TIME-OBS", "UT", "UT_START", "MJD-OBS", "JD", "TIMESYS", "RA", "DEC", "OBJCTRA",
        "OBJCTDEC", "EQUINOX", "CRVAL1", "CRVAL2", "CTYPE1", "CTYPE2", "INSTRUME", "OBJECT",
        "READOUTM", "SATURATE", "CCDSAT", "DATAMAX", "COMBINED", "NCOMBINE", "CALSTAT", "NAXIS1",
    ]
)  # fmt: skip
PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    PRINTABLE,
    st.from_regex(
        r"[0-9]{1,4}-[0-9]{1,2}-[0-9]{1,2}T[0-9]{1,2}:[0-9][0-9]:[0-9][0-9](\.[0-9]*)?([+-][0-9]{4}|Z)?",
        fullmatch=True,
    ),
    st.from_regex(r"[+-]?[0-9]{1,3}[: ][0-9]{1,2}[: ][0-9]{1,2}(\.[0-9]*)?", fullmatch=True),
    st.datetimes().map(lambda moment: moment.isoformat()),
)


@given(st.dictionaries(KEYWORDS, st.tuples(VALUES, PRINTABLE.filter(lambda t: len(t) < 20))))
def test_whatever_the_cards_hold(cards: dict[str, tuple[Any, str]]) -> None:
    header = fits.Header()
    for keyword, (value, comment) in cards.items():
        header.append(fits.Card(keyword, value, comment))
    info = describe_header(Path("x.fits"), header)
    document = json.loads(json.dumps(inspect_json(info), allow_nan=False))
    json.dumps(info.header, allow_nan=False)
    assert (info.ra_deg is None) == (info.dec_deg is None)
    if info.ra_deg is not None and info.dec_deg is not None:
        assert 0 <= info.ra_deg <= 360
        assert -90 <= info.dec_deg <= 90
    assert info.ccd_temp_c is None or -200 <= info.ccd_temp_c <= 100
    assert info.exptime_s is None or info.exptime_s >= 0
    assert info.gain_e_adu is None or info.gain_e_adu > 0
    # Whatever is known names the card that decided it.
    for key in ("image_type", "exptime", "filter", "ccd_temp", "binning", "gain", "date_obs",
                "ra", "instrument", "object"):  # fmt: skip
        assert (document[key] is None) == (key not in document["decided_by"])


@pytest.mark.parametrize(
    ("told", "exptime_s"),
    [("60 s", 60.0), ("2.5", 2.5), ("2,5", None), ("00:01:30", None), ("30,", 30.0)],
)
def test_a_number_is_told_whole_or_not_at_all(told: str, exptime_s: float | None) -> None:
    info = described({"EXPTIME": told})
    assert info.exptime_s == exptime_s
    assert any("EXPTIME" in note for note in info.notes) == (exptime_s is None)


@given(st.datetimes(datetime(1980, 1, 1), datetime(2060, 1, 1)), st.integers(-14 * 60, 14 * 60))  # noqa: DTZ001
def test_any_offset_gives_the_same_moment(utc: datetime, minutes: int) -> None:
    from datetime import timedelta, timezone

    local = utc.replace(tzinfo=UTC).astimezone(timezone(timedelta(minutes=minutes)))
    info = described({"DATE-OBS": local.strftime("%Y-%m-%dT%H:%M:%S.%f%z")})
    assert info.date_obs == utc.replace(tzinfo=UTC)


@given(st.floats(0, 359.999), st.floats(-89.999, 89.999))
def test_sexagesimal_and_degrees_agree(ra: float, dec: float) -> None:
    from astropy.coordinates import Angle

    cards = {
        "OBJCTRA": Angle(ra, "deg").to_string(unit="hourangle", sep=" ", precision=6, pad=True),
        "OBJCTDEC": Angle(dec, "deg").to_string(sep=" ", precision=6, pad=True, alwayssign=True),
    }
    info = described(cards)
    if info.ra_deg is None or info.dec_deg is None:
        # Rounded to 24 h, or exactly 0, 0: which is no pointing.
        assert ra > 359.99 or (ra < 1e-6 and abs(dec) < 1e-6)
        return
    assert info.ra_deg == pytest.approx(ra, abs=2e-8)
    assert info.dec_deg == pytest.approx(dec, abs=2e-9)
