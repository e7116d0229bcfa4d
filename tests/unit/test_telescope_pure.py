"""Pointing limits and the exposure times of twilight flats."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import EarthLocation, SkyCoord, get_body
from astropy.time import Time
from hypothesis import given
from hypothesis import strategies as st

from toros.common.config.telescope import FlatSettings, Limits, TelescopeSettings
from toros.common.errors import NotObservable
from toros.sky.night import twilights
from toros.sky.site import Site
from toros.telescope.dome_orders import DomeView
from toros.telescope.flats import (
    FADING_DEX_PER_S,
    SkyLevel,
    accepted,
    advise,
    bright_to_dark,
    measure,
)
from toros.telescope.pointing import (
    altaz_at,
    azimuth_difference_deg,
    check_pointing,
    equatorial_of,
    flat_field,
    horizon_at,
    separation_deg,
    why_not_now,
)
from toros.telescope.preemption import worth_dropping
from toros.telescope.sun_path import check_way

MACON = Site("Cordon Macon", -24.6226, -67.3218, 4650.0)
DUSK = datetime(2017, 8, 17, 22, 30, tzinfo=UTC).timestamp()
MAX_ADU = 65535.0


@given(st.floats(0, 360), st.floats(-90, 90), st.floats(0, 360), st.floats(-90, 90))
def test_separation_is_that_of_astropy(ra1: float, dec1: float, ra2: float, dec2: float) -> None:
    first, second = SkyCoord(ra1 * u.deg, dec1 * u.deg), SkyCoord(ra2 * u.deg, dec2 * u.deg)
    expected = first.separation(second).deg
    assert separation_deg(ra1, dec1, ra2, dec2) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("one", "other", "off"), [(359, 1, 2), (10, 350, 20), (0, 180, 180)])
def test_azimuths_wrap(one: float, other: float, off: float) -> None:
    assert azimuth_difference_deg(one, other) == pytest.approx(off)


def test_the_flat_field_is_opposite_the_sun() -> None:
    ra, dec = flat_field(MACON, DUSK, 75.0)
    altitude, azimuth = altaz_at(MACON, DUSK, ra, dec)
    assert altitude == pytest.approx(75.0, abs=0.3)
    assert azimuth == pytest.approx(282.0 - 180.0, abs=3.0)  # the Sun sets at azimuth 282°


def test_no_slew_below_the_horizon_or_to_the_sun() -> None:
    settings = TelescopeSettings()
    with pytest.raises(NotObservable, match="horizon"):
        check_pointing(MACON, DUSK, 37.0, 89.0, settings)
    noon = datetime(2017, 8, 17, 16, 30, tzinfo=UTC).timestamp()
    with pytest.raises(NotObservable, match="from the Sun"):
        check_pointing(MACON, noon, 147.0, 13.5, settings)
    check_pointing(MACON, DUSK, 197.449, -23.384, settings)


NOON = datetime(2017, 8, 17, 16, 30, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ((97.0, 13.5), (197.0, 13.5)),  # straight through it
        ((147.0, -40.0), (147.0, 50.0)),
        ((100.0, 20.0), (190.0, -5.0)),
        ((110.0, -12.0), (195.0, 20.0)),
    ],
)
def test_no_slew_past_the_sun_and_a_way_around_it_is_named(
    start: tuple[float, float], end: tuple[float, float]
) -> None:
    settings = TelescopeSettings(horizon_deg=-2.0)
    sun = get_body("sun", Time(NOON, format="unix")).icrs
    sun = SkyCoord(sun.ra, sun.dec)
    for place in (start, end):  # neither of them is near it
        assert SkyCoord(*place, unit="deg").separation(sun).deg > settings.sun_cone_deg
    with pytest.raises(NotObservable, match="pass the Sun") as refusal:
        check_way(MACON, NOON, start, end, settings)
    said = re.search(r"by way of RA ([\d.]+)°, Dec ([+-][\d.]+)°", refusal.value.message)
    assert said is not None
    around = (float(said[1]), float(said[2]))
    for leg in ((start, around), (around, end)):
        check_way(MACON, NOON, *leg, settings)
        first, last = (SkyCoord(*place, unit="deg") for place in leg)
        length, bearing = first.separation(last), first.position_angle(last)
        on_it = first.directional_offset_by(bearing, np.linspace(0, 1, 50) * length)
        assert on_it.separation(sun).deg.min() > settings.sun_cone_deg - 0.6


def test_a_slew_away_from_the_sun_is_free_and_at_night_every_one() -> None:
    settings = TelescopeSettings()
    near, sky = (147.0, 13.5 - 10.0), (147.0, -20.0)
    check_way(MACON, NOON, near, sky, settings)
    with pytest.raises(NotObservable):
        check_way(MACON, NOON, near, (147.0, 50.0), settings)
    night = DUSK + 3600.0
    check_way(MACON, night, (97.0, 13.5), (197.0, 13.5), settings)
    check_way(MACON, NOON, (97.0, 13.5), (197.0, 13.5), TelescopeSettings(sun_cone_deg=0.0))


@pytest.mark.parametrize("latitude", [-24.6, 0.5, 55.0])
@pytest.mark.parametrize("park", [(30.0, 180.0), (89.0, 0.0), (24.6, 180.0), (0.5, 0.0)])
def test_the_flats_of_no_dusk_are_lost_by_the_way_to_them(
    latitude: float, park: tuple[float, float]
) -> None:
    site, tried = Site("there", latitude, 0.0, 0.0), 0
    for day in range(0, 365, 20):
        dusk = twilights(site, date(2026, 1, 1) + timedelta(days=day)).sunset
        assert dusk is not None
        for later in range(0, 900, 300):
            unix = dusk.timestamp() + later
            ra, dec = equatorial_of(site, unix, *park)
            start, end = (float(ra), float(dec)), flat_field(site, unix, 75.0)
            check_way(site, unix, start, end, TelescopeSettings())
            tried += 1
    assert tried == 57


def test_an_exposure_that_ends_too_low_is_refused_before_it_begins() -> None:
    late = datetime(2017, 8, 18, 0, 12, tzinfo=UTC).timestamp()
    limits = Limits()
    assert why_not_now(MACON, late, late + 60, 197.449, -23.384, limits) == ""
    assert "altitude falls" in why_not_now(MACON, late, late + 900, 197.449, -23.384, limits)
    assert "Sun" in why_not_now(MACON, DUSK, DUSK + 60, 197.449, -23.384, limits)
    expires = datetime.fromtimestamp(late + 60, UTC)
    assert why_not_now(MACON, late, late + 60, 197.449, -23.384, limits, expires) == ""
    assert "expires" in why_not_now(MACON, late, late + 61, 197.449, -23.384, limits, expires)


def test_an_exposure_during_which_the_moon_comes_too_near_is_refused_before_it_begins() -> None:
    begin = datetime(2017, 9, 1, 1, tzinfo=UTC).timestamp()
    ra, dec = 310.0, -25.0
    site = EarthLocation.from_geodetic(MACON.longitude_deg, MACON.latitude_deg, MACON.elevation_m)
    times = Time([begin, begin + 3600, begin + 7200], format="unix")
    seen = get_body("moon", times, site)
    away = seen.separation(SkyCoord(ra * u.deg, dec * u.deg).transform_to(seen)).deg
    assert away[0] > away[1] > 29.3 > away[2]  # of the Moon of that night, by astropy
    limits = Limits(min_moon_separation_deg=29.3)
    assert why_not_now(MACON, begin, begin + 3600, ra, dec, limits) == ""
    why = why_not_now(MACON, begin + 3600, begin + 7200, ra, dec, limits)
    assert why == f"{away[2]:.1f}° from the Moon, within 29.3°"


def evening(rate_adu_s: float, fading: float, settings: FlatSettings) -> tuple[list[float], float]:
    """Go through a dusk that fades by `fading` times Tyson & Gal; return levels, and the end."""
    sky: SkyLevel | None = None
    now, kept = 0.0, []
    while now < 7200 and len(kept) < settings.count:
        advice = advise(sky, now, MAX_ADU, settings)
        if advice.wait_s is not None:
            now, sky = now + advice.wait_s, None
            continue
        if advice.exptime_s is None:
            break
        middle = now + advice.exptime_s / 2
        true_rate = rate_adu_s * 10 ** (-fading * FADING_DEX_PER_S * middle)
        level = min(1000 + true_rate * advice.exptime_s, MAX_ADU)
        sky = measure(level, 1000.0, advice.exptime_s, now, MAX_ADU)
        if accepted(level, MAX_ADU, settings):
            kept.append(level)
        now += advice.exptime_s + 8.0
    return kept, now


@pytest.mark.parametrize("fading", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("rate", [3e6, 3e5, 2e4])
def test_flats_reach_their_level_in_dusks_of_any_pace(rate: float, fading: float) -> None:
    settings = FlatSettings()
    kept, _ = evening(rate, fading, settings)
    assert len(kept) == settings.count
    wanted = settings.level_fraction * MAX_ADU
    # The first may be a lucky trial; the others follow the measured sky.
    assert np.median(kept) == pytest.approx(wanted, rel=0.15)


def test_a_sky_that_is_too_faint_ends_the_flats() -> None:
    kept, now = evening(10.0, 1.0, FlatSettings())
    assert kept == []
    assert now < 60


@given(st.floats(-1e3, 1e9), st.floats(0, 7200))
def test_advice_is_always_within_bounds(rate: float, now: float) -> None:
    settings = FlatSettings()
    advice = advise(SkyLevel(rate, 0.0), now, MAX_ADU, settings)
    if advice.exptime_s is not None:
        assert settings.min_exptime_s <= advice.exptime_s <= settings.max_exptime_s
    if advice.wait_s is not None:
        assert 0 < advice.wait_s <= 120


@pytest.mark.parametrize(
    "answer",
    [
        None,
        {},
        {"open": True, "connected": True},
        {"open": True, "safe": True, "connected": False},
        {"safe": 1, "connected": True},
        {"safe": "yes", "connected": True},
    ],
)
def test_a_dome_that_does_not_say_it_is_safe_is_not(answer: object) -> None:
    view = DomeView.read(answer)
    assert not view.safe
    assert view.trouble


def test_a_dome_is_closed_only_when_its_shutter_says_so() -> None:
    status = {"open": False, "connected": True, "safe": True, "azim": 10.0, "shutter": "closing"}
    assert not DomeView.read(status).closed
    assert DomeView.read({**status, "shutter": "closed"}).closed
    assert not DomeView.unknown("no answer").closed


def morning(rate_adu_s: float, brightening: float, settings: FlatSettings) -> list[float]:
    """Go through a dawn that brightens by `brightening` times Tyson & Gal; return the levels."""
    sky: SkyLevel | None = None
    now, kept = 0.0, []
    while now < 7200 and len(kept) < settings.count:
        advice = advise(sky, now, MAX_ADU, settings, rising=True)
        if advice.wait_s is not None:
            now, sky = now + advice.wait_s, None
            continue
        if advice.exptime_s is None:
            break
        middle = now + advice.exptime_s / 2
        true_rate = rate_adu_s * 10 ** (brightening * FADING_DEX_PER_S * middle)
        level = min(1000 + true_rate * advice.exptime_s, MAX_ADU)
        sky = measure(level, 1000.0, advice.exptime_s, now, MAX_ADU)
        if accepted(level, MAX_ADU, settings):
            kept.append(level)
        now += advice.exptime_s + 8.0
    return kept


@pytest.mark.parametrize("pace", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("rate", [1.0, 30.0, 1000.0])
def test_a_dawn_is_waited_for_and_followed(rate: float, pace: float) -> None:
    settings = FlatSettings()
    kept = morning(rate, pace, settings)
    assert len(kept) == settings.count
    assert np.median(kept) == pytest.approx(settings.level_fraction * MAX_ADU, rel=0.3)


def test_a_dawn_that_is_too_bright_ends_the_flats() -> None:
    assert morning(1e7, 1.0, FlatSettings()) == []


def test_filters_go_from_the_least_to_the_most_sensitive() -> None:
    assert bright_to_dark(["clear", "r", "g", "unheard of", "u"]) == [
        "u",
        "unheard of",
        "g",
        "r",
        "clear",
    ]


def test_the_horizon_mask_is_straight_between_its_points_and_wraps() -> None:
    settings = TelescopeSettings.model_validate(
        {"horizon": [[350, 40], [10, 20], [180, 5]], "horizon_deg": 10}
    )
    assert horizon_at(350.0, settings) == pytest.approx(40)
    assert horizon_at(0.0, settings) == pytest.approx(30)
    assert horizon_at(180.0, settings) == 10.0
    behind_the_tree = TelescopeSettings.model_validate({"horizon": [[0, 89], [180, 89]]})
    with pytest.raises(NotObservable, match="horizon of 89"):
        check_pointing(MACON, DUSK, 197.449, -23.384, behind_the_tree)


@pytest.mark.parametrize(
    ("elapsed", "remaining", "steps", "dropped"),
    [
        (0.0, 60.0, 1, True),  # nothing is lost
        (59.0, 1.0, 1, False),  # nearly done: a second is not worth a minute
        (50.0, 10.0, 1, True),
        (599.0, 1.0, 3, True),  # an alert's second is
        (60.0, 0.0, 5, False),  # it is done: to drop it gains nothing
    ],
)
def test_an_exposure_is_dropped_when_the_wait_costs_more(
    elapsed: float, remaining: float, steps: float, dropped: bool
) -> None:
    assert worth_dropping(elapsed, remaining, steps) is dropped
