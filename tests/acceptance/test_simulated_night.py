"""The main job as its user runs it: one command, a whole night, real processes.

The night is run once; every test looks at what it left.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from tests.acceptance import truth
from tests.support.processes import children_of, toros_processes
from tests.support.terminal import Terminal
from tests.support.waiting import wait_until
from toros.common.config import load_config

pytestmark = pytest.mark.timeout(600)

CLOSED = "closing → closed: telescope parked, dome closed"


@dataclass(frozen=True)
class FinishedNight:
    """What a night left: its folder, its document and what it said."""

    folder: Path
    document: dict[str, Any]
    said: str

    def products(self, kind: str) -> list[Path]:
        return [Path(p["path"]) for p in self.document["products"] if p["kind"] == kind]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> FinishedNight:
    folder = tmp_path_factory.mktemp("night")
    command = [sys.executable, "-m", "toros", "night", "--simulated", "--replay", "gw170817"]
    done = subprocess.run(
        [*command, "--out", str(folder), "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return FinishedNight(folder, json.loads(done.stdout), done.stderr)


def test_ngc_4993_is_ranked_first_and_observed(night: FinishedNight) -> None:
    first = night.document["targets"][0]
    assert (first["name"], first["rank"], first["observed"]) == ("NGC 4993", 1, True)
    assert night.document["event"] == "GW170817"
    assert night.document["night"] == "2017-08-17"


def test_the_alert_went_through_every_stage_in_order(night: FinishedNight) -> None:
    (alert,) = night.document["alerts"]
    assert alert["event"] == "GW170817"
    times = [stage["time"] for stage in alert["stages"]]
    assert len(times) == 6
    assert times == sorted(times)


def test_every_kind_of_frame_was_taken(night: FinishedNight) -> None:
    kinds = Counter(frame["image_type"] for frame in night.document["frames"])
    assert kinds["bias"] == kinds["dark"] == kinds["flat"] == 5
    assert kinds["light"] >= 8
    for frame in night.document["frames"]:
        assert Path(frame["path"]).is_file()


def test_every_light_is_calibrated_with_all_three_masters(night: FinishedNight) -> None:
    lights = [f for f in night.document["frames"] if f["image_type"] == "light"]
    calibrated = night.products("calibrated")
    assert len(calibrated) == len(lights)
    for path in calibrated:
        with fits.open(path, checksum=True) as file:
            header = file[0].header
            names = [header[key] for key in ("BIASCOR", "DARKCOR", "FLATCOR")]
            assert file[0].data.dtype == np.dtype(">f4")
            assert {hdu.name for hdu in file} >= {"UNCERT", "MASK"}
        for name in names:
            assert (path.parent / name).is_file()


def test_the_weather_stands_in_the_headers_of_the_lights(night: FinishedNight) -> None:
    lights = [f for f in night.document["frames"] if f["image_type"] == "light"]
    headers = [fits.getheader(frame["path"]) for frame in lights]
    assert all("AMBTEMP" in header and "HUMIDITY" in header for header in headers)


def test_nothing_went_wrong_and_the_dome_was_closed_last(night: FinishedNight) -> None:
    assert night.document["problems"] == []
    told = [entry["what"] for entry in night.document["timeline"]]
    assert any(what.endswith(CLOSED) for what in told)
    log = (night.folder / "logs" / "toros.log").read_text()
    assert " ERROR " not in log
    assert "Traceback" not in log


def test_there_are_pictures_and_the_document_is_on_disk(night: FinishedNight) -> None:
    for name in ("night.png", "NGC4993.png"):
        assert (night.folder / name).read_bytes().startswith(b"\x89PNG")
    assert json.loads((night.folder / "night.json").read_text()) == night.document


def test_no_process_is_left(night: FinishedNight) -> None:
    assert toros_processes(night.folder) == []


def test_raw_frames_say_what_the_simulator_did(night: FinishedNight) -> None:
    config = load_config(night.folder / "toros.conf.yaml")
    frame = next(f for f in night.document["frames"] if f["object"] == "NGC 4993")
    header = fits.getheader(frame["path"])
    assert header["IMAGETYP"].lower().startswith("light")
    assert header["GAIN"] == pytest.approx(config.simulator.camera.gain_e_adu)
    assert header["SITELAT"] == pytest.approx(config.site.latitude)
    assert (header["NAXIS1"], header["NAXIS2"]) == (1024, 1024)


def test_ctrl_c_on_a_terminal_parks_closes_and_leaves_no_process(tmp_path: Path) -> None:
    """On a terminal, so that the live view is drawn; Ctrl-C is typed, as a person does."""
    command = [sys.executable, "-m", "toros", "night", "--simulated", "--out", str(tmp_path)]
    with Terminal(command, rows=42, columns=120) as terminal:
        log = tmp_path / "logs" / "toros.log"
        wait_until(
            lambda: log.exists() and "The dome is open." in log.read_text(),
            "the dome to open",
            seconds=200,
        )
        assert len(children_of(terminal.pid)) == 5
        wait_until(lambda: "night: twilight flats" in terminal.shown(), "the live view")
        terminal.type("\x03")
        status = terminal.wait(120)
    said = terminal.shown()
    assert status == 130, said[-2000:]
    assert "Interrupted: parking the telescope and closing the dome" in said
    assert "Traceback" not in said
    assert toros_processes(tmp_path) == []
    assert CLOSED in log.read_text()
    report = json.loads((tmp_path / "night.json").read_text())
    reasons = {target["reason"] for target in report["targets"]}
    assert reasons == {"still queued when the night was closed"}


def test_master_bias_and_dark_are_the_detector_s_within_noise(night: FinishedNight) -> None:
    config = load_config(night.folder / "toros.conf.yaml")
    camera, detector = config.simulator.camera, truth.detector(config)
    (bias,), (dark,) = night.products("master_bias"), night.products("master_dark")
    # Read noise and rounding to whole ADU, over the root of five frames; a clipped mean of five
    # loses little, and the dark carries the bias's noise as well.
    one = np.hypot(camera.read_noise_e / camera.gain_e_adu, np.sqrt(1 / 12)) / np.sqrt(5)
    residual = truth.pixels(bias) - detector.bias_adu
    assert truth.robust_sigma(residual) == pytest.approx(one, rel=0.15)
    assert abs(np.median(residual)) < 0.05 * one

    header = fits.getheader(dark)
    electrons = detector.dark_rate(header["CCD-TEMP"]) * header["EXPTIME"]
    residual = truth.pixels(dark) - electrons / camera.gain_e_adu
    shot = np.sqrt(np.median(electrons) / 5) / camera.gain_e_adu
    assert truth.robust_sigma(residual) == pytest.approx(np.hypot(np.sqrt(2) * one, shot), rel=0.15)
    assert abs(np.median(residual)) < 0.1 * one


def test_master_flat_is_the_detector_s_response_within_noise(night: FinishedNight) -> None:
    config = load_config(night.folder / "toros.conf.yaml")
    (flat,) = night.products("master_flat")
    header = fits.getheader(flat)
    assert np.median(truth.pixels(flat)) == pytest.approx(1.0, abs=0.02)
    response = truth.detector(config).flat_response(header["FILTER"])
    ratio = truth.pixels(flat) / response
    ratio /= np.median(ratio)
    # Five flats of at least 15 % of 65535 ADU: photon noise is below this.
    photons = 5 * 0.15 * 65535 * config.simulator.camera.gain_e_adu
    assert truth.robust_sigma(ratio) < 1.3 / np.sqrt(photons)
    blocks = np.median(ratio.reshape(16, 64, 16, 64), axis=(1, 3))
    assert np.abs(blocks - 1).max() < 0.002


def test_calibrated_sky_is_even_and_as_noisy_as_its_photons(night: FinishedNight) -> None:
    path = next(p for p in night.products("calibrated") if "NGC4993" in p.name)
    with fits.open(path) as file:
        image = np.asarray(file[0].data, dtype=np.float64)
        uncertainty = np.asarray(file["UNCERT"].data, dtype=np.float64)
        sky = float(file[0].header["SKYLEVEL"])
    blocks = np.median(image.reshape(16, 64, 16, 64), axis=(1, 3))
    # Unresolved light of stars is part of the median of a block.
    assert truth.robust_sigma(blocks) / sky < 0.005
    tiles = image.reshape(64, 16, 64, 16).swapaxes(1, 2).reshape(-1, 256)
    noise = np.median([truth.robust_sigma(tile) for tile in tiles])
    assert noise == pytest.approx(np.median(uncertainty), rel=0.05)


def test_stars_are_as_wide_as_the_simulator_made_them(night: FinishedNight) -> None:
    settings = load_config(night.folder / "toros.conf.yaml").simulator
    ratios = []
    for path in night.products("calibrated"):
        header = fits.getheader(path)
        seeing = settings.seeing_arcsec * header["AIRMASS"] ** 0.6
        ratios.append(header["FWHM"] * settings.camera.pixel_scale_arcsec / seeing)
    # Narrow stars with wings come out a little too wide.
    assert 0.99 < min(ratios) <= max(ratios) < 1.06


def test_stars_are_where_the_simulator_put_them(night: FinishedNight) -> None:
    config = load_config(night.folder / "toros.conf.yaml")
    measured = [
        truth.measure_stars(path, config)
        for path in night.products("calibrated")
        if "NGC4993" in path.name
    ]
    offset = np.concatenate([stars.offset_px for stars in measured])
    ratio = np.concatenate([stars.flux_ratio for stars in measured])
    assert len(offset) >= 20
    assert np.abs(np.median(offset, axis=0)).max() < 0.1  # pixels
    assert np.median(np.hypot(*offset.T)) < 0.2
    # The aperture holds most of a Moffat profile's light, the same share for every star.
    assert 0.9 < np.median(ratio) < 1.02
    assert truth.robust_sigma(ratio) < 0.03
