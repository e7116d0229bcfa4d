"""The fewest moves of the slit, against every other way of making them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toros.dome.following import Allowed
from toros.sky.dome_geometry import Clearance

PATHS = st.lists(st.tuples(st.floats(-20, 20), st.floats(0, 40)), min_size=1, max_size=12)


def _clear(first: float, path: list[tuple[float, float]]) -> Clearance:
    steps, halves = (np.array(column) for column in zip(*path, strict=True))
    return Clearance((first + np.cumsum(steps)) % 360.0, halves)


def _fewest(low: np.ndarray, high: np.ndarray) -> int:
    """Return the least number of azimuths, by trying every way to share the moments out."""
    best = [0] + [low.size] * low.size
    for last in range(1, low.size + 1):
        for first in range(last):
            if low[first:last].max() <= high[first:last].min() + 1e-9:
                best[last] = min(best[last], best[first] + 1)
    return best[-1]


@given(first=st.floats(0, 359), path=PATHS)
def test_no_other_way_needs_fewer_moves(first: float, path: list[tuple[float, float]]) -> None:
    whole = Allowed.of(_clear(first, path), None)
    at, moves = 0, 0
    while at < len(path):
        rest = Allowed(whole.low_deg[at:], whole.high_deg[at:])
        azimuth, moments = rest.lasting()
        served = Allowed(rest.low_deg[:moments], rest.high_deg[:moments])
        assert served.holds(azimuth)
        at, moves = at + moments, moves + 1
    assert moves == _fewest(whole.low_deg, whole.high_deg)


def test_the_tolerance_and_the_spare_narrow_what_is_allowed() -> None:
    clear = Clearance(np.array([10.0]), np.array([30.0]))
    assert Allowed.of(clear, None).holds(40.0)
    assert not Allowed.of(clear, None, spare_deg=1.0).holds(39.5)
    assert not Allowed.of(clear, 5.0).holds(16.0)
    assert Allowed.of(clear, 5.0).holds(365.0 + 9.0)


def test_through_the_north() -> None:
    clear = Clearance(np.array([355.0, 359.0, 3.0, 7.0]), np.full(4, 7.0))
    azimuth, moments = Allowed.of(clear, None).lasting()
    assert moments == 4
    assert azimuth == pytest.approx(1.0)


def test_where_the_beam_is_clipped_anyhow_the_middle_is_best() -> None:
    clear = Clearance(np.array([50.0, 52.0]), np.array([-3.0, -3.0]))
    assert Allowed.of(clear, 10.0).lasting() == (50.0, 1)


def test_any_azimuth_at_the_zenith() -> None:
    clear = Clearance(np.array([50.0, 230.0]), np.array([180.0, 180.0]))
    assert Allowed.of(clear, None).holds(140.0)
    assert Allowed.of(clear, None).holds(300.0)
