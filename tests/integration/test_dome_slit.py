"""While it follows, the slit never clips the beam: random targets, mounts and hours.

The dome module follows on the simulator's hardware; how much of the beam passes is found by rays
from a mount that is turned about its axes (`tests/support/beam.py`), at the metal's own azimuth.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session, sessionmaker

from tests.support import beam
from tests.support.dome_world import World
from tests.support.peer import Peer
from toros.common.config.dome import DomeSettings
from toros.common.config.models import Site

CLIPPED = 0.001  # of the beam's area
FOLLOW_S, STEP_S = 3600.0, 30.0
SHORT, LONG = 6, int(os.environ.get("TOROS_TARGETS", "1000"))
LOWEST_DEG = 20.0
# Hour angle and declination are drawn for a sphere, and looked up with precession and refraction.
ROUND_DEG = 0.5
OFFSETS = st.floats(-0.25, 0.25)
SETTINGS: dict[str, Any] = {
    "telescope_silence_s": None,
    "safety_poll_s": 60.0,
    "safety_max_age_s": 600.0,
    "follow_poll_s": 20.0,
    "weather": {"poll_s": 300.0, "max_age_s": 3600.0},
}


@pytest.fixture(params=["fork", "german"])
def world(
    request: pytest.FixtureRequest,
    sessions: sessionmaker[Session],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[World]:
    mount = {"kind": request.param, "slew_rate": 20.0, "settle_s": 1.0}
    simulator = {"mount": mount, "dome": {"shutter_s": 15.0, "azimuth_rate": 3.0}}
    with Peer() as peer:
        found = World(sessions, peer, monkeypatch, DomeSettings.model_validate(SETTINGS), simulator)
        yield found
        found.close()


@st.composite
def targets(draw: st.DrawFn) -> tuple[float, float]:
    """Draw hour angle (hours) and declination (degrees) of a target that is up."""
    dec = draw(st.floats(-85, 30))
    lat, low = math.radians(Site().latitude), math.radians(LOWEST_DEG + ROUND_DEG)
    cosine = math.sin(low) - math.sin(lat) * math.sin(math.radians(dec))
    cosine /= math.cos(lat) * math.cos(math.radians(dec))
    farthest = math.degrees(math.acos(max(cosine, -1.0))) / 15.0
    hours = min(farthest, 4.0)
    return draw(st.floats(-hours, hours)), dec


def _follow(
    world: World, place: tuple[float, float, float], axis: float, hours: float, dec: float
) -> tuple[float, int]:
    """Follow a target for an hour; return the least of the beam that passed, and the moves."""
    german = world.simulator.observatory.settings.mount.kind == "german"
    geometry = {
        **dict(zip(("pier_east_m", "pier_north_m", "pier_up_m"), place, strict=True)),
        "german_axis_m": axis if german else 0.0,
    }
    world.change(DomeSettings.model_validate({**SETTINGS, "geometry": geometry}))
    world.reset()
    observatory, clock = world.observatory, world.clock
    assert world.order("open_dome") is True
    ra, _ = observatory.observer.radec(clock.unix(), 90.0, 0.0)
    ra = (ra - 15.0 * hours) % 360.0
    assert observatory.observer.altaz(clock.unix(), ra, dec)[0] >= LOWEST_DEG
    if world.mount.parked():
        world.mount.unpark()
    world.mount.slew(ra, dec)
    assert world.order("follow", ra=ra, dec=dec) is True
    least, moves, before = 1.0, 0, observatory.dome.true_azimuth(clock.unix())
    shape = world.settings.geometry
    for _ in range(int(FOLLOW_S / STEP_S)):
        world.wait(STEP_S)
        now = clock.unix()
        alt, azim = observatory.observer.altaz(now, ra, dec)
        if alt < 10.0:
            break
        west = observatory.telescope.mount.pose(now).west
        pier = beam.Pier(observatory.observer.latitude_deg, place, shape.german_axis_m, west)
        pointing = beam.direction(alt, azim)
        slit = observatory.dome.true_azimuth(now)
        moves, before = moves + (abs(slit - before) > 0.1), slit
        through = beam.passed(
            beam.tube(pier, pointing),
            pointing,
            beam_m=shape.beam_m,
            radius_m=shape.radius_m,
            slit_width_m=shape.slit_width_m,
            slit_azim_deg=slit,
        )
        least = min(least, through)
    return least, moves


def _check(world: World, number: int, **how: Any) -> None:
    @settings(
        max_examples=number,
        database=None,
        suppress_health_check=list(HealthCheck),
        **how,
    )
    @given(
        place=st.tuples(OFFSETS, OFFSETS, OFFSETS),
        axis=st.floats(0.05, 0.4),
        target=targets(),
    )
    def check(place: tuple[float, float, float], axis: float, target: tuple[float, float]) -> None:
        least, _ = _follow(world, place, axis, *target)
        assert least >= 1.0 - CLIPPED

    check()


def test_the_beam_is_never_clipped_while_following(world: World) -> None:
    _check(world, SHORT, derandomize=True)


@pytest.mark.parametrize("hours", [-2.0, 2.0])
def test_an_hour_east_and_west_of_the_meridian_takes_few_moves(world: World, hours: float) -> None:
    least, moves = _follow(world, (0.1, -0.1, 0.1), 0.4, hours, 15.0)
    assert least == 1.0
    assert moves <= 6
    german = world.simulator.observatory.settings.mount.kind == "german"
    west = world.observatory.telescope.mount.pose(world.clock.unix()).west
    assert west is (german and hours < 0)


@pytest.mark.long
@pytest.mark.timeout(4 * 3600)
def test_the_beam_is_never_clipped_over_many_targets(world: World) -> None:
    _check(world, LONG)
