"""The sky in pure numpy against astropy."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import AltAz, SkyCoord, get_body
from astropy.time import Time
from astropy.utils import iers
from hypothesis import given, settings
from hypothesis import strategies as st

from toros.sky.earth import ut1_minus_utc_s
from toros.sky.site import Site
from toros.sky.visibility import (
    airmass,
    altaz,
    altitude,
    hour_angle,
    moon_altitude,
    moon_separation,
    sun_altitude,
    sun_separation,
)

MACON = Site("Cordon Macon", -24.6226, -67.3218, 4650.0)
NIGHTS = [datetime(2017, 8, 17, 23, tzinfo=UTC), datetime(2026, 2, 3, 22, tzinfo=UTC)]
ARCMIN = 1 / 60


@pytest.fixture(autouse=True)
def _installed_earth_orientation() -> Iterator[None]:
    with (
        iers.conf.set_temp("auto_download", False),
        iers.earth_orientation_table.set(iers.IERS_A.open(iers.IERS_A_FILE)),
    ):
        yield


def _night(start: datetime, steps: int = 40) -> np.ndarray:
    return start.timestamp() + np.linspace(0, 10 * 3600, steps)


def _targets(count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(5)
    ra = random.uniform(0, 360, count)
    dec = np.degrees(np.arcsin(random.uniform(-1, 1, count)))
    return ra, dec


def _separation(alt1, az1, alt2, az2) -> np.ndarray:
    first = SkyCoord(az1 * u.deg, alt1 * u.deg)
    return first.separation(SkyCoord(az2 * u.deg, alt2 * u.deg)).deg


@pytest.mark.parametrize("start", NIGHTS)
def test_targets_agree_with_astropy(start: datetime) -> None:
    unix = _night(start)
    ra, dec = _targets()
    alt, azim = altaz(MACON, unix, ra, dec)
    assert alt.shape == azim.shape == (200, 40)
    assert np.allclose(altitude(MACON, unix, ra, dec), alt, atol=1e-10)
    frame = AltAz(obstime=Time(unix, format="unix")[np.newaxis], location=MACON.location)
    exact = SkyCoord(ra[:, np.newaxis] * u.deg, dec[:, np.newaxis] * u.deg).transform_to(frame)
    assert _separation(alt, azim, exact.alt.deg, exact.az.deg).max() < 0.05 * ARCMIN


def test_weeks_of_times_stay_exact() -> None:
    unix = NIGHTS[0].timestamp() + np.arange(0, 60) * 86400.0
    alt, azim = altaz(MACON, unix, 197.45, -23.38)
    frame = AltAz(obstime=Time(unix, format="unix"), location=MACON.location)
    exact = SkyCoord(197.45 * u.deg, -23.38 * u.deg).transform_to(frame)
    assert _separation(alt[0], azim[0], exact.alt.deg, exact.az.deg).max() < 0.05 * ARCMIN


@pytest.mark.parametrize("start", NIGHTS)
def test_sun_agrees_with_astropy(start: datetime) -> None:
    unix = _night(start)
    time = Time(unix, format="unix")
    frame = AltAz(obstime=time, location=MACON.location)
    exact = get_body("sun", time, MACON.location).transform_to(frame)
    assert np.abs(sun_altitude(MACON, unix) - exact.alt.deg).max() < 0.05 * ARCMIN
    ra, dec = _targets(20)
    gcrs = get_body("sun", time, MACON.location)
    targets = SkyCoord(ra[:, np.newaxis] * u.deg, dec[:, np.newaxis] * u.deg).transform_to(
        gcrs.frame.replicate_without_data()
    )
    wanted = targets.separation(gcrs).deg
    assert np.abs(sun_separation(MACON, unix, ra, dec) - wanted).max() < 1.0 * ARCMIN


@pytest.mark.parametrize("start", NIGHTS)
def test_moon_agrees_with_astropy(start: datetime) -> None:
    unix = _night(start)
    time = Time(unix, format="unix")
    moon = get_body("moon", time, MACON.location)
    exact = moon.transform_to(AltAz(obstime=time, location=MACON.location))
    assert np.abs(moon_altitude(MACON, unix) - exact.alt.deg).max() < 0.5 * ARCMIN
    ra, dec = _targets(50)
    targets = SkyCoord(ra[:, np.newaxis] * u.deg, dec[:, np.newaxis] * u.deg).transform_to(
        moon.frame.replicate_without_data()
    )
    wanted = targets.separation(moon).deg
    assert np.abs(moon_separation(MACON, unix, ra, dec) - wanted).max() < 0.5 * ARCMIN


def test_hour_angle_is_zero_on_the_meridian() -> None:
    unix = _night(NIGHTS[0], 600)
    angle = hour_angle(MACON, unix, 300.0, -60.0)[0]
    _, azim = altaz(MACON, unix, 300.0, -60.0)
    crossing = np.flatnonzero((angle[:-1] < 0) & (angle[1:] >= 0))
    # South of the zenith: a target on the upper meridian stands at 180°.
    assert azim[0][crossing[0]] == pytest.approx(180.0, abs=0.6)


def test_earth_orientation_agrees_with_astropy_through_a_leap_second() -> None:
    mjd = np.linspace(57750.0, 57760.0, 101)  # 2017-01-01 is MJD 57754
    exact = Time(mjd, format="mjd").delta_ut1_utc
    assert np.abs(ut1_minus_utc_s(mjd) - exact).max() < 1e-3


def test_far_future_needs_no_table_and_no_warning() -> None:
    unix = datetime(2060, 1, 1, tzinfo=UTC).timestamp()
    alt, _ = altaz(MACON, unix, 10.0, 10.0)
    assert np.isfinite(alt).all()


@given(alt=st.floats(-90, 90))
@settings(max_examples=200)
def test_airmass_is_one_at_the_zenith_and_never_less(alt: float) -> None:
    value = float(airmass(alt))
    assert value >= 1.0
    if alt > 30:
        assert value == pytest.approx(1 / np.sin(np.radians(alt)), rel=0.005)
    if alt <= 0:
        assert value == np.inf


def test_no_times_and_no_targets_are_empty() -> None:
    alt, azim = altaz(MACON, [], [1.0], [2.0])
    assert alt.shape == azim.shape == (1, 0)
    alt, _ = altaz(MACON, [0.0, 1.0], [], [])
    assert alt.shape == (0, 2)
