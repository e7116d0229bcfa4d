"""Random nights of the dome: orders, weather, faults and deaths, and its promises through all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy.orm import Session, sessionmaker

from tests.support.dome_promises import QUICK_S, Promises
from tests.support.dome_world import World
from tests.support.peer import Peer

SECONDS = st.sampled_from([1.0, 7.0, 20.0, 60.0])
LASTS = st.sampled_from([5.0, 30.0, 200.0])
WIRE_FAULTS: dict[str, dict[str, Any]] = {
    "error": {"fault": "refuse"},
    "HTTP 503": {"fault": "refuse", "status": 503},
    "dropped": {"fault": "drop"},
    "dropped, but done": {"fault": "drop", "done": True},
    "garbage": {"fault": "garbage"},
}
SOURCES = ["safety monitor 0", "weather station 0", "telescope module", "dome hardware", "Sun"]
DEVICES = ["dome", "telescope", "safetymonitor", "observingconditions"]
SHORT, STEPS, LONG = 50, 12, int(os.environ.get("TOROS_NIGHTS", "10000"))
# Each has a seed of its own, and a fresh world: what one of them finds is found again by it alone.
PARTS = 10


class Nights(RuleBasedStateMachine):
    """One night; the world is the same for all of them."""

    world: World
    promises: Promises
    steps = 0  # of all nights: counted by the class

    @initialize(doing=st.sampled_from(["observing", "open", "closed"]))
    def begin(self, doing: str) -> None:
        self.world.reset()
        self.promises.begin()
        if doing != "closed":
            assert self.world.order("open_dome") is True
        if doing == "observing":
            self.world.telescope_points()

    @rule(seconds=SECONDS)
    def time_goes_by(self, seconds: float) -> None:
        self.world.wait(seconds)

    @rule(safe=st.sampled_from([None, None, False]), rain=st.sampled_from([0.0, 0.0, 2.0]))
    def weather_changes(self, safe: bool | None, rain: float) -> None:
        self.world.weather(safe, rain_rate=rain)

    @rule(after=SECONDS, lasts=LASTS)
    def a_shower_is_coming(self, after: float, lasts: float) -> None:
        self.world.shower(after, lasts)

    @rule(
        cause=st.sampled_from(["monitor", "rain", "deaf monitor", "deaf station", "telescope"]),
        pointing=st.booleans(),
    )
    def it_turns_bad_over_an_open_dome(self, cause: str, pointing: bool) -> None:
        self.open_the_dome()
        if pointing:
            self.world.telescope_points()
        if cause in ("monitor", "rain"):
            self.world.weather(None if cause == "rain" else False, rain_rate=float(cause == "rain"))
        elif cause == "telescope":
            self.the_telescope_module_dies_or_comes_back(alive=False)
            self.world.wait(60.0)
        else:
            device = "safetymonitor" if cause == "deaf monitor" else "observingconditions"
            self.a_device_fails(device, "garbage", 200.0)
        self.world.wait(QUICK_S + 5.0)

    @rule()
    def open_the_dome(self) -> None:
        result = self.world.order("open_dome")
        if result is True:
            assert self.world.observatory.dome.shutter(self.world.clock.unix()) == 1.0

    @rule()
    def open_when_it_can_be(self) -> None:
        self.world.wait(60.0)
        self.open_the_dome()

    @rule()
    def close_the_dome(self) -> None:
        result = self.world.order("close_dome")
        if result is True:
            assert self.world.observatory.dome.shutter(self.world.clock.unix()) == 0.0

    @rule(azim=st.floats(0, 359))
    def turn_the_dome(self, azim: float) -> None:
        if self.world.order("set_azim", azim=azim) is True:
            metal = self.world.observatory.dome.azimuth()
            assert abs((metal - azim + 180) % 360 - 180) <= 1.0

    @rule(hours=st.floats(-3, 3), dec=st.floats(-80, 20))
    def follow_a_target(self, hours: float, dec: float) -> None:
        now = self.world.clock.unix()
        ra, _ = self.world.observatory.observer.radec(now, 90.0, 0.0)
        self.world.order("follow", ra=(ra + 15 * hours) % 360, dec=dec)

    @rule(request=st.sampled_from(["unfollow", "park_position", "end_override"]))
    def other_orders(self, request: str) -> None:
        self.world.order(request)
        if request == "end_override" and self.world.dome is not None:
            self.promises.overridden_until = float("-inf")

    @rule(locked=st.booleans())
    def an_operator_locks(self, locked: bool) -> None:
        if self.world.order("lock_dome" if locked else "unlock_dome", reason="tests") is True:
            self.promises.locked = locked

    @rule(sources=st.lists(st.sampled_from(SOURCES), min_size=1, unique=True), seconds=LASTS)
    def an_operator_overrides(self, sources: list[str], seconds: float) -> None:
        order = {"sources": sources, "seconds": seconds, "reason": "tests"}
        if isinstance(self.world.order("override_safety", **order), str):
            self.promises.override(sources, seconds)

    @rule(seconds=SECONDS)
    def the_telescope_points(self, seconds: float) -> None:
        self.world.telescope_points()
        self.world.wait(seconds)

    @rule(alive=st.booleans())
    def the_telescope_module_dies_or_comes_back(self, alive: bool) -> None:
        self.world.peer.alive = alive
        if alive:
            self.promises.peer_died = None
        elif self.promises.peer_died is None:
            self.promises.peer_died = self.world.clock.unix()

    @rule(device=st.sampled_from(DEVICES), kind=st.sampled_from(sorted(WIRE_FAULTS)), lasts=LASTS)
    def a_device_fails(self, device: str, kind: str, lasts: float) -> None:
        self.world.fault(device=device, duration_s=lasts, **WIRE_FAULTS[kind])

    @rule(what=st.sampled_from(["shutter", "azimuth", "mount"]), lasts=LASTS)
    def something_is_stuck(self, what: str, lasts: float) -> None:
        part = {"device": "telescope"} if what == "mount" else {"device": "dome", "member": what}
        self.world.fault(fault="stuck", duration_s=lasts, **part)

    @rule(down=st.sampled_from([0.0, 10.0, 60.0]), shutter_unknown=st.booleans())
    def the_power_fails(self, down: float, shutter_unknown: bool) -> None:
        self.world.observatory.restart(down, shutter_unknown=shutter_unknown)

    @precondition(lambda self: self.world.dome is not None)
    @rule(seconds=SECONDS)
    def the_dome_module_dies(self, seconds: float) -> None:
        self.world.kill()
        self.promises.overridden_until = float("-inf")
        self.world.wait(seconds)
        self.world.run()

    @invariant()
    def what_it_says_is_what_is(self) -> None:
        type(self).steps += 1  # it is looked at after each of them
        self.promises.says_what_is()

    def teardown(self) -> None:
        """See that it ends well: the faults over, it closes, whatever went before."""
        if self.promises.causes():
            self.world.wait(QUICK_S + 5.0)
        self.world.simulator.faults.clear()
        self.world.order("lock_dome", reason="the end")
        self.promises.locked = True
        for _ in range(int(self.promises.limit_s / 5) + 1):
            if self.world.observatory.dome.shutter(self.world.clock.unix()) == 0.0:
                break
            self.world.wait(5.0)
        assert self.world.observatory.dome.shutter(self.world.clock.unix()) == 0.0


@pytest.fixture
def nights(
    sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> Iterator[type[Nights]]:
    with Peer() as peer:
        world = World(sessions, peer, monkeypatch)
        yield type("TheNights", (Nights,), {"world": world, "promises": Promises(world)})
        world.close()


def play(nights: type[Nights], number: int, **how: Any) -> None:
    chosen = settings(
        max_examples=number,
        stateful_step_count=STEPS,
        database=None,
        suppress_health_check=list(HealthCheck),
        **how,
    )
    run_state_machine_as_test(nights, settings=chosen)


def test_the_promises_hold_through_random_nights(nights: type[Nights]) -> None:
    play(nights, SHORT, derandomize=True)
    assert nights.promises.slowest_s > 0.0  # it was unsafe while open


@pytest.mark.long
@pytest.mark.timeout(6 * 3600)
@pytest.mark.parametrize("part", range(1, PARTS + 1))
def test_the_promises_hold_through_ten_thousand_nights(
    nights: type[Nights], part: int, record_property: Callable[[str, object], None]
) -> None:
    number = LONG // PARTS
    play(seed(part)(nights), number, phases=[Phase.generate])
    played, steps, slowest_s = nights.world.nights, nights.steps, nights.promises.slowest_s
    print(  # noqa: T201 - shown by -rP
        f"seed {part}: {played} nights, {steps} steps; the slowest closing took {slowest_s:.0f} s"
    )
    record_property("nights", played)
    assert played >= number
