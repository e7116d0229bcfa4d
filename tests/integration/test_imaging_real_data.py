"""Real frames of ../shared/data: what each capture program writes, and two real reductions."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from toros.common.errors import UnreadableFile
from toros.imaging.calibrate import calibrate_light
from toros.imaging.headers import (
    ExposureInfo,
    describe_header,
    find_fits,
    inspect_json,
    mark_already_calibrated,
    read_exposure,
)
from toros.imaging.masters import make_master_bias, make_master_dark, make_master_flat
from toros.imaging.matching import match_bias, match_dark, match_flat
from toros.imaging.noise import gain_of_pairs, scatter
from toros.imaging.preview import write_preview

DATA = Path(__file__).parents[2].parent / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no sample data at {DATA}")

# Set: file, then what `toros inspect` must say. None: unknown, and said to be so.
EXPECTED: dict[str, dict[str, Any]] = {
    # MaxIm DL, several versions
    "ccd/feder_msumastro/maximdl_5_21_header.fit": {
        "image_type": "light", "exptime": 90.0, "filter": "R", "ccd_temp": -42.0001065,
        "binning": [1, 1], "gain": None, "date_obs": "2013-03-11T03:35:20.000Z",
        "ra": 135.5916667, "dec": 49.8191667, "instrument": "Apogee USB/Net", "object": "ey-uma",
    },
    "ccd/feder_msumastro/maximdl_6_18_header.fit": {
        "image_type": "light", "filter": "r", "ra": 314.2683333, "dec": 31.661,
        "instrument": "AspenCG16", "read_out_mode": "Monochrome",
        "date_obs": "2018-08-23T08:49:30.000Z",
    },
    "ccd/feder_msumastro/aspen_trimmed.fit": {
        "image_type": "flat", "exptime": 1.0, "object": None, "ccd_temp": -7.9147035,
        "set_temp": -40.0,
    },
    "ccd/feder_msumastro/flattest.fit": {"image_type": "bias", "exptime": 0.0, "filter": None},
    "ccd/feder_msumastro/darktest1.fit": {"image_type": "dark", "exptime": 30.0},
    "ccd/feder_msumastro/biastest2.fit": {"image_type": "bias", "dec": -0.305},
    "ccd/feder_msumastro/uint16_missing_filter.fit": {"filter": None, "image_type": "light"},
    "ccd/feder_msumastro/uint16_no_pointing.fit": {"ra": None, "dec": None},
    # AstroFX
    "ccd/feder_msumastro/celestron_nightscape_10100_astro_fx_v106.fit": {
        "image_type": "light", "instrument": "Celestron Nightscape 10100", "object": "Mette",
        "read_out_mode": "Raw",
    },
    # CCDOPS for Windows, with no image type
    "ccd/feder_msumastro/neon-on-dome-10-sec-high-res-though-scope.fit": {
        "image_type": None, "exptime": 10.0, "filter": None, "gain": 1.74, "ccd_temp": 4.4558916,
        "instrument": "SBIG ST-7", "saturation": 65535.0,
    },
    # MaxIm DL masters
    "ccd/feder_kelt16/combined_bias.fit.gz": {"image_type": "bias", "exptime": 0.0},
    "ccd/feder_kelt16/combined_dark_90.000.fit.gz": {"image_type": "dark", "exptime": 90.0},
    "ccd/feder_kelt16/combined_flat_filter_r.fit.gz": {"image_type": "flat", "filter": "r"},
    "ccd/feder_kelt16/kelt-16-b-S001-R001-C084-r.fit.gz": {
        "image_type": "light", "object": "kelt-16b", "ra": 314.2670733, "dec": 31.6612884,
    },
    # CCDSoft on an SBIG STL-1001
    "ccd/stl1001/lab1_bias.00000000.BIAS.FIT": {
        "image_type": "bias", "exptime": 0.0, "gain": 2.06, "ccd_temp": -5.232157,
        "date_obs": "2024-01-29T23:49:32.414Z", "instrument": "SBIG STL-1001 3 CCD Camera",
        "ra": None, "object": None,
    },
    "ccd/stl1001/lab1_3_2_3.00000000.DARK.FIT": {"image_type": "dark", "exptime": 30.0},
    "ccd/stl1001/lab1_3_3_new.00000000.NOAUTODARK.FIT": {
        "image_type": "light", "exptime": 1.7, "filter": "Blue", "processed": None,
        "date_obs": "2024-01-30T00:51:38.050Z",
    },
    # CAFOS at Calar Alto
    "ccd/uam_ngc2420/calib/bias/uamA_0001.fits": {"image_type": "bias", "object": "[bias]"},
    "ccd/uam_ngc2420/calib/flat/B/uamA_0043.fits": {"image_type": "flat", "filter": "JohnsonB"},
    "ccd/uam_ngc2420/science/NGC2420/V/uamA_0029.fits": {
        "image_type": "light", "exptime": 3.0, "filter": "JohnsonV", "ccd_temp": -99.0,
        "binning": [1, 1], "gain": 1.43, "gain_setting": 20.0, "read_noise": 7.4,
        "date_obs": "2021-03-28T23:14:51.000Z", "ra": 114.915929, "dec": 21.52593,
        "instrument": "CAFOS 2.2", "object": "NCG2420 V", "read_out_mode": "normal",
    },
    # MicroObservatory
    "ccd/hatp32/HATP-32171220013343.FITS": {
        "image_type": "light", "exptime": 60.0, "filter": "Clear", "ccd_temp": -2.15,
        "binning": None, "gain": None, "date_obs": "2017-12-20T01:33:43.317Z", "ra": 31.312099,
        "dec": 46.769087, "instrument": "Main", "object": "HATP-32",
    },
    # Huntsman (POCS): zero darks are biases, flats are light frames of FlatDither fields
    "ccd/huntsman/raw/bias_0.fits": {"image_type": "bias", "filter": None, "gain_setting": 100.0},
    "ccd/huntsman/raw/dark_0.fits": {"image_type": "dark", "exptime": 300.0},
    "ccd/huntsman/raw/flat_0.fits": {"image_type": "flat", "filter": "g_band"},
    "ccd/huntsman/raw/science_0.fits": {
        "image_type": "light", "gain": 1.144744515419006, "object": "DoradoGroup-p0p0",
        "ra": 65.0, "dec": -54.9380556, "instrument": "371d420013090900", "ccd_temp": 0.5,
    },
    "ccd/huntsman/calib/2021-01-07/flat/flat_14_Huntsman_g_band_2021-01-07.fits": {
        "image_type": "flat", "filter": "g_band", "naxis1": 801,
    },
    # PANOPTES (POCS, from Canon raw files)
    "ccd/panoptes/solved.fits.fz": {
        "image_type": "light", "exptime": 120.4, "ccd_temp": 13.0, "object": "KIC 8462852",
        "ra": 301.56439, "dec": 44.456875, "gain": None, "gain_setting": 100.0, "naxis1": 700,
    },
    "ccd/panoptes/pole.fits": {"image_type": "light", "ra": 38.5347432, "object": None},
    "ccd/panoptes/noheader.fits": {
        "image_type": None, "exptime": None, "date_obs": None, "ra": None, "instrument": None,
        "saturation": 65535.0,
    },
    # Liverpool Telescope
    "ccd/lt_sprat/v_e_20180810_12_1_0_0.fits.gz": {
        "image_type": "light", "exptime": 120.0, "filter": "4020longpass", "ccd_temp": -59.479,
        "binning": [1, 1], "gain": 2.45, "date_obs": "2018-08-10T23:22:58.628Z",
        "ra": 270.4759625, "dec": 62.9001639, "instrument": "SPRAT", "object": "LHS6328",
    },
    "ccd/lt_sprat/v_s_20180810_27_1_0_0.fits.gz": {"image_type": "light", "object": "Hilt102"},
    "ccd/lt_sprat/v_a_20180810_13_1_0_1.fits.gz": {"image_type": "arc", "saturation": 63037.0},
    "ccd/lt_sprat/v_dark_1.fits.gz": {"image_type": "dark", "exptime": 600.0, "set_temp": -60.0},
    # INDI
    "ccd/indi_ccdsim/randomsky.fits": {
        "image_type": "light", "exptime": 1.0, "filter": "Red", "ccd_temp": 20.0, "gain": None,
        "gain_setting": 50.0, "ra": 21.642, "dec": 69.25256, "instrument": "CCD Simulator",
        "saturation": 65535.0,
    },
}  # fmt: skip

# Headers alone, of capture programs for which there are no frames.
TEXT_HEADERS: dict[str, dict[str, Any]] = {
    "header_apt.hdr": {
        "image_type": "light", "exptime": 240.0, "gain": 1.00224268436432, "gain_setting": 120.0,
        "ccd_temp": None, "set_temp": -15.0, "ra": 23.75, "dec": 30.7402778, "filter": None,
        "date_obs": "2018-09-17T21:04:46.000Z", "instrument": "ZWO ASI294MC Pro",
    },
    "header_nina.hdr": {
        "image_type": "light", "exptime": 30.0, "ccd_temp": -10.0, "object": "MarsM45",
        "ra": None, "dec": None, "date_obs": "2021-03-02T20:19:00.455Z", "gain_setting": 120.0,
    },
    "sgp_header.hdr": {
        "image_type": "light", "exptime": 30.0, "filter": "HaOIII", "ra": 283.3955398,
        "dec": 33.0340625, "ccd_temp": -17.5, "gain": 3.99, "date_obs": "2020-05-30T00:22:49.096Z",
    },
    "header_sgp_fixed_wcs.hdr": {"image_type": "light", "object": "M57", "ra": 283.3955398},
    "header_maximdl.hdr": {
        "image_type": "light", "exptime": 300.0, "filter": "SII", "ra": 275.2005, "dec": -16.183,
        "object": "m17", "instrument": "Apogee USB/Net", "date_obs": "2018-07-04T14:03:03.000Z",
    },
}  # fmt: skip


def agrees(found: Any, expected: Any) -> bool:
    return bool(
        found == (pytest.approx(expected, abs=1e-6) if isinstance(expected, float) else expected)
    )


@pytest.mark.parametrize("name", EXPECTED)
def test_every_dialect(name: str) -> None:
    document = inspect_json(read_exposure(DATA / name))
    found = {key: document[key] for key in EXPECTED[name]}
    assert all(agrees(found[key], value) for key, value in EXPECTED[name].items()), found


def text_header(path: Path) -> fits.Header:
    """Return the header of a text file, without lines that its maker has broken in two."""
    known = ("HISTORY", "COMMENT", "HIERARCH")
    lines = [
        line.rstrip("\r")
        for line in path.read_text().split("\n")
        if line[8:9] == "=" or line.startswith(known)
    ]
    return fits.Header.fromstring("\n".join(lines), sep="\n")


@pytest.mark.parametrize("name", TEXT_HEADERS)
def test_every_header_alone(name: str) -> None:
    document = inspect_json(describe_header(Path(name), text_header(DATA / "headers" / name)))
    found = {key: document[key] for key in TEXT_HEADERS[name]}
    assert all(agrees(found[key], value) for key, value in TEXT_HEADERS[name].items()), found


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ccd/feder_msumastro/flattest.fit", "suggests a flat"),
        ("ccd/hatp32/HATP-32171220013343.FITS", "kelvin"),
        ("ccd/hatp32/HATP-32171220013343.FITS", "local time (-0700)"),
        ("ccd/hatp32/HATP-32171220013343.FITS", "so a light"),
        ("ccd/uam_ngc2420/calib/bias/uamA_0001.fits", "no WCS of the sky"),
        ("ccd/huntsman/raw/flat_0.fits", "FlatDither00"),
        ("ccd/huntsman/raw/bias_0.fits", "no exposure time"),
        ("ccd/lt_sprat/v_e_20180810_12_1_0_0.fits.gz", "kelvin"),
        ("ccd/indi_ccdsim/randomsky.fits", "gain setting"),
        ("ccd/panoptes/noheader.fits", "Nothing says"),
    ],
)
def test_what_is_odd_is_noted(name: str, words: str) -> None:
    assert any(words in note for note in read_exposure(DATA / name).notes)


def test_every_file_of_the_sample_is_read_or_refused_with_a_sentence() -> None:
    paths = find_fits(DATA / "ccd")
    assert len(paths) > 100
    unreadable = []
    for path in paths:
        try:
            info = read_exposure(path)
        except UnreadableFile as error:
            unreadable.append((path.name, error.message))
            continue
        assert info.shape is not None
    # A table of defects is no image.
    assert [name for name, _ in unreadable] == ["defects_14_Huntsman_2021-01-07.fits"]


PROCESSED = [
    "ccd/feder_kelt16/combined_bias.fit.gz",
    "ccd/feder_kelt16/combined_dark_90.000.fit.gz",
    "ccd/feder_kelt16/combined_flat_filter_r.fit.gz",
    "ccd/huntsman/calib/2021-01-07/bias/bias_14_Huntsman_2021-01-07.fits",
    "ccd/lt_sprat/v_a_20180810_13_1_0_1.fits.gz",
    "ccd/lt_sprat/v_slit_red_1.fits.gz",
    "ccd/stl1001/lab1_3_3_new.00000000.FIT",
]


@pytest.mark.parametrize("name", PROCESSED)
def test_what_is_no_raw_frame(name: str) -> None:
    assert read_exposure(DATA / name).processed is not None


@pytest.fixture(scope="module")
def stl() -> list[ExposureInfo]:
    return mark_already_calibrated(read_exposure(path) for path in find_fits(DATA / "ccd/stl1001"))


def test_the_twins_of_the_stl1001(stl: list[ExposureInfo]) -> None:
    lights = [info for info in stl if info.image_type == "light"]
    raw = [info for info in lights if info.processed is None]
    twins = [info for info in lights if info.processed is not None]
    assert (len(lights), len(raw), len(twins)) == (8, 4, 4)
    assert all("NOAUTODARK" in info.path.name for info in raw)
    for twin in twins:
        assert any(f"{twin.path.stem}.NOAUTODARK.FIT" in note for note in twin.notes)


def test_the_twins_are_found_without_the_header_s_help(stl: list[ExposureInfo]) -> None:
    from dataclasses import replace

    silent = [replace(info, processed=None, notes=()) for info in stl]
    marked = [info.path.name for info in mark_already_calibrated(silent) if info.processed]
    assert marked == [f"lab1_3_3_new.0000000{index}.FIT" for index in range(4)]


def test_the_stl1001_reduced(stl: list[ExposureInfo], tmp_path: Path) -> None:
    at_minus_5 = [info for info in stl if info.set_temp_c == -5.0]
    biases = [info.path for info in at_minus_5 if info.image_type == "bias"]
    darks = [info.path for info in at_minus_5 if info.image_type == "dark"]
    bias = make_master_bias(biases, tmp_path / "master_bias_stl.fits")
    dark = make_master_dark(darks, tmp_path / "master_dark_30s_stl.fits", bias=bias.path)
    assert (len(biases), len(darks)) == (2, 8)
    # The maker's figure for the STL-1001E is 14.8 e-.
    assert bias.read_noise_adu is not None
    assert bias.read_noise_adu * 2.06 == pytest.approx(14.8, rel=0.03)
    # A raw dark minus bias and dark is the noise of one read-out and of the 10 ADU of dark
    # current, less what the frame itself has put into the mean of 8.
    raw = fits.getdata(darks[3]).astype(float)
    residual = raw - fits.getdata(bias.path) - fits.getdata(dark.path)
    expected = np.sqrt((bias.read_noise_adu**2 + 10 / 2.06) * (1 - 1 / 8))
    assert scatter(residual) == pytest.approx(expected, rel=0.05)
    assert abs(np.median(residual)) < 0.6
    masters = [read_exposure(made.path) for made in (bias, dark)]
    light = next(info for info in stl if info.path.name.endswith("00000003.NOAUTODARK.FIT"))
    choice = match_dark(light, masters)
    assert choice.dark_scale == pytest.approx(2.8 / 30)
    assert match_bias(light, masters).chosen == masters[0]
    assert match_flat(light, masters).chosen is None
    result = calibrate_light(
        light.path, tmp_path / "calib.fits", bias=bias.path, dark=dark.path, flat=None
    )
    reference = (
        fits.getdata(light.path).astype(float)
        - fits.getdata(bias.path)
        - fits.getdata(dark.path).astype(float) * choice.dark_scale
    ) * 2.06
    with fits.open(result.path, checksum=True) as hdus:
        np.testing.assert_allclose(hdus[0].data, reference, rtol=1e-6, atol=0.01)
        image, error = hdus[0].data.astype(float), hdus["UNCERT"].data.astype(float)
    # Two lights of one scene differ by what their uncertainties say, without a flat field too.
    other = next(info for info in stl if info.path.name.endswith("00000002.NOAUTODARK.FIT"))
    calibrate_light(other.path, tmp_path / "other.fits", bias=bias.path, dark=dark.path, flat=None)
    with fits.open(tmp_path / "other.fits") as hdus:
        ratio = np.median(image) / np.median(hdus[0].data)
        residual = (image - ratio * hdus[0].data) / np.hypot(error, ratio * hdus["UNCERT"].data)
    assert scatter(residual) == pytest.approx(1, abs=0.05)


def test_photon_transfer_on_the_stl1001(stl: list[ExposureInfo]) -> None:
    by_name = {info.path.name: info.path for info in stl}
    lights = [by_name[f"lab1_3_3_new.0000000{index}.NOAUTODARK.FIT"] for index in (2, 3)]
    biases = [by_name[f"lab1_bias.0000000{index}.BIAS.FIT"] for index in (0, 1)]
    flats = tuple(fits.getdata(path).astype(float) for path in lights)
    zeros = tuple(fits.getdata(path).astype(float) for path in biases)
    gain = gain_of_pairs((flats[0], flats[1]), (zeros[0], zeros[1]))
    # The header says 2.06 e-/ADU.
    assert gain == pytest.approx(2.06, rel=0.1)


def test_ngc_2420_reduced_without_darks(tmp_path: Path) -> None:
    infos = [read_exposure(path) for path in find_fits(DATA / "ccd/uam_ngc2420")]
    biases = [info.path for info in infos if info.image_type == "bias"]
    bias = make_master_bias(biases, tmp_path / "master_bias_uam.fits")
    flats = [
        make_master_flat(
            [info.path for info in infos if info.image_type == "flat" and info.filter == name],
            tmp_path / f"master_flat_{name}_uam.fits",
            bias=bias.path,
            dark=None,
        )
        for name in ("JohnsonB", "JohnsonV")
    ]
    masters = [read_exposure(made.path) for made in flats]
    light = next(info for info in infos if info.path.name == "uamA_0031.fits")
    chosen = match_flat(light, masters).chosen
    assert chosen is not None
    assert chosen.path.name == "master_flat_JohnsonV_uam.fits"
    target = tmp_path / "calib_uamA_0031.fits"
    result = calibrate_light(light.path, target, bias=bias.path, dark=None, flat=chosen.path)
    header = fits.getheader(target)
    assert (header["DARKCOR"], header["STATUS"]) == ("NONE", "PARTIAL")
    assert header["FLATCOR"] == "master_flat_JohnsonV_uam.fits"
    assert "CTYPE1" not in header
    assert result.saturated == 67
    assert result.sky_level == pytest.approx(8617, rel=0.01)
    # The flat takes the vignetting out: the sky of the corners is that of the centre.
    image, raw = fits.getdata(target), fits.getdata(light.path).astype(float) - 672
    corner, centre = (slice(100, 200), slice(100, 200)), (slice(460, 560), slice(460, 560))
    before = np.median(raw[corner]) / np.median(raw[centre])
    after = np.median(image[corner]) / np.median(image[centre])
    assert abs(after - 1) < abs(before - 1)
    assert abs(after - 1) < 0.05
    assert write_preview(target, tmp_path / "p.png").stat().st_size > 50_000
    assert light.date_obs == datetime(2021, 3, 28, 23, 21, 58, tzinfo=UTC)
