"""Masters and calibrated lights of small frames made here, against float64 and the truth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import ccdproc
import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData

from toros.common.errors import (
    AlreadyCalibrated,
    MixedShapes,
    NoFilesFound,
    NoMasterDark,
    UnreadableFile,
    UnusableFrame,
)
from toros.imaging.calibrate import calibrate_light
from toros.imaging.frames import read_master
from toros.imaging.headers import read_exposure, sha256_of
from toros.imaging.mask_bits import MaskBit
from toros.imaging.masters import make_master_bias, make_master_dark, make_master_flat
from toros.imaging.options import ReductionOptions
from toros.imaging.preview import write_preview

SHAPE = (64, 80)
GAIN = 1.7
READ_NOISE_ADU = 5.0
DARK_ADU_S = 0.8
SKY_ADU = 400.0


class Camera:
    """A camera whose bias, dark current and response are known to the last bit."""

    def __init__(self, folder: Path, seed: int = 1) -> None:
        self.folder = folder
        self.seed = seed
        y, x = np.indices(SHAPE)
        self.bias = 1000 + 4 * np.sin(x / 3.0)
        self.dark = DARK_ADU_S * (1 + 0.3 * np.cos(y / 9.0))
        self.dark[10, 20] = 60.0  # a hot pixel
        self.flat = 1 - 0.2 * ((y - 32) ** 2 + (x - 40) ** 2) / 2600
        self.flat[3, 4] = 0.0  # a dead pixel
        self.flat /= self.flat[self.flat > 0].mean()

    def take(
        self, name: str, kind: str, exptime_s: float, light_adu: Any = 0.0, **cards: Any
    ) -> Path:
        # A frame is the same in whatever order the tests run.
        rng = np.random.default_rng([self.seed, crc32(name.encode())])
        electrons = rng.poisson((light_adu * self.flat + self.dark * exptime_s) * GAIN)
        adu = self.bias + electrons / GAIN + rng.normal(0, READ_NOISE_ADU, SHAPE)
        header = {
            "IMAGETYP": kind, "EXPTIME": exptime_s, "EGAIN": GAIN, "INSTRUME": "TEST",
            "CCD-TEMP": -20.0, "DATE-OBS": "2024-01-30T03:00:00", "FILTER": "V",
        } | cards  # fmt: skip
        hdu = fits.PrimaryHDU(np.clip(np.round(adu), 0, 65535).astype(np.uint16))
        hdu.header.update({key: value for key, value in header.items() if value is not None})
        path = self.folder / f"{name}.fits"
        hdu.writeto(path)
        return path

    def many(self, count: int, kind: str, exptime_s: float, **more: Any) -> list[Path]:
        return [
            self.take(f"{kind}{exptime_s:g}_{i}", kind, exptime_s, **more) for i in range(count)
        ]


@dataclass
class Night:
    camera: Camera
    bias: Path
    dark: Path
    flat: Path
    out: Path


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    folder = tmp_path_factory.mktemp("night")
    camera, out = Camera(folder), folder / "out"
    bias, dark, flat = out / "master_bias_x.fits", out / "dark.fits", out / "master_flat_V.fits"
    make_master_bias(camera.many(25, "bias", 0.0), bias)
    make_master_dark(camera.many(15, "dark", 60.0), dark, bias=bias)
    flats = [
        camera.take(f"flat{index}", "flat", 3.0, light_adu=level)
        for index, level in enumerate((12000.0, 16000.0, 20000.0, 24000.0, 28000.0, 30000.0))
    ]
    make_master_flat(flats, flat, bias=bias, dark=dark)
    return Night(camera, bias, dark, flat, out)


def verified(path: Path) -> fits.HDUList:
    """Open a product; a wrong CHECKSUM or DATASUM is a warning, which is an error here."""
    hdus = fits.open(path, checksum=True, memmap=False)
    for hdu in hdus:
        assert "CHECKSUM" in hdu.header
        assert "DATASUM" in hdu.header
    return hdus


def test_master_bias(night: Night) -> None:
    with verified(night.bias) as hdus:
        header, pixels, error = hdus[0].header, hdus[0].data, hdus["UNCERT"].data
        assert pixels.dtype == np.dtype(">f4")
        assert (header["IMAGETYP"], header["NCOMBINE"], header["BUNIT"]) == ("BIAS", 25, "adu")
        assert header["RDNOISEA"] == pytest.approx(READ_NOISE_ADU, rel=0.03)
        assert header["RDNOISE"] == pytest.approx(READ_NOISE_ADU * GAIN, rel=0.03)
        assert not hdus["MASK"].data.any()
    residual = (pixels - night.camera.bias) / error
    # The clipped mean of 25 has a little more noise than the plain one.
    assert np.std(residual) == pytest.approx(1.03, abs=0.05)
    assert abs(np.mean(residual)) < 0.06


def test_master_dark_holds_the_dark_current_alone(night: Night) -> None:
    with verified(night.dark) as hdus:
        header, pixels, error = hdus[0].header, hdus[0].data, hdus["UNCERT"].data
    assert (header["EXPTIME"], header["BIASCOR"]) == (60.0, "master_bias_x.fits")
    residual = (pixels - 60 * night.camera.dark) / error
    assert np.std(residual) == pytest.approx(1.03, abs=0.06)
    assert abs(np.mean(residual)) < 0.08


def test_master_flat_is_one_on_average(night: Night) -> None:
    with verified(night.flat) as hdus:
        header, pixels, mask = hdus[0].header, hdus[0].data, hdus["MASK"].data
    assert (header["FILTER"], header["DARKCOR"]) == ("V", "dark.fits")
    assert mask[3, 4] == MaskBit.BAD_FLAT
    assert np.count_nonzero(mask) == 1
    assert pixels[3, 4] == 1
    assert pixels[mask == 0].mean(dtype=float) == pytest.approx(1, abs=1e-6)
    good = mask == 0
    # 6 frames of about 20 000 ADU: photon noise of 1/sqrt(6 · 20000 · 1.7)
    assert np.std(pixels[good] / night.camera.flat[good]) == pytest.approx(0.0023, abs=0.0004)


def test_a_master_inherits_no_wcs_and_no_pointing(night: Night, tmp_path: Path) -> None:
    camera = Camera(tmp_path)
    sky = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0,
           "CD1_1": 1e-4, "CD2_2": 1e-4, "RA": 10.0, "DEC": 20.0, "OBJECT": "M31"}  # fmt: skip
    frames = [camera.take(f"{i}", "bias", 0.0, **sky) for i in range(3)]
    make_master_bias(frames, tmp_path / "m.fits")
    header = fits.getheader(tmp_path / "m.fits")
    assert not set(sky) & set(header)


def test_a_calibrated_light_is_the_truth_within_its_own_uncertainty(
    night: Night, tmp_path: Path
) -> None:
    raw = night.camera.take("truth", "light", 90.0, light_adu=SKY_ADU, OBJECT="NGC 4993")
    before = sha256_of(raw)
    result = calibrate_light(
        raw, tmp_path / "calib.fits", bias=night.bias, dark=night.dark, flat=night.flat
    )
    assert sha256_of(raw) == before
    with verified(tmp_path / "calib.fits") as hdus:
        header, pixels = hdus[0].header, hdus[0].data.astype(float)
        error, mask = hdus["UNCERT"].data.astype(float), hdus["MASK"].data
        assert [hdu.data.dtype.name for hdu in hdus] == ["float32", "float32", "uint8"]
    good = mask == 0
    assert mask[3, 4] == MaskBit.BAD_FLAT
    residual = (pixels[good] - SKY_ADU * GAIN) / error[good]
    # 5119 pixels: the standard error of χ² per pixel is 0.02.
    assert np.mean(residual**2) == pytest.approx(1, abs=0.06)
    assert abs(np.mean(residual)) < 0.06
    assert result.sky_level == pytest.approx(SKY_ADU * GAIN, rel=0.01)
    expected = {
        "IMAGETYP": "LIGHT", "BUNIT": "electron", "GAIN": GAIN, "BIASCOR": "master_bias_x.fits",
        "DARKCOR": "dark.fits", "FLATCOR": "master_flat_V.fits", "DARKSCAL": 1.5, "NCOMBINE": 1,
        "STATUS": "OK", "OBJECT": "NGC 4993", "DATE-OBS": "2024-01-30T03:00:00.000",
    }  # fmt: skip
    assert {key: header[key] for key in expected} == expected
    assert header["PIPEVER"].startswith("toros ")
    assert header["RDNOISE"] == pytest.approx(READ_NOISE_ADU * GAIN, rel=0.03)
    assert header["SKYLEVEL"] == pytest.approx(result.sky_level)
    assert not {"FWHM", "MAGZPT", "MAGLIM", "BZERO"} & set(header)


def test_pixels_and_uncertainty_equal_a_float64_reference(night: Night, tmp_path: Path) -> None:
    raw = night.camera.take("reference", "light", 60.0, light_adu=SKY_ADU)
    calibrate_light(raw, tmp_path / "c.fits", bias=night.bias, dark=night.dark, flat=night.flat)
    data = fits.getdata(raw).astype(float)
    bias, dark, flat = (read_master(path) for path in (night.bias, night.dark, night.flat))
    b, d, f = (master.pixels.astype(float) for master in (bias, dark, flat))
    sb, sd, sf = (
        np.zeros(SHAPE) if m.uncertainty is None else m.uncertainty.astype(float)
        for m in (bias, dark, flat)
    )
    read_noise = fits.getheader(night.bias)["RDNOISEA"]
    value = (data - b - d) * GAIN / f
    # The same bias is in the dark: what it adds to the one it takes from the other.
    variance = np.clip(data - b, 0, None) / GAIN + read_noise**2 + sd**2 - sb**2
    error = np.hypot(np.sqrt(variance) * GAIN / f, value * sf / f)
    with verified(tmp_path / "c.fits") as hdus:
        np.testing.assert_allclose(hdus[0].data, value, rtol=3e-6, atol=3e-3)
        np.testing.assert_allclose(hdus["UNCERT"].data, error, rtol=3e-5)


@pytest.mark.parametrize("exptime_s", [60.0, 30.0, 12.0, 120.0])
def test_few_biases_count_once_in_the_uncertainty(tmp_path: Path, exptime_s: float) -> None:
    camera = Camera(tmp_path, seed=8)
    bias = make_master_bias(camera.many(2, "bias", 0.0), tmp_path / "b.fits").path
    dark = make_master_dark(camera.many(2, "dark", 60.0), tmp_path / "d.fits", bias=bias).path
    raw = camera.take("faint", "light", exptime_s, light_adu=30.0)
    light = calibrate_light(raw, tmp_path / "c.fits", bias=bias, dark=dark, flat=None)
    with fits.open(light.path) as hdus:
        residual = hdus[0].data - 30.0 * GAIN * camera.flat
        chi = (residual / hdus["UNCERT"].data)[hdus["MASK"].data == 0]
    # 5120 pixels: the standard error is 0.02; few electrons tell their noise to some percent.
    assert np.mean(chi**2) == pytest.approx(1, abs=0.08)


def test_pixels_equal_ccdproc(night: Night, tmp_path: Path) -> None:
    raw = night.camera.take("ccdproc", "light", 60.0, light_adu=SKY_ADU)
    calibrate_light(raw, tmp_path / "c.fits", bias=night.bias, dark=night.dark, flat=night.flat)
    masters = [
        CCDData(read_master(path).pixels.astype(float), unit=unit)
        for path, unit in ((night.bias, "adu"), (night.dark, "adu"), (night.flat, ""))
    ]
    gain = GAIN * u.electron / u.adu
    theirs = ccdproc.subtract_bias(CCDData(fits.getdata(raw).astype(float), unit="adu"), masters[0])
    theirs = ccdproc.subtract_dark(
        theirs, masters[1], dark_exposure=60 * u.s, data_exposure=60 * u.s
    )
    theirs = ccdproc.gain_correct(theirs, gain)
    theirs = ccdproc.flat_correct(theirs, masters[2], norm_value=1)
    np.testing.assert_allclose(fits.getdata(tmp_path / "c.fits"), theirs.data, rtol=3e-6, atol=3e-3)


def test_what_is_missing_is_said(night: Night, tmp_path: Path) -> None:
    raw = night.camera.take("partial", "light", 60.0, light_adu=SKY_ADU)
    result = calibrate_light(
        raw,
        tmp_path / "c.fits",
        bias=night.bias,
        dark=None,
        flat=None,
        missing={"dark": "its temperature is −5.0 °C, not −20.0 °C."},
    )
    header = fits.getheader(tmp_path / "c.fits")
    assert (header["DARKCOR"], header["FLATCOR"], header["STATUS"]) == ("NONE", "NONE", "PARTIAL")
    history = "".join(str(line) for line in header["HISTORY"])
    assert "No master dark: its temperature is" in history
    assert "No master flat: none was given." in history
    assert not result.complete


def test_without_a_gain_the_image_stays_in_adu(night: Night, tmp_path: Path) -> None:
    raw = night.camera.take("adu", "light", 60.0, light_adu=SKY_ADU, EGAIN=None, GAIN=120)
    result = calibrate_light(
        raw, tmp_path / "c.fits", bias=night.bias, dark=night.dark, flat=night.flat
    )
    with verified(tmp_path / "c.fits") as hdus:
        header, error = hdus[0].header, hdus["UNCERT"].data
    assert (result.unit, header["BUNIT"]) == ("adu", "adu")
    assert "GAIN" not in header
    assert header["GAINSET"] == 120
    assert any("gain is unknown" in note for note in result.notes)
    assert np.isfinite(error).all()
    assert result.sky_level == pytest.approx(SKY_ADU, rel=0.01)


def test_the_pedestal_is_not_counted_as_photons(night: Night, tmp_path: Path) -> None:
    dark = night.camera.take("empty", "light", 0.001)
    calibrate_light(dark, tmp_path / "c.fits", bias=night.bias, dark=None, flat=None)
    with fits.open(tmp_path / "c.fits") as hdus:
        # Read noise alone, and the master's 1/√25 of it; with the pedestal it were 41 e-.
        assert np.median(hdus["UNCERT"].data) == pytest.approx(READ_NOISE_ADU * GAIN, rel=0.06)


def test_saturated_and_missing_pixels(night: Night, tmp_path: Path) -> None:
    raw = night.camera.take("bright", "light", 60.0, light_adu=SKY_ADU)
    with fits.open(raw) as hdus:
        data, header = hdus[0].data.astype(np.float32), hdus[0].header.copy()
    data[5, 6], data[7, 8] = 65535, np.nan
    header["SATURATE"] = 65000
    path = tmp_path / "nan.fits"
    fits.PrimaryHDU(data, header).writeto(path)
    result = calibrate_light(
        path, tmp_path / "c.fits", bias=night.bias, dark=night.dark, flat=night.flat
    )
    with verified(tmp_path / "c.fits") as hdus:
        mask = hdus["MASK"].data
        assert np.isfinite(hdus[0].data).all()
        assert np.isfinite(hdus["UNCERT"].data).all()
        # That of raw counts is the level of nothing in this image; programs would believe it.
        assert "SATURATE" not in hdus[0].header
        assert "SATURATE of the raw header was 65000" in list(hdus[0].header["HISTORY"])
    assert (mask[5, 6], mask[7, 8]) == (MaskBit.SATURATED, MaskBit.NO_DATA)
    assert (result.saturated, result.masked) == (1, 3)


@pytest.mark.parametrize("cards", [{}, {"SATURATE": 65000}])
def test_where_the_saturation_is_unknown_it_is_said(
    night: Night, tmp_path: Path, cards: dict[str, int]
) -> None:
    raw = night.camera.take(f"float{len(cards)}", "light", 60.0, light_adu=SKY_ADU)
    with fits.open(raw) as hdus:
        data, header = hdus[0].data.astype(np.float32), hdus[0].header.copy()
    data[5, 6] = 65535
    header.update(cards)
    path = tmp_path / "float.fits"
    fits.PrimaryHDU(data, header).writeto(path)
    calibrate_light(path, tmp_path / "c.fits", bias=night.bias, dark=night.dark, flat=night.flat)
    made = fits.getheader(tmp_path / "c.fits")
    assert made["NSATUR"] == len(cards)
    said = "The saturation is unknown: no pixel is marked for it." in list(made["HISTORY"])
    assert said == (not cards)


def test_a_time_that_is_brought_to_utc_is_not_said_to_be_of_another_scale(
    night: Night, tmp_path: Path
) -> None:
    raw = night.camera.take("tai", "light", 60.0, light_adu=SKY_ADU)
    with fits.open(raw, mode="update") as hdus:
        hdus[0].header["DATE-OBS"] = "2024-03-10T02:00:37"
        hdus[0].header["MJD-OBS"] = 60379.083762  # the same
        hdus[0].header["TIMESYS"] = "TAI"
    calibrate_light(raw, tmp_path / "c.fits", bias=None, dark=None, flat=None)
    made = fits.getheader(tmp_path / "c.fits")
    assert made["DATE-OBS"] == "2024-03-10T02:00:00.000"
    assert made["TIMESYS"] == "UTC"
    assert "MJD-OBS" not in made
    assert "MJD-OBS of the raw header was 60379.083762 (TAI)" in list(made["HISTORY"])


def test_a_bogus_wcs_is_taken_out_and_a_real_one_kept(night: Night, tmp_path: Path) -> None:
    sky = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0,
           "CRPIX1": 40.0, "CRPIX2": 32.0, "CD1_1": 1e-4, "CD1_2": 0.0, "CD2_1": 0.0,
           "CD2_2": 1e-4}  # fmt: skip
    pixel = sky | {"CTYPE1": "PIXEL", "CTYPE2": "PIXEL"}
    for name, cards, kept in (("real", sky, True), ("bogus", pixel, False)):
        raw = night.camera.take(f"wcs_{name}", "light", 60.0, **cards)
        calibrate_light(raw, tmp_path / f"{name}.fits", bias=night.bias, dark=None, flat=None)
        header = fits.getheader(tmp_path / f"{name}.fits")
        assert ("CRVAL1" in header) == kept


def test_the_same_input_gives_the_same_bytes(night: Night, tmp_path: Path) -> None:
    raw = night.camera.take("again", "light", 60.0, light_adu=SKY_ADU)
    sums = set()
    for name, alone in (("a", False), ("b", False), ("alone", True)):
        target = tmp_path / name / "calib.fits"
        calibrate_light(raw, target, bias=night.bias, dark=night.dark, flat=night.flat, alone=alone)
        write_preview(target, target.with_suffix(".png"))
        sums.add((sha256_of(target), sha256_of(target.with_suffix(".png"))))
        assert sorted(path.name for path in target.parent.iterdir()) == ["calib.fits", "calib.png"]
    assert len(sums) == 1


def test_preview_of_any_image(tmp_path: Path) -> None:
    images = {
        "flat": np.ones((40, 60), np.float32),
        "nan": np.full((40, 60), np.nan, np.float32),
        "cube": np.zeros((3, 40, 60), np.uint16),
        "large": np.random.default_rng(1).normal(100, 3, (1700, 1800)).astype(np.float32),
        "strip": np.arange(2000, dtype=np.float32).reshape(2, 1000),
        "row": np.arange(4096, dtype=np.float32).reshape(1, 4096),
        "column": np.arange(4096, dtype=np.float64).reshape(4096, 1),
    }
    for name, data in images.items():
        fits.PrimaryHDU(data).writeto(tmp_path / f"{name}.fits")
        picture = write_preview(tmp_path / f"{name}.fits", tmp_path / f"{name}.png")
        assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_preview_does_not_depend_on_how_the_numbers_stand_in_the_file(tmp_path: Path) -> None:
    pixels = np.random.default_rng(3).normal(500, 30, (1700, 1651)).astype(np.float32)
    pixels[::97, ::89] = np.nan
    made = []
    for kind in (">f4", ">f8"):
        folder = tmp_path / kind
        folder.mkdir()
        fits.PrimaryHDU(pixels.astype(kind)).writeto(folder / "same.fits")
        made.append(write_preview(folder / "same.fits", folder / "same.png").read_bytes())
    assert made[0] == made[1]


# What cannot be: each is refused with its own error, and nothing is left behind.


def test_no_frames_and_frames_that_do_not_belong_together(tmp_path: Path) -> None:
    camera, target = Camera(tmp_path), tmp_path / "m.fits"
    with pytest.raises(NoFilesFound):
        make_master_bias([], target)
    short, long = camera.take("s", "dark", 30.0), camera.take("l", "dark", 60.0)
    with pytest.raises(UnusableFrame, match="30 to 60 s"):
        make_master_dark([short, long], target, bias=None)
    blue = camera.take("blue", "flat", 3.0, light_adu=20000, FILTER="B")
    green = camera.take("green", "flat", 3.0, light_adu=20000)
    with pytest.raises(UnusableFrame, match="several filters: B, V"):
        make_master_flat([blue, green], target, bias=None, dark=None)
    small = tmp_path / "small.fits"
    fits.PrimaryHDU(np.zeros((10, 12), np.uint16)).writeto(small)
    with pytest.raises(MixedShapes, match="12×10"):
        make_master_bias([camera.take("b", "bias", 0.0), small], target)
    truncated = tmp_path / "cut.fits"
    truncated.write_bytes(short.read_bytes()[:5000])
    with pytest.raises(UnreadableFile):
        make_master_bias([truncated], target)
    assert not target.exists()


def test_a_frame_of_three_rows_is_read_to_its_end_and_no_further(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    raw = rng.normal(1000, 5, (5, 3, 2048)).round().astype(np.uint16)
    paths = [tmp_path / f"bias{index}.fits" for index in range(5)]
    for path, pixels in zip(paths, raw, strict=True):
        fits.PrimaryHDU(pixels, fits.Header({"IMAGETYP": "bias"})).writeto(path)
    result = make_master_bias(paths, tmp_path / "m.fits")
    assert (result.left_out, result.median) == ((), pytest.approx(1000, abs=1))
    assert result.read_noise_adu == pytest.approx(5, rel=0.05)


def test_masters_are_not_stacked_into_masters(night: Night, tmp_path: Path) -> None:
    with pytest.raises(AlreadyCalibrated, match="COMBINED"):
        make_master_bias([night.bias, night.bias], tmp_path / "m.fits")


def test_a_calibrated_light_is_not_calibrated_again(night: Night, tmp_path: Path) -> None:
    raw = night.camera.take("twice", "light", 60.0)
    calibrate_light(raw, tmp_path / "c.fits", bias=night.bias, dark=None, flat=None)
    with pytest.raises(AlreadyCalibrated, match="BIASCOR"):
        calibrate_light(tmp_path / "c.fits", tmp_path / "d.fits", bias=None, dark=None, flat=None)
    assert not (tmp_path / "d.fits").exists()


def test_a_dark_that_holds_the_bias(night: Night, tmp_path: Path) -> None:
    whole = tmp_path / "whole.fits"
    result = make_master_dark(night.camera.many(5, "dark", 45.0), whole, bias=None)
    assert "cannot be scaled" in result.notes[0]
    raw = night.camera.take("with_whole_dark", "light", 45.0, light_adu=SKY_ADU)
    with pytest.raises(UnusableFrame, match="subtracted twice"):
        calibrate_light(raw, tmp_path / "c.fits", bias=night.bias, dark=whole, flat=None)
    fine = calibrate_light(raw, tmp_path / "c.fits", bias=None, dark=whole, flat=night.flat)
    assert fine.sky_level == pytest.approx(SKY_ADU * GAIN, rel=0.01)
    other = night.camera.take("other_time", "light", 50.0, light_adu=SKY_ADU)
    with pytest.raises(NoMasterDark, match="its bias is not subtracted"):
        calibrate_light(other, tmp_path / "d.fits", bias=None, dark=whole, flat=None)


def test_a_dark_is_scaled_only_where_that_is_allowed(night: Night, tmp_path: Path) -> None:
    raw = night.camera.take("unscaled", "light", 20.0)
    with pytest.raises(NoMasterDark, match="not scaled"):
        calibrate_light(
            raw,
            tmp_path / "c.fits",
            bias=night.bias,
            dark=night.dark,
            flat=None,
            options=ReductionOptions(scale_darks=False),
        )


def test_over_and_under_exposed_flats_are_left_out(night: Night, tmp_path: Path) -> None:
    camera = Camera(tmp_path, seed=5)
    good = [camera.take(f"good{i}", "flat", 3.0, light_adu=20000) for i in range(3)]
    white = camera.take("white", "flat", 3.0, light_adu=90000)
    black = camera.take("black", "flat", 3.0, light_adu=0.0)
    fits.setval(black, "EXPTIME", value=3.0)
    result = make_master_flat(
        [*good, white, black], tmp_path / "f.fits", bias=night.bias, dark=night.dark
    )
    assert set(good) <= set(result.inputs)
    assert white in [path for path, _ in result.left_out]
    with pytest.raises(UnusableFrame, match=r"white\.fits"):
        make_master_flat([white], tmp_path / "g.fits", bias=night.bias, dark=night.dark)


def test_flats_saturated_in_their_bright_middle_bend_no_flat(night: Night, tmp_path: Path) -> None:
    camera = Camera(tmp_path, seed=6)
    levels = (30000.0, 30000.0, 30000.0, 63000.0, 63000.0, 63000.0)
    paths = [
        camera.take(f"f{index}", "flat", 3.0, light_adu=level) for index, level in enumerate(levels)
    ]
    full = np.mean(fits.getdata(paths[-1]) == 65535)
    assert 0.1 < full < 0.5  # that the middle is lost there, and the frame is not
    result = make_master_flat(paths, tmp_path / "f.fits", bias=night.bias, dark=night.dark)
    assert result.left_out == ()
    with fits.open(tmp_path / "f.fits") as hdus:
        good = hdus["MASK"].data == 0
        ratio = np.where(good, hdus[0].data / np.where(good, camera.flat, 1), np.nan)
        error = np.median(hdus["UNCERT"].data[good])
    bright = fits.getdata(paths[-1]) == 65535
    middle, edge = (np.nanmedian(ratio[part]) for part in (bright, ~bright))
    assert middle / edge == pytest.approx(1, abs=0.002)
    assert error < 0.004


@pytest.mark.parametrize("kind", ["bias", "dark", "flat"])
def test_frames_without_a_value_make_no_master(night: Night, tmp_path: Path, kind: str) -> None:
    paths = [tmp_path / f"{kind}{index}.fits" for index in range(3)]
    header = fits.Header({"IMAGETYP": kind, "EXPTIME": 3.0, "INSTRUME": "TEST"})
    for path in paths:
        fits.PrimaryHDU(np.full(SHAPE, np.nan, np.float32), header).writeto(path)
    target = tmp_path / "m.fits"
    make = {
        "bias": make_master_bias,
        "dark": partial(make_master_dark, bias=night.bias),
        "flat": partial(make_master_flat, bias=night.bias, dark=None),
    }[kind]
    with pytest.raises(UnusableFrame, match=rf"{kind}0\.fits"):
        make(paths, target)
    assert not target.exists()


@pytest.mark.parametrize("gain", [None, 1.5])
def test_each_amplifier_has_its_own_read_noise(tmp_path: Path, gain: float | None) -> None:
    rng = np.random.default_rng(12)
    noises = np.repeat([4.0, 12.0], 60)
    sections = {"DATASEC1": "[1:60,1:90]", "DATASEC2": "[61:120,1:90]",
                "DETSEC1": "[1:60,1:90]", "DETSEC2": "[61:120,1:90]"}  # fmt: skip
    told = {} if gain is None else {"EGAIN1": gain, "EGAIN2": gain}

    def take(kind: str, exptime_s: float) -> list[Path]:
        paths = [tmp_path / f"{kind}{index}.fits" for index in range(12)]
        header = fits.Header({"IMAGETYP": kind, "EXPTIME": exptime_s, **sections, **told})
        for path in paths:
            pixels = 1000 + noises * rng.normal(0, 1, (90, 120))
            fits.PrimaryHDU(pixels.round().astype(np.uint16), header).writeto(path)
        return paths

    bias = make_master_bias(take("bias", 0.0), tmp_path / "bias.fits").path
    dark = make_master_dark(take("dark", 9.0), tmp_path / "dark.fits", bias=bias).path
    for path, truth in ((bias, 1000.0), (dark, 0.0)):
        with fits.open(path) as hdus:
            chi = (hdus[0].data - truth) / hdus["UNCERT"].data
        # 5400 pixels each: the standard error of χ² per pixel is 0.02.
        assert [np.mean(half**2) for half in np.hsplit(chi, 2)] == pytest.approx([1, 1], abs=0.08)


def test_a_single_flat_of_unknown_gain_is_not_free_of_noise(night: Night, tmp_path: Path) -> None:
    camera = Camera(tmp_path, seed=7)
    flat = camera.take("one", "flat", 3.0, light_adu=20000.0, EGAIN=None)
    made = make_master_flat([flat], tmp_path / "f.fits", bias=night.bias, dark=None)
    assert made.measured_gain_e_adu is None
    with fits.open(made.path) as hdus:
        good = hdus["MASK"].data == 0
        error = hdus["UNCERT"].data[good]
    # Photon noise of 1/sqrt(20000 · 1.7), and up to 0.6 % between neighbours for the response.
    photons = 1 / np.sqrt(20000 * GAIN)
    assert photons < np.median(error) < np.hypot(photons, 0.006 / np.sqrt(2))


def test_a_border_without_values_has_no_part_in_the_noise(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    header = fits.Header({"IMAGETYP": "bias", "EXPTIME": 0.0, "INSTRUME": "TEST"})
    paths = [tmp_path / f"bias{index}.fits" for index in range(3)]
    for path in paths:
        pixels = rng.normal(1000, 8, (200, 200)).astype(np.float32)
        pixels[:, 120:] = np.nan
        fits.PrimaryHDU(pixels, header).writeto(path)
    result = make_master_bias(paths, tmp_path / "m.fits")
    assert result.read_noise_adu == pytest.approx(8, rel=0.03)
    fits.setval(paths[0], "IMAGETYP", value="light")
    light = calibrate_light(paths[0], tmp_path / "c.fits", bias=None, dark=None, flat=None)
    assert light.unit == "adu"
    with fits.open(tmp_path / "c.fits") as hdus:
        error = hdus["UNCERT"].data[hdus["MASK"].data == 0]
    assert error == pytest.approx(8, rel=0.03)


def test_one_frame_without_a_value_leaves_the_read_noise_to_the_others(tmp_path: Path) -> None:
    rng = np.random.default_rng(10)
    header = fits.Header({"IMAGETYP": "bias", "EXPTIME": 0.0, "INSTRUME": "TEST"})
    paths = [tmp_path / f"bias{index}.fits" for index in range(2)]
    for path, noise in zip(paths, (6.0, np.nan), strict=True):
        pixels = 1000 + noise * rng.normal(0, 1, (200, 200))
        fits.PrimaryHDU(pixels.astype(np.float32), header).writeto(path)
    result = make_master_bias(paths, tmp_path / "m.fits")
    assert result.read_noise_adu == pytest.approx(6, rel=0.03)


def test_a_master_of_another_size_is_refused(night: Night, tmp_path: Path) -> None:
    fits.PrimaryHDU(np.zeros((10, 12), np.float32)).writeto(tmp_path / "small.fits")
    raw = night.camera.take("shape", "light", 60.0)
    with pytest.raises(MixedShapes, match=r"small\.fits is 12×10, but shape\.fits is 80×64"):
        calibrate_light(
            raw, tmp_path / "c.fits", bias=tmp_path / "small.fits", dark=None, flat=None
        )


def test_matching_reads_what_the_masters_tell(night: Night) -> None:
    from toros.imaging.matching import match_bias, match_dark, match_flat

    masters = [read_exposure(path) for path in (night.bias, night.dark, night.flat)]
    light = read_exposure(night.camera.take("match", "light", 120.0))
    chosen = [match(light, masters) for match in (match_bias, match_dark, match_flat)]
    assert [choice.chosen and choice.chosen.path for choice in chosen] == [
        night.bias, night.dark, night.flat,
    ]  # fmt: skip
    assert chosen[1].dark_scale == pytest.approx(2.0)


@pytest.mark.parametrize("text", [b"'ca\x00\x07m   '", b"'caf\xc3\xa9   '", b"\x00" * 10])
def test_a_card_with_what_no_card_may_hold_hides_no_other(
    night: Night, tmp_path: Path, text: bytes
) -> None:
    raw = night.camera.take(f"broken{len(text)}{text[4]}", "light", 60.0, light_adu=SKY_ADU)
    content = raw.read_bytes()
    at = content.index(b"FILTER  =")
    raw.write_bytes(content[:at] + b"FILTER  = " + text.ljust(70) + content[at + 80 :])
    info = read_exposure(raw)
    assert (info.image_type, info.exptime_s, info.instrument) == ("light", 60.0, "TEST")
    result = calibrate_light(raw, tmp_path / "c.fits", bias=night.bias, dark=None, flat=None)
    assert result.sky_level > 0
    with verified(tmp_path / "c.fits") as hdus:
        hdus.verify("exception")
        assert hdus[0].header["EXPTIME"] == 60.0


def test_cosmic_rays_are_replaced_and_marked(night: Night, tmp_path: Path) -> None:
    raw = night.camera.take("rays", "light", 60.0, light_adu=SKY_ADU)
    rays = [(20, 30), (40, 41), (41, 42), (50, 60)]
    with fits.open(raw, mode="update") as hdus:
        for at in rays:
            hdus[0].data[at] += 6000
    calibrate_light(raw, tmp_path / "as_is.fits", bias=night.bias, dark=night.dark, flat=night.flat)
    result = calibrate_light(
        raw,
        tmp_path / "c.fits",
        bias=night.bias,
        dark=night.dark,
        flat=night.flat,
        options=ReductionOptions(cosmic_rays=True),
    )
    with verified(tmp_path / "c.fits") as hdus:
        pixels, mask = hdus[0].data, hdus["MASK"].data
    as_is = fits.getdata(tmp_path / "as_is.fits")
    hit = (mask & MaskBit.COSMIC_RAY) != 0
    assert all(hit[at] for at in rays)
    assert result.cosmic_rays == hit.sum() < 10
    assert pixels[hit].max() < 1.3 * SKY_ADU * GAIN
    assert np.array_equal(pixels[~hit], as_is[~hit])


def test_without_a_gain_no_cosmic_rays_are_looked_for(night: Night, tmp_path: Path) -> None:
    raw = night.camera.take("norays", "light", 60.0, light_adu=SKY_ADU, EGAIN=None)
    options = ReductionOptions(cosmic_rays=True)
    result = calibrate_light(
        raw, tmp_path / "c.fits", bias=night.bias, dark=None, flat=None, options=options
    )
    assert result.cosmic_rays == 0
    assert any("not looked for" in note for note in result.notes)
