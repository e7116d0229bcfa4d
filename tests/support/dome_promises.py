"""What the dome promises, watched on the simulator's metal and not on what the module says.

1. The shutter is not open for longer than the limit after it became unsafe, and does not begin to
   open when it has been unsafe for longer than it takes to hear of it.
2. Where they can collide, the shutter does not move over a mount that is not parked, unless the
   mount was dead for as long as the shutter waits for it.
3. What the module says of the dome is what the dome is.
4. A shutter of which nobody knows where it is does not stay so.
"""

from __future__ import annotations

from tests.support.dome_world import World
from toros.dome.watch import closes_within_s
from toros.simulator.faults import FaultOrder

EVERY_S = 1.0
HEARD_S = 25.0  # every source has been asked by then, and the watch has looked
QUICK_S = 65.0  # heard, the mount parked, the shutter closed: with hardware that works
WORKS_S = 150.0  # what works for so long is in no attempt that began while it did not
ERROR = 4  # ShutterState
WIRE = ("refuse", "drop", "garbage", "hang")


class Promises:
    """Looks at the metal each second, and remembers since when it should have closed."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.limit_s = closes_within_s(world.settings)
        self.locked = False
        self.overridden: frozenset[str] = frozenset()
        self.overridden_until = float("-inf")
        self.peer_died: float | None = None
        self.slowest_s = 0.0  # the longest that any unsafe dome took to close
        self.begin()
        world.clock.regularly(EVERY_S, self.check)

    def begin(self) -> None:
        """Forget the night before."""
        self.locked = False
        self.overridden_until = float("-inf")
        self.peer_died = None
        self._unsafe_since: float | None = None  # and able to close, and open
        self._since: dict[str, float] = {}  # of each cause
        self._lost_since: float | None = None
        self._broken_at = float("-inf")
        self._mount_dead_at = float("-inf")

    def override(self, sources: list[str], seconds: float) -> None:
        """Let some sources not count for a while."""
        self.overridden = frozenset(sources)
        self.overridden_until = self.world.clock.unix() + seconds

    def faulty(self, device: str, part: str | None = None) -> bool:
        """Return whether a device cannot be reached, or a part of it is stuck."""
        if self.world.observatory.down():
            return True
        return any(
            fault.order.device in (None, device) and _hits(fault.order, part)
            for fault in self.world.simulator.faults.listed()
        )

    def causes(self) -> set[str]:
        """Return the sources that cannot but say that it is unsafe."""
        now, weather = self.world.clock.unix(), self.world.observatory.weather
        silence = self.world.settings.telescope_silence_s or float("inf")
        found = {
            "safety monitor 0": not weather.safe or self.faulty("safetymonitor"),
            "weather station 0": weather.values()["rain_rate"] > 0
            or self.faulty("observingconditions"),
            # It is believed from the start of the dome module on.
            "telescope module": self.peer_died is not None
            and now - max(self.peer_died, self.world.started) > silence,
        }
        if now < self.overridden_until:
            found = {name: holds for name, holds in found.items() if name not in self.overridden}
        return {name for name, holds in found.items() if holds} | ({"lock"} & {self._lock()})

    def _lock(self) -> str:
        return "lock" if self.locked else ""

    def able(self) -> bool:
        """Return whether the dome could be closed by the module."""
        return self.world.dome is not None and not self.faulty("dome", "shutter")

    def check(self) -> None:
        """Look at the metal now."""
        self._closed_in_time()
        self._not_lost_for_long()
        self._over_a_parked_mount()

    def _closed_in_time(self) -> None:
        now, dome = self.world.clock.unix(), self.world.observatory.dome
        causes = self._look_at_causes(now)
        ramp = dome._shutter.ramp(now)
        if ramp.last > ramp.first and causes:
            late = ramp.start_unix - min(self._since.values())
            assert late <= HEARD_S, f"opens after {late:.0f} s of {causes}"
        if not self.able() or self.faulty("telescope", "axes"):
            self._broken_at = now
        if not causes or not self.able() or dome.shutter(now) == 0.0:
            self._unsafe_since = None
            return
        if self._unsafe_since is None:
            self._unsafe_since = now
        took = now - self._unsafe_since
        self.slowest_s = max(self.slowest_s, took)
        works = self._unsafe_since - self._broken_at > WORKS_S
        limit_s = QUICK_S if works else self.limit_s
        assert took <= limit_s, f"open for {took:.0f} s though unsafe: {causes}"

    def _look_at_causes(self, now: float) -> set[str]:
        """Return the causes, each with its own time in which it must be heard of.

        One that is over, or overridden, before it had to be heard of leaves no duty to another.
        """
        causes = self.causes()
        ages = [now - since for since in self._since.values()]
        if self._since.keys() - causes and max(ages) <= HEARD_S:
            self._unsafe_since = None
        self._since = {name: self._since.get(name, now) for name in causes}
        return causes

    def _not_lost_for_long(self) -> None:
        now = self.world.clock.unix()
        lost = self.world.observatory.dome.shutter_status() == ERROR
        if not lost or not self.able():
            self._lost_since = None
            return
        if self._lost_since is None:
            self._lost_since = now
        assert now - self._lost_since <= self.limit_s, "nobody knows where the shutter is"

    def _over_a_parked_mount(self) -> None:
        now, observatory = self.world.clock.unix(), self.world.observatory
        if self.faulty("telescope", "axes") or self.world.dome is None:
            self._mount_dead_at = now
        ramp = observatory.dome._shutter.ramp(now)
        moves = ramp.moving(now) and not ramp.stalled
        if not moves or not self.world.settings.shutter_needs_parked_mount:
            return
        dead_lately = now - self._mount_dead_at <= 2 * self.world.settings.mount_park_wait_s
        parked = observatory.telescope.mount.pose(now).parked
        assert parked or dead_lately, "the shutter moves over a mount that is not parked"

    def says_what_is(self) -> None:
        """Compare what the module says with the metal."""
        if self.world.dome is None:
            return
        said, now = self.world.status(), self.world.clock.unix()
        metal = self.world.observatory.dome
        if self.faulty("dome"):
            assert said["connected"] is False, said
            assert said["shutter"] == "unknown", said
            assert said["safe"] is False or said["overridden"] or self._fresh(), said
            return
        assert said["connected"] is True, said
        names = {0: "open", 1: "closed", 2: "opening", 3: "closing", 4: "error"}
        assert said["shutter"] == names[metal.shutter_status()], said
        travelled = metal.shutter(now)
        assert said["open"] is (said["shutter"] == "open"), said
        assert not said["open"] or travelled == 1.0, (said, travelled)
        assert said["shutter"] != "closed" or travelled == 0.0, (said, travelled)
        off = abs((said["azim"] - metal.azimuth() + 180) % 360 - 180)
        assert off < 0.5, (said, metal.azimuth())

    def _fresh(self) -> bool:
        """Return whether the dome was read so lately that its silence is no trouble yet."""
        dome = self.world.dome
        return (
            dome is not None and (dome.reader.age_s or 0.0) <= self.world.settings.safety_max_age_s
        )


def _hits(order: FaultOrder, part: str | None) -> bool:
    """Return whether a fault makes a device unreachable, or a part of it stuck."""
    if order.fault == "stuck":
        return part is not None and order.member in (None, part)
    # A single lost answer makes nothing unreachable.
    return order.fault in WIRE and order.member is None and order.count is None
