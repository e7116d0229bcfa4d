"""A telescope: tracking, guiding, axes and sides of the pier."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.conformance.probe import INVALID, NOT_IMPLEMENTED, WRONG_STATE, Probe, turn
from tests.conformance.sky import Mount

SIDEREAL, LUNAR = 0, 1
NORTH, SOUTH, EAST, WEST = range(4)
PULSE_MS = 5000
ARCSEC = 3600.0


@pytest.fixture
def mount(telescope: Probe) -> Iterator[Mount]:
    """A mount that tracks, two hours west of the meridian."""
    telescope.need("CanSlewAsync")
    mount = Mount(telescope)
    mount.ready()
    mount.slew(2.0)
    yield mount
    mount.ready()
    telescope.put("AbortSlew")
    mount.settle()


def test_tracking_can_be_switched(telescope, mount):
    telescope.need("CanSetTracking")
    telescope.set("Tracking", False)
    assert telescope.get("Tracking") is False
    first = telescope.get("RightAscension")
    passed = mount.pass_seconds(10.0)
    drift = turn(first * 15.0, telescope.get("RightAscension") * 15.0) * ARCSEC
    assert drift == pytest.approx(15.0 * passed, rel=0.25)
    telescope.set("Tracking", True)
    assert telescope.get("Tracking") is True
    first = telescope.get("RightAscension")
    mount.pass_seconds(10.0)
    assert abs(turn(first * 15.0, telescope.get("RightAscension") * 15.0)) * ARCSEC < 10.0


def test_tracking_rates(telescope, mount):
    rates = telescope.get("TrackingRates")
    assert SIDEREAL in rates
    assert rates == telescope.get("TrackingRates")
    assert len(rates) == len(set(rates))
    for rate in rates:
        telescope.roundtrip("TrackingRate", rate)
    telescope.refuses_values("TrackingRate", [5, -1])
    telescope.set("TrackingRate", SIDEREAL)


@pytest.mark.parametrize("name", ["RightAscension", "Declination"])
def test_rate_offsets(telescope, mount, name):
    member, flag = f"{name}Rate", f"CanSet{name}Rate"
    if not telescope.can(flag):
        telescope.refuses(member, NOT_IMPLEMENTED, **{member: 1.0})
        assert telescope.get(member) == 0.0
        pytest.skip(f"{flag} is false")
    telescope.roundtrip(member, 2.0, 1e-6)
    first = telescope.get(name)
    passed = mount.pass_seconds(20.0)
    moved = telescope.get(name) - first
    # Seconds of right ascension per sidereal second, arcseconds per second.
    assert moved * ARCSEC == pytest.approx(2.0 * passed, rel=0.25)
    telescope.roundtrip(member, 0.0)
    if LUNAR in telescope.get("TrackingRates"):
        telescope.set("TrackingRate", LUNAR)
        telescope.refuses(member, WRONG_STATE, **{member: 1.0})
        telescope.set("TrackingRate", SIDEREAL)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_axis_moves_at_a_rate_and_stops(telescope, mount, axis):
    ranges = telescope.get("AxisRates", Axis=axis)
    if not telescope.get("CanMoveAxis", Axis=axis):
        assert ranges == []
        assert telescope.error("PUT", "MoveAxis", Axis=axis, Rate=0) in (NOT_IMPLEMENTED, INVALID)
        pytest.skip("the axis cannot be moved")
    ordered = sorted((entry["Minimum"], entry["Maximum"]) for entry in ranges)
    assert all(0 <= low <= high for low, high in ordered)
    assert all(here[1] <= beyond[0] for here, beyond in pairwise(ordered))
    highest = ordered[-1][1]
    for bad in (highest + 1, -highest - 1):
        telescope.refuses("MoveAxis", INVALID, Axis=axis, Rate=bad)
    rate = min(highest, max(ordered[0][0], 0.2))
    start = mount.position()
    for sign in (1, -1):
        telescope.put("MoveAxis", Axis=axis, Rate=sign * rate)
        assert telescope.get("Slewing") is True
        mount.pass_seconds(5.0)
        telescope.put("MoveAxis", Axis=axis, Rate=0)
        mount.settle()
        assert telescope.get("Tracking") is True
        if sign == 1:
            moved = mount.position()
            assert max(abs(turn(start[0] * 15, moved[0] * 15)), abs(moved[1] - start[1])) > 0.5
    assert telescope.error("GET", "AxisRates", Axis=3) == INVALID
    telescope.refuses("MoveAxis", INVALID, Axis=-1, Rate=0)


def test_guide_rates(telescope, mount):
    for member in ("GuideRateRightAscension", "GuideRateDeclination"):
        if not telescope.can("CanSetGuideRates"):
            telescope.refuses(member, NOT_IMPLEMENTED, **{member: 0.002})
            continue
        before = telescope.get(member)
        telescope.roundtrip(member, 0.003, 1e-6)
        telescope.roundtrip(member, before, 1e-6)


@pytest.mark.parametrize("hours", [-2.0, 2.0])
@pytest.mark.parametrize("direction", [NORTH, SOUTH, EAST, WEST])
def test_a_pulse_moves_by_its_rate_on_either_side(telescope, mount, direction, hours):
    telescope.need("CanPulseGuide")
    mount.slew(hours)
    along_dec = direction in (NORTH, SOUTH)
    rate = telescope.get("GuideRateDeclination" if along_dec else "GuideRateRightAscension")
    start = mount.position()
    telescope.put("PulseGuide", Direction=direction, Duration=PULSE_MS)
    telescope.wait(lambda: not telescope.get("IsPulseGuiding"), "the end of the pulse")
    end = mount.position()
    expected = rate * PULSE_MS / 1000.0 * (1 if direction in (NORTH, EAST) else -1) * ARCSEC
    moved = ((turn(start[0] * 15.0, end[0] * 15.0)) * ARCSEC, (end[1] - start[1]) * ARCSEC)
    tolerance = max(abs(expected) * 0.15, 1.0)
    assert moved[1 if along_dec else 0] == pytest.approx(expected, abs=tolerance)
    assert moved[0 if along_dec else 1] == pytest.approx(0.0, abs=max(tolerance, 2.0))


def test_a_pulse_can_be_seen(telescope, mount):
    telescope.need("CanPulseGuide")
    telescope.put("PulseGuide", Direction=NORTH, Duration=60000)
    assert telescope.get("IsPulseGuiding") is True
    if telescope.server.fresh:
        telescope.put("PulseGuide", Direction=EAST, Duration=1000)
        assert telescope.get("IsPulseGuiding") is True
    telescope.wait(lambda: not telescope.get("IsPulseGuiding"), "the end of the pulse")


def test_sides_of_the_pier(telescope, mount):
    if not telescope.implements("SideOfPier"):
        telescope.refuses("SideOfPier", NOT_IMPLEMENTED, verb="GET")
        pytest.skip("no side of pier")
    fields = [mount.field(hours) for hours in (-3.0, 3.0)]
    sides = [
        telescope.get("DestinationSideOfPier", RightAscension=ra, Declination=dec)
        for ra, dec in fields
    ]
    assert sorted(sides) == [0, 1]
    for hours, side in zip((-3.0, 3.0), sides, strict=True):
        mount.slew(hours)
        assert telescope.get("SideOfPier") == side
    telescope.refuses(
        "DestinationSideOfPier", INVALID, verb="GET", RightAscension=25, Declination=0
    )
    if not telescope.can("CanSetPierSide"):
        telescope.refuses("SideOfPier", NOT_IMPLEMENTED, SideOfPier=0)
