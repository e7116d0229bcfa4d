"""Frames that one night holds of several set-ups of a camera, reduced as one batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy.orm import Session, sessionmaker

from tests.support.night_frames import Camera
from toros.common.config import Config
from toros.preprocessor.reduce import BatchReport, reduce_folder

Reduce = Callable[..., BatchReport]


@pytest.fixture
def reduce(tmp_path: Path, sessions: sessionmaker[Session]) -> Reduce:
    def run(folder: Path, **settings: Any) -> BatchReport:
        quiet = {"previews": False, "report": False}
        config = Config.model_validate({"preprocessor": quiet | settings})
        return reduce_folder(folder, tmp_path / "out", sessions, config, config.make_clock())

    return run


def names(paths: Any) -> list[str]:
    return sorted(Path(path).name for path in paths)


def change(path: Path, pixels: Any = 0, **cards: Any) -> None:
    """Add cards to a raw frame, and ADU to its pixels."""
    header, data = fits.getheader(path), fits.getdata(path)
    for key, value in cards.items():
        header[key.replace("_", "-")] = value
    header.remove("BZERO", ignore_missing=True)
    raw = (data + pixels).astype(np.uint16)
    fits.PrimaryHDU(raw, header).writeto(path, overwrite=True)


def windows(folder: Path) -> None:
    """Write the frames of two windows of a detector; the bias rises along its rows."""
    for label, x_start in (("a", 0), ("b", 300)):
        camera = Camera(folder / label, random=np.random.default_rng(x_start))
        paths = [*camera.bias(), *camera.dark(), *camera.flat(), camera.light(f"light_{label}")]
        rising = x_start / 2 + np.arange(camera.width) / 2
        for path in paths:
            change(path, rising.round().astype(int), XORGSUBF=x_start, YORGSUBF=0)


def test_windows_of_one_size_have_masters_of_their_own(tmp_path: Path, reduce: Reduce) -> None:
    windows(tmp_path / "raw")
    report = reduce(tmp_path / "raw")
    assert report.document["problems"] == []
    of_masters = [one for one in report.document["products"] if one["kind"] != "calibrated"]
    for product in of_masters:
        folders = {Path(path).parent.name for path in product["inputs"] if "raw" in path}
        assert len(folders) <= 1, product
    assert names(one["kind"] for one in of_masters) == sorted(
        2 * ["master_bias", "master_dark", "master_flat", "bad_pixel_mask"]
    )
    for label in "ab":
        with fits.open(tmp_path / "out" / f"calib_light_{label}.fits") as hdus:
            bias = hdus[0].header["BIASCOR"]
            assert fits.getheader(tmp_path / "out" / bias)["XORGSUBF"] == (
                300 if label == "b" else 0
            )
            assert np.median(hdus[0].data) == pytest.approx(2000, rel=0.01)


def test_a_light_of_another_window_has_no_masters(tmp_path: Path, reduce: Reduce) -> None:
    camera = Camera(tmp_path / "raw")
    for path in (*camera.bias(), *camera.dark(), *camera.flat(), camera.light("own")):
        change(path, XORGSUBF=0, YORGSUBF=0)
    change(camera.light("other"), XORGSUBF=300, YORGSUBF=0)
    report = reduce(tmp_path / "raw")
    (problem,) = report.document["problems"]
    assert names(problem["units"]) == ["other.fits"]
    assert "its origin on the detector is (0, 0), not (300, 0)" in problem["message"]
    header = fits.getheader(tmp_path / "out" / "calib_other.fits")
    assert (header["STATUS"], header["BIASCOR"]) == ("PARTIAL", "NONE")
    assert fits.getheader(tmp_path / "out" / "calib_own.fits")["STATUS"] == "OK"


def test_where_only_the_set_point_is_told_darks_are_matched_by_it(
    tmp_path: Path, reduce: Reduce
) -> None:
    camera = Camera(tmp_path / "raw")
    cold = [*camera.bias(), *camera.dark(temp=-20.0), camera.light("cold"), *camera.flat()]
    warm = [*camera.dark(temp=0.0), camera.light("warm")]
    for frames, celsius, current in ((cold, -20.0, 0), (warm, 0.0, 150)):
        for path in frames:
            exposed = fits.getheader(path)["EXPTIME"] > 0
            change(path, current if exposed else 0, SET_TEMP=celsius)
            fits.delval(path, "CCD-TEMP")
    report = reduce(tmp_path / "raw")
    assert report.document["problems"] == []
    for name, celsius in (("cold", -20.0), ("warm", 0.0)):
        with fits.open(tmp_path / "out" / f"calib_{name}.fits") as hdus:
            dark = fits.getheader(tmp_path / "out" / hdus[0].header["DARKCOR"])
            assert (dark["SET-TEMP"], dark["NCOMBINE"]) == (celsius, 5)
            assert np.median(hdus[0].data) == pytest.approx(2000, rel=0.01)


def test_frames_of_two_offset_settings_have_biases_of_their_own(
    tmp_path: Path, reduce: Reduce
) -> None:
    camera = Camera(tmp_path / "raw")
    camera.dark()
    camera.flat()
    for path in (tmp_path / "raw").iterdir():
        change(path, OFFSET=(30, "Camera offset"))
    for offset in (30, 50):
        camera.folder = tmp_path / "raw" / str(offset)
        for path in (*camera.bias(), camera.light(f"at_{offset}")):
            change(path, 10 * (offset - 30), OFFSET=(offset, "Camera offset"))
    report = reduce(tmp_path / "raw")
    assert report.document["problems"] == []
    for offset in (30, 50):
        with fits.open(tmp_path / "out" / f"calib_at_{offset}.fits") as hdus:
            assert fits.getval(tmp_path / "out" / hdus[0].header["BIASCOR"], "OFFSET") == offset
            assert np.median(hdus[0].data) == pytest.approx(2000, rel=0.01)


def of_master_flat(report: BatchReport) -> list[str]:
    (flat,) = [one for one in report.document["products"] if one["kind"] == "master_flat"]
    return names(path for path in flat["inputs"] if "raw" in path)


def twilight(camera: Camera, *exptimes: float) -> list[Path]:
    """Write a flat of each exposure time."""
    paths = []
    for exptime in exptimes:
        (path,) = camera.flat(count=1, exptime=exptime)
        paths.append(path.rename(path.with_name(f"flat_{exptime:g}.fits")))
    return paths


def test_twilight_flats_have_the_dark_that_serves_them_all(tmp_path: Path, reduce: Reduce) -> None:
    camera = Camera(tmp_path / "raw")
    camera.bias()
    for exptime in (4.0, 30.0):
        camera.dark(exptime)
    flats = twilight(camera, 2, 3, 4, 5, 20)
    camera.light("ngc")
    report = reduce(tmp_path / "raw")
    assert report.document["problems"] == []
    assert of_master_flat(report) == names(flats)
    master = fits.getheader(
        tmp_path / "out" / fits.getval(tmp_path / "out/calib_ngc.fits", "FLATCOR")
    )
    assert fits.getval(tmp_path / "out" / master["DARKCOR"], "EXPTIME") == 30


def test_a_flat_that_no_dark_serves_does_not_cost_the_others(
    tmp_path: Path, reduce: Reduce
) -> None:
    camera = Camera(tmp_path / "raw")
    camera.bias()
    camera.dark(4.0)
    twilight(camera, 2, 3, 4, 5, 20)
    report = reduce(tmp_path / "raw", masters_from_other_batches=False)
    (problem,) = report.document["problems"]
    assert (problem["step"], problem["code"], problem["failed"]) == ("master_flat", 110, False)
    assert "flat_20.fits is left out" in problem["message"]
    assert "scaled up by 5, more than is allowed" in problem["message"]
    assert "flat_20.fits" not in of_master_flat(report)
    assert len(of_master_flat(report)) == 4
    states = {Path(one["path"]).name: one["state"] for one in report.document["exposures"]}
    assert (states["flat_20.fits"], states["flat_5.fits"]) == ("failed", "combined")


def test_without_biases_the_flats_of_the_dark_of_most_are_combined(
    tmp_path: Path, reduce: Reduce
) -> None:
    camera = Camera(tmp_path / "raw")
    for exptime in (2.0, 5.0, 9.0):
        camera.dark(exptime)
    for exptime, count in ((2.0, 2), (5.0, 1), (9.0, 4)):
        for path in camera.flat(count=count, exptime=exptime):
            path.rename(path.with_name(f"{path.stem}_{exptime:g}.fits"))
    report = reduce(tmp_path / "raw")
    assert of_master_flat(report) == [f"flat_V_{number}_9.fits" for number in range(4)]
    (problem,) = [one for one in report.document["problems"] if one["step"] == "master_flat"]
    assert problem["message"].count("its bias is not subtracted") == 3


def to_12_bits(path: Path) -> Any:
    """Make a frame one of a camera of 12 bits, whose driver multiplies its counts by 16."""
    header, data = fits.getheader(path), fits.getdata(path)
    header.remove("BZERO", ignore_missing=True)
    data = data // 16 * 16
    fits.PrimaryHDU(data, header).writeto(path, overwrite=True)
    return data


def test_a_camera_of_12_bits_is_saturated_at_its_own_ceiling(
    tmp_path: Path, reduce: Reduce
) -> None:
    camera = Camera(tmp_path / "raw", width=128)
    paths = [*camera.bias(), *camera.dark(), *camera.flat(count=2)]
    bright = [camera._expose(f"bright_{n}", "Flat Field", 30.0, 2e5, "V") for n in range(3)]
    star = np.zeros((48, 128))
    star[20:25, 30:34] = 1e6
    light = camera._expose("ngc", "Light Frame", 30.0, 2000 + star, "V")
    for path in (*paths, *bright, light):
        data = to_12_bits(path)
    assert data.max() == 65520
    report = reduce(tmp_path / "raw")
    (problem,) = report.document["problems"]
    assert problem["message"].count("Most of its pixels are saturated") == 3
    assert of_master_flat(report) == ["flat_V_0.fits", "flat_V_1.fits"]
    with fits.open(tmp_path / "out" / "calib_ngc.fits") as hdus:
        assert hdus[0].header["NSATUR"] == 20
        assert (hdus["MASK"].data[20:25, 30:34] != 0).all()


def test_of_a_colour_camera_no_colour_is_taken_for_dead(tmp_path: Path, reduce: Reduce) -> None:
    camera = Camera(tmp_path / "raw")
    colours = np.ones((48, 64))
    colours[::2, ::2], colours[1::2, 1::2] = 0.55, 0.35
    camera.bias()
    for number in range(5):
        light = 40000 * colours * camera.response()
        camera._expose(f"flat_{number}", "Flat Field", 1.0, light, "V")
    camera._expose("ngc", "Light Frame", 1.0, 2000 * colours * camera.response(), "V")
    report = reduce(tmp_path / "raw", missing_masters="calibrate")
    (problem,) = [one for one in report.document["problems"] if one["step"] == "bad_pixel_mask"]
    assert (problem["code"], problem["failed"]) == (100, False)
    assert "25 % of the pixels of master_flat_V_" in problem["message"]
    (mask,) = [one for one in report.document["products"] if one["kind"] == "bad_pixel_mask"]
    header = fits.getheader(mask["path"])
    assert (header["NBIT1"], header["NMASKED"]) == (0, 0)
    assert "25 % of the pixels" in " ".join(header["HISTORY"])
    with fits.open(tmp_path / "out" / "calib_ngc.fits") as hdus:
        assert not hdus["MASK"].data.any()
        assert np.median(hdus[0].data) == pytest.approx(2000 * colours.mean(), rel=0.02)


@pytest.mark.parametrize("missing_masters", ["calibrate", "fail"])
def test_darks_of_the_lights_own_time_need_no_biases(
    tmp_path: Path, reduce: Reduce, missing_masters: str
) -> None:
    camera = Camera(tmp_path / "raw")
    camera.dark()
    camera.flat()
    camera.light("whole")
    report = reduce(tmp_path / "raw", missing_masters=missing_masters)
    # Of the dark it is worth to know: it cannot be scaled.
    assert {one["step"] for one in report.document["problems"]} == {"master_dark"}
    assert report.failed == []
    with fits.open(tmp_path / "out" / "calib_whole.fits") as hdus:
        header = hdus[0].header
        assert (header["BIASCOR"], header["STATUS"]) == ("NONE", "OK")
        assert "No master bias: the master dark holds the bias." in list(header["HISTORY"])
        assert np.median(hdus[0].data) == pytest.approx(2000, rel=0.01)


def test_a_light_without_any_pedestal_is_partial(tmp_path: Path, reduce: Reduce) -> None:
    camera = Camera(tmp_path / "raw")
    camera.dark(exptime=300.0)
    camera.light("short")
    report = reduce(tmp_path / "raw")
    (problem,) = (one for one in report.document["problems"] if one["step"] == "calibrate")
    assert problem["code"] == 104
    assert fits.getheader(tmp_path / "out" / "calib_short.fits")["STATUS"] == "PARTIAL"
