"""Frames over HTTP show the sky that the truth says, or the inside of the dome."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pytest
import requests
from astropy.io import fits
from astropy.wcs import WCS
from photutils.centroids import centroid_2dg

from tests.support.waiting import wait_until
from toros.common.clock import Clock
from toros.common.config import Config
from toros.common.config.simulator import CameraSettings, SimulatorSettings
from toros.simulator.observatory import Observatory
from toros.simulator.server import Simulator

SETTINGS = SimulatorSettings(
    discovery=False,
    camera=CameraSettings(width=512, height=400, hot_pixels=0.0, cosmic_rays_per_cm2_s=0.0),
)
RA, DEC = 197.4488, -23.3839


class Site:
    """The simulated observatory by plain HTTP."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        for kind in ("telescope", "dome", "camera", "filterwheel"):
            self.put(kind, "connected", Connected="True")

    def put(self, kind: str, member: str, **form: object) -> None:
        url = f"{self.simulator.url}/api/v1/{kind}/0/{member}"
        reply = requests.put(url, data=form, timeout=20).json()
        assert reply["ErrorNumber"] == 0, reply["ErrorMessage"]

    def get(self, kind: str, member: str) -> object:
        url = f"{self.simulator.url}/api/v1/{kind}/0/{member}"
        return requests.get(url, timeout=20).json()["Value"]

    def point(self) -> None:
        self.put("telescope", "unpark")
        self.put("telescope", "tracking", Tracking=True)
        self.put("telescope", "slewtocoordinatesasync", RightAscension=RA / 15.0, Declination=DEC)
        wait_until(lambda: not self.get("telescope", "slewing"), "the telescope")

    def open_dome(self, azim_deg: float) -> None:
        self.put("dome", "openshutter")
        self.put("dome", "slewtoazimuth", Azimuth=azim_deg % 360.0)
        wait_until(lambda: not self.get("dome", "slewing"), "the dome")

    def expose(self, exptime_s: float) -> tuple[np.ndarray, dict]:
        """Return the frame as image[y, x], and its truth."""
        self.put("camera", "startexposure", Duration=exptime_s, Light=True)
        wait_until(lambda: self.get("camera", "imageready"), "the image")
        reply = requests.get(
            f"{self.simulator.url}/api/v1/camera/0/imagearray",
            headers={"Accept": "application/imagebytes"},
            timeout=20,
        )
        shape = tuple(np.frombuffer(reply.content[32:40], "<i4"))
        image = np.frombuffer(reply.content[44:], "<u2").reshape(shape).T
        truth = requests.get(f"{self.simulator.url}/simulator/v1/truth", timeout=20).json()
        return image.astype(float), truth["exposures"][-1]


@pytest.fixture
def site() -> Iterator[Site]:
    clock = Clock.simulated(datetime(2017, 8, 17, 23, 40, tzinfo=UTC), 60.0)
    with Simulator(SETTINGS, clock, Config().site) as simulator:
        yield Site(simulator)


def test_stars_are_where_the_published_wcs_puts_them(site):
    site.put("filterwheel", "position", Position=1)
    site.point()
    site.open_dome(float(site.get("telescope", "azimuth")))
    image, truth = site.expose(60.0)
    assert truth["filter"] == "r"
    assert truth["light_fraction"] == 1.0
    scene = site.simulator.observatory.scene
    sources = scene.sources(truth["ra_deg"], truth["dec_deg"], "r", airmass=truth["airmass"])
    wcs = WCS(fits.Header(truth["wcs"]))
    bright = np.argsort(-sources.electrons_s)
    checked = 0
    for star in bright:
        x, y = wcs.all_world2pix(sources.ra_deg[star], sources.dec_deg[star], 0)
        near = np.hypot(sources.x - x, sources.y - y) < 14
        alone = sources.electrons_s[near].sum() < 1.03 * sources.electrons_s[star]
        inside = 20 < x < 491 and 20 < y < 379
        total = sources.electrons_s[star] * 60.0
        if not (alone and inside and 4e4 < total < 3e5):
            continue
        column, row = round(float(x)), round(float(y))
        stamp = image[row - 7 : row + 8, column - 7 : column + 8]
        stamp = stamp - np.median(stamp[[0, -1]])
        got_x, got_y = centroid_2dg(stamp)
        assert got_x + column - 7 == pytest.approx(float(x), abs=0.15)
        assert got_y + row - 7 == pytest.approx(float(y), abs=0.15)
        response = site.simulator.observatory.detector.flat_response("r")[row, column]
        assert stamp.sum() * 1.5 / response == pytest.approx(total, rel=0.12)
        checked += 1
    assert checked >= 5


def test_the_empty_sky_has_the_brightness_of_the_truth(site):
    site.point()
    site.open_dome(float(site.get("telescope", "azimuth")))
    image, truth = site.expose(100.0)
    detector = site.simulator.observatory.detector
    flat = detector.flat_response(truth["filter"])
    light = (image - detector.bias_adu) * 1.5 / flat
    expected = truth["sky_electrons_s"] * 100.0
    assert np.median(light) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("trouble", ["closed", "elsewhere"])
def test_no_light_comes_through_the_wall(site, trouble):
    site.point()
    if trouble == "elsewhere":
        site.open_dome(float(site.get("telescope", "azimuth")) + 90.0)
    image, truth = site.expose(60.0)
    assert truth["light_fraction"] == 0.0
    residual = image - site.simulator.observatory.detector.bias_adu
    dark = site.simulator.observatory.detector.dark_rate(truth["ccd_temp_c"]) * 60.0 / 1.5
    assert residual.mean() == pytest.approx(dark.mean(), abs=0.1)


def test_stars_trail_when_the_mount_does_not_track(site):
    site.point()
    site.put("telescope", "tracking", Tracking=False)
    site.open_dome(float(site.get("telescope", "azimuth")))
    _, truth = site.expose(20.0)
    # 15.04 arcseconds per second times cos(dec), over 8/9 of the exposure to each side's half.
    whole = 15.04 * np.cos(np.radians(DEC)) * 20.0
    assert truth["trail_arcsec"] == pytest.approx(whole * 4 / 9, rel=0.02)


def test_what_the_first_frame_costs_once_is_done_during_its_exposure():
    clock = Clock.simulated(datetime(2017, 8, 17, 23, 40, tzinfo=UTC), 1.0)
    settings = SimulatorSettings(discovery=False, camera=CameraSettings(width=96, height=64))
    observatory = Observatory(settings, clock, Config().site)
    camera, scene, detector = observatory.camera, observatory.scene, observatory.detector
    assert scene.memory.held_bytes == detector.memory.held_bytes == 0
    camera.start_exposure(3600.0, light=True)
    try:
        wait_until(lambda: scene.memory.held_bytes == 96 * 64 * 4, "the memory of the light")
        wait_until(lambda: detector.memory.held_bytes == 96 * 64 * 2, "the memory of the frame")
        assert not camera.image_ready()
    finally:
        observatory.close()
