"""A plate solver that is not ours finds where the simulated camera looked."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import requests
from astropy.io import fits
from astropy.wcs import WCS

from tests.support.waiting import wait_until
from toros.alpaca import open_camera
from toros.common.clock import Clock
from toros.common.config import Config, Device
from toros.common.config.simulator import CameraSettings, SimulatorSettings
from toros.simulator.astrometry import separation_deg
from toros.simulator.scene import Scene
from toros.simulator.server import Simulator
from toros.simulator.tycho import FOLDER, find_catalogue

SCALE_ARCSEC = 10.0
# A field of 2.8°: the index files of Debian's smallest package begin at 60′.
SETTINGS = SimulatorSettings(
    discovery=False,
    galaxies=False,
    seeing_arcsec=22.0,
    camera=CameraSettings(
        width=1024, height=1024, pixel_scale_arcsec=SCALE_ARCSEC, rotation=31.0, readout_s=0.0
    ),
)
NIGHT = datetime(2017, 8, 18, 3, 0, tzinfo=UTC)

needs_stars = pytest.mark.skipif(
    find_catalogue(FOLDER) is None,
    reason=f"no index-tycho2-*.fits in {FOLDER} (apt-get install astrometry-data-tycho2-10-19)",
)
needs_solver = pytest.mark.skipif(
    shutil.which("solve-field") is None,
    reason="no solve-field (apt-get install astrometry.net)",
)


def take(simulator: Simulator, ra_deg: float, dec_deg: float) -> np.ndarray:
    """Return a frame as our client gets it, from a telescope that points there."""

    def put(kind: str, member: str, **form: object) -> None:
        url = f"{simulator.url}/api/v1/{kind}/0/{member}"
        assert requests.put(url, data=form, timeout=20).json()["ErrorNumber"] == 0

    def get(kind: str, member: str) -> object:
        url = f"{simulator.url}/api/v1/{kind}/0/{member}"
        return requests.get(url, timeout=20).json()["Value"]

    for kind in ("telescope", "dome"):
        put(kind, "connected", Connected=True)
    put("telescope", "unpark")
    put("telescope", "tracking", Tracking=True)
    put("telescope", "slewtocoordinatesasync", RightAscension=ra_deg / 15.0, Declination=dec_deg)
    put("dome", "openshutter")
    wait_until(lambda: not get("telescope", "slewing"), "the telescope")
    put("dome", "slewtoazimuth", Azimuth=get("telescope", "azimuth"))
    wait_until(lambda: not get("dome", "slewing"), "the dome")
    camera = open_camera(Device(alpaca=simulator.url, number=0), simulator.observatory.clock)
    return camera.expose(2.0, light=True).pixels


@needs_stars
@needs_solver
def test_solve_field_finds_where_the_camera_looked(tmp_path: Path) -> None:
    ra, dec = 290.0, -35.0
    with Simulator(SETTINGS, Clock.simulated(NIGHT, 100.0), Config().site) as simulator:
        pixels = take(simulator, ra, dec)
        truth = simulator.observatory.camera.truths[-1]
    frame = tmp_path / "frame.fits"
    fits.writeto(frame, pixels)
    scale = ("--scale-units", "arcsecperpix", "--scale-low", "8", "--scale-high", "12")
    done = subprocess.run(
        [
            str(shutil.which("solve-field")),
            "--no-plots",
            "--no-remove-lines",
            "--uniformize",
            "0",
            *scale,
            frame,
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert (tmp_path / "frame.solved").exists(), done.stdout[-2000:] + done.stderr[-2000:]
    solved = WCS(fits.getheader(tmp_path / "frame.new"))
    centre = solved.pixel_to_world(511.5, 511.5).icrs
    off = separation_deg(centre.ra.deg, centre.dec.deg, truth.ra_deg, truth.dec_deg) * 3600.0
    assert off < 0.5 * SCALE_ARCSEC
    told = WCS(fits.Header(truth.wcs))
    corner = solved.pixel_to_world(0.0, 0.0).icrs
    expected = told.pixel_to_world(0.0, 0.0)
    assert corner.separation(expected).arcsec < 1.5 * SCALE_ARCSEC


@needs_stars
@pytest.mark.parametrize(
    ("name", "ra_deg", "dec_deg", "v_mag"),
    [
        # SIMBAD: positions J2000, V. Tycho-2 is of epoch 1991.25 here: bright and slow stars only.
        ("Rigel", 78.634467, -8.201638, 0.13),
        ("Deneb", 310.357980, 45.280339, 1.25),
        ("Acrux", 186.649563, -63.099093, 0.76),
        ("Antares", 247.351915, -26.432003, 0.91),
    ],
)
def test_bright_stars_are_where_the_sky_has_them(name, ra_deg, dec_deg, v_mag):
    found = find_catalogue(FOLDER).near(ra_deg, dec_deg, 0.02)
    brightest = int(np.argmin(found.mag))
    off = separation_deg(found.ra_deg[brightest], found.dec_deg[brightest], ra_deg, dec_deg)
    assert off * 3600.0 < 3.0, name
    assert found.mag[brightest] == pytest.approx(v_mag, abs=0.8)


@needs_stars
def test_no_made_up_star_is_as_bright_as_the_catalogue():
    scene = Scene(SETTINGS)
    catalogue = find_catalogue(FOLDER)
    seen = scene.sources(120.0, -20.0, "r")
    real = catalogue.near(120.0, -20.0, 3.0)
    for index in np.flatnonzero(seen.mag < catalogue.faintest_mag - 0.1):
        away = np.hypot(
            (real.ra_deg - seen.ra_deg[index]) * np.cos(np.radians(20.0)),
            real.dec_deg - seen.dec_deg[index],
        )
        assert away.min() * 3600.0 < 0.1


def test_without_catalogue_the_sky_is_made_up(tmp_path):
    assert find_catalogue(tmp_path) is None
    (tmp_path / "index-tycho2-07.fits").write_bytes(b"no FITS file")
    settings = SETTINGS.model_copy(update={"star_folder": tmp_path})
    made = Scene(settings).sources(120.0, -20.0, "r")
    plain = Scene(SETTINGS.model_copy(update={"real_stars": False})).sources(120.0, -20.0, "r")
    assert np.array_equal(made.mag, plain.mag)
    assert len(plain) > 100
