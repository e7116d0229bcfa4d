from __future__ import annotations

import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given
from hypothesis import strategies as st

from toros.common.config.simulator import CameraSettings, SimulatorSettings, TransientSettings
from toros.simulator.astrometry import Moon
from toros.simulator.galaxies import Galaxy, add_galaxy, all_galaxies, galaxies_near
from toros.simulator.point_spread import add_stars
from toros.simulator.projection import Projection
from toros.simulator.scene import Scene, View
from toros.simulator.sky_brightness import sky_mag, twilight_mag
from toros.simulator.stars import density_factor, stars_near

KILONOVA = TransientSettings(
    name="AT2017gfo",
    ra=197.45037,
    dec=-23.38148,
    magnitude=17.4,
    start="2017-08-17T12:41:04Z",
    fade_mag_per_day=1.0,
)
NEW_MOON = Moon(0.0, 0.0, -30.0, 170.0)


def astropy_wcs(projection: Projection) -> WCS:
    header = fits.Header()
    header.update(projection.cards())
    return WCS(header)


@given(
    st.floats(0, 359.9),
    st.floats(-89.5, 89.5),
    st.floats(-180, 180),
    st.floats(0, 1023),
    st.floats(0, 1023),
)
def test_pixels_are_where_astropy_puts_them(ra, dec, rotation, x, y):
    projection = Projection(ra, dec, 1.6, 1024, 1024, rotation)
    with warnings.catch_warnings():
        sky = astropy_wcs(projection).all_pix2world(x, y, 0)
    got_x, got_y, ahead = projection.to_pixels(*sky)
    assert bool(ahead)
    assert float(got_x) == pytest.approx(x, abs=1e-5)
    assert float(got_y) == pytest.approx(y, abs=1e-5)


def test_north_is_up_and_east_is_left_in_a_fits_viewer():
    projection = Projection(100.0, -30.0, 1.0, 101, 101)
    x, y, _ = projection.to_pixels([100.01, 100.0], [-30.0, -29.99])
    assert x[0] < 50.0
    assert y[1] > 50.0


def test_the_sky_is_the_same_at_every_visit():
    first = stars_near(1, 30.0, -20.0, 0.3, 19.0)
    again = stars_near(1, 30.0, -20.0, 0.3, 19.0)
    assert np.array_equal(first.mag, again.mag)
    other = stars_near(2, 30.0, -20.0, 0.3, 19.0)
    assert len(other.mag) != len(first.mag) or not np.array_equal(other.mag, first.mag)


def test_overlapping_fields_share_their_stars():
    here = stars_near(1, 30.0, -20.0, 0.3, 19.0)
    beside = stars_near(1, 30.2, -20.0, 0.3, 19.0)
    both = set(zip(here.ra_deg, here.dec_deg, strict=True)) & set(
        zip(beside.ra_deg, beside.dec_deg, strict=True)
    )
    middle = (abs(here.ra_deg - 30.1) < 0.15) & (abs(here.dec_deg + 20.0) < 0.15)
    assert middle.sum() > 10
    assert all(pair in both for pair in zip(here.ra_deg[middle], here.dec_deg[middle], strict=True))


def test_a_deeper_limit_adds_stars_and_moves_none():
    bright = stars_near(1, 30.0, -20.0, 0.3, 17.0)
    deep = stars_near(1, 30.0, -20.0, 0.3, 20.0)
    assert set(bright.ra_deg) < set(deep.ra_deg)


@pytest.mark.parametrize(
    ("ra", "dec"), [(0.01, -30.0), (359.99, 10.0), (120.0, 89.9), (5.0, -90.0)]
)
def test_there_are_stars_across_the_seams(ra, dec):
    projection = Projection(ra, dec, 1.6, 1024, 1024)
    stars = stars_near(1, ra, dec, projection.radius_deg, 20.5)
    x, y, ahead = projection.to_pixels(stars.ra_deg, stars.dec_deg)
    inside = ahead & (abs(x - 511.5) < 512) & (abs(y - 511.5) < 512)
    quarters = [
        (inside & (sx * (x - 511.5) > 0) & (sy * (y - 511.5) > 0)).sum()
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    assert min(quarters) > 0.5 * max(quarters)


def test_star_counts_follow_the_table():
    """300 square degrees at a middle latitude: 250 × factor stars per square degree to 14 mag."""
    radius = 10.0
    stars = stars_near(3, 200.0, 0.0, radius, 14.0)
    near = np.hypot(stars.ra_deg - 200.0, stars.dec_deg) < 5.0
    rich = np.mean([density_factor(200.0 + dx, dy) for dx in (-3, 0, 3) for dy in (-3, 0, 3)])
    expected = 250.0 * rich * np.pi * 5.0**2
    assert near.sum() == pytest.approx(expected, rel=0.05)


def test_a_star_keeps_its_light_and_its_place():
    image = np.zeros((101, 101), np.float32)
    add_stars(image, np.array([50.3]), np.array([47.8]), np.array([1e5]), 3.0, 3.5)
    rows, columns = np.indices(image.shape)
    total = image.sum(dtype=float)
    assert total == pytest.approx(1e5, rel=2e-3)
    assert (image * columns).sum(dtype=float) / total == pytest.approx(50.3, abs=0.01)
    assert (image * rows).sum(dtype=float) / total == pytest.approx(47.8, abs=0.01)


def test_stars_off_the_edge_shed_only_their_wings():
    image = np.zeros((50, 60), np.float32)
    edges = np.array([-2.0, 25.0, 61.0, 25.0, 500.0])
    add_stars(image, edges, np.array([25.0, -2.0, 25.0, 51.0, 25.0]), np.full(5, 1e5), 3.0, 3.5)
    assert 0 < image.sum(dtype=float) < 1e5
    assert image[25, 0] > image[25, 10]


def test_a_galaxy_keeps_its_light():
    image = np.zeros((801, 801), np.float32)
    view = Projection(10.0, 0.0, 1.0, 801, 801)
    disc = Galaxy("disc", 10.0, 0.0, 12.0, 30.0, 0.6, 0.0, 1.0)
    add_galaxy(image, view, disc, 1e6, 3.0)
    assert image.sum(dtype=float) == pytest.approx(1e6, rel=0.02)
    bulge = Galaxy("bulge", 10.0, 0.0, 12.0, 20.0, 0.9, 0.0, 4.0)
    image[:] = 0
    add_galaxy(image, view, bulge, 1e6, 3.0)
    # Eight effective radii hold 93 % of a de Vaucouleurs profile, a square around them more.
    assert 0.92e6 < image.sum(dtype=float) < 1.0e6


@pytest.mark.parametrize(("angle", "wide"), [(0.0, "y"), (90.0, "x")])
def test_a_galaxy_lies_along_its_position_angle(angle, wide):
    image = np.zeros((301, 301), np.float32)
    add_galaxy(
        image,
        Projection(10.0, 0.0, 1.0, 301, 301),
        Galaxy("edge-on", 10.0, 0.0, 12.0, 20.0, 0.3, angle, 1.0),
        1e6,
        3.0,
    )
    rows, columns = np.indices(image.shape) - 150
    spread = {"x": (image * columns**2).sum(), "y": (image * rows**2).sum()}
    assert max(spread, key=spread.__getitem__) == wide


def test_the_host_of_gw170817_is_in_the_catalogue():
    names = [galaxy.name for galaxy in galaxies_near(197.45, -23.38, 0.1)]
    assert "NGC4993" in names
    assert len(all_galaxies()) > 9000


def test_truth_lists_what_is_in_the_frame():
    scene = Scene(SimulatorSettings(transients=(KILONOVA,)))
    sources = scene.sources(197.4488, -23.3839, "r", unix=KILONOVA.start.timestamp() + 43200.0)
    assert len(sources) > 100
    index = sources.name.index("AT2017gfo")
    assert sources.mag[index] == pytest.approx(17.9)
    sky = astropy_wcs(scene.projection(197.4488, -23.3839)).all_world2pix(
        sources.ra_deg, sources.dec_deg, 0
    )
    assert np.abs(sky[0] - sources.x).max() < 1e-6
    assert np.abs(sky[1] - sources.y).max() < 1e-6
    before = scene.sources(197.4488, -23.3839, "r", unix=KILONOVA.start.timestamp() - 60.0)
    assert "AT2017gfo" not in before.name


def test_drawn_light_is_the_light_of_the_truth():
    scene = Scene(SimulatorSettings(galaxies=False, camera=CameraSettings(width=400, height=300)))
    projection = scene.projection(80.0, -20.0)
    view = View(projection, scene.settings.filter("g"), 1.3, 2.5, None)
    image = scene.light(view, [(projection, 30.0)])
    truth = scene.sources(80.0, -20.0, "g", airmass=1.3)
    brightest = int(np.argmax(truth.electrons_s))
    x, y = round(truth.x[brightest]), round(truth.y[brightest])
    assert image.shape == (300, 400)
    assert image[y, x] == image.max()
    assert image.sum(dtype=float) == pytest.approx(30.0 * truth.electrons_s.sum(), rel=0.05)


def test_the_sky_brightens_with_the_sun_and_the_moon():
    mags = [twilight_mag(sun) for sun in (-20.0, -12.0, -8.0, -5.0, 0.0, 30.0)]
    assert mags == sorted(mags, reverse=True)
    full = Moon(0.0, 0.0, 60.0, 5.0)

    def sky(sun: float, moon: Moon) -> float:
        return sky_mag(21.2, 0.1, sun_alt_deg=sun, moon=moon, direction=(30.0, 0.0, 70.0))

    assert sky(-40.0, NEW_MOON) == pytest.approx(21.2, abs=0.1)
    # Under a full Moon the sky of a good site is of about the 18th magnitude.
    assert sky(-40.0, full) == pytest.approx(18.3, abs=0.7)
