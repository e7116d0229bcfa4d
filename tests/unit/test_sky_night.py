"""The night of a moment, and its twilights."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toros.sky.night import local_mean_noon, night_of, twilights
from toros.sky.site import Site
from toros.sky.visibility import sun_altitude

MACON = Site("Cordon Macon", -24.6226, -67.3218, 4650.0)


def test_evening_and_morning_belong_to_one_night() -> None:
    assert night_of(MACON, datetime(2017, 8, 17, 23, 30, tzinfo=UTC)) == date(2017, 8, 17)
    assert night_of(MACON, datetime(2017, 8, 18, 10, 0, tzinfo=UTC)) == date(2017, 8, 17)
    assert night_of(MACON, datetime(2017, 8, 18, 16, 40, tzinfo=UTC)) == date(2017, 8, 18)


@given(
    longitude=st.floats(-180, 180),
    night=st.dates(date(1990, 1, 1), date(2090, 1, 1)),
    hours=st.floats(0.001, 23.999),
)
def test_a_night_lasts_from_noon_to_noon(longitude: float, night: date, hours: float) -> None:
    site = Site("anywhere", 10.0, longitude)
    assert night_of(site, local_mean_noon(site, night) + timedelta(hours=hours)) == night


def test_twilights_are_in_order_and_where_the_sun_is() -> None:
    found = twilights(MACON, date(2017, 8, 17))
    moments = [
        (found.sunset, -50 / 60),
        (found.dusk_civil, -6),
        (found.dusk_nautical, -12),
        (found.dusk_astronomical, -18),
        (found.dawn_astronomical, -18),
        (found.dawn_nautical, -12),
        (found.dawn_civil, -6),
        (found.sunrise, -50 / 60),
    ]
    times = [moment for moment, _ in moments if moment is not None]
    assert len(times) == 8
    assert times == sorted(times)
    for moment, threshold in moments:
        assert moment is not None
        assert sun_altitude(MACON, moment.timestamp())[0] == pytest.approx(threshold, abs=1e-3)


def test_midsummer_of_the_north_has_no_night() -> None:
    tromso = twilights(Site("Tromso", 69.65, 18.96), date(2020, 6, 21))
    assert tromso.sunset is None
    assert tromso.sunrise is None
    assert tromso.dusk_astronomical is None
    edinburgh = twilights(Site("Edinburgh", 55.95, -3.19), date(2020, 6, 21))
    assert edinburgh.sunset is not None
    assert edinburgh.dusk_astronomical is None
