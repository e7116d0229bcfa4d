"""How the simulated telescope behaves; its Alpaca members are listed in `telescope.py`."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from toros.common.clock import Clock, iso
from toros.common.config.simulator import MountSettings
from toros.simulator.astrometry import Observer
from toros.simulator.devices.base import Device
from toros.simulator.devices.mount import Hold, Mount, Pose, Rates, Track
from toros.simulator.errors import InvalidOperation, NotImplementedByDevice, Parked, ValueNotSet
from toros.simulator.members import Wait, real

HOME = Hold(60.0, 0.0)
PIER_EAST, PIER_WEST = 0, 1
SIDEREAL = 0
GUIDE_DEG_S = 7.5 / 3600.0


class TelescopeControl(Device):
    """A mount with a telescope on it, parked at first.

    Parameters
    ----------
    clock : Clock
        The observatory's time.
    number : int
        Device number.
    server_name : str
        Name of the server.
    settings : MountSettings
        Rates and limits.
    observer : Observer
        The place.
    """

    parts = slipping_parts = ("axes",)

    def __init__(
        self,
        clock: Clock,
        number: int,
        server_name: str,
        settings: MountSettings,
        observer: Observer,
    ) -> None:
        super().__init__(clock, number, server_name)
        self.settings = settings
        self.observer = observer
        self._park = Hold(settings.park_altitude, settings.park_azimuth)
        parked = Pose(self._park, parked=True)
        self.mount = Mount(observer, parked, settings.slew_rate, settings.settle_s)
        self._offset = (0.0, 0.0)  # what a sync added to both coordinates, degrees
        self._target: list[float | None] = [None, None]
        self.guide_rates = [GUIDE_DEG_S, GUIDE_DEG_S]
        self._utc_ahead = timedelta(0)

    # Where it is

    @property
    def pose(self) -> Pose:
        """What the mount does now."""
        return self.mount.pose(self.clock.unix())

    @property
    def german(self) -> bool:
        """Whether the mount has a pier to flip over."""
        return self.settings.kind == "german"

    def equatorial(self) -> tuple[float, float]:
        """Return right ascension and declination as the mount believes them, degrees."""
        ra, dec = self.mount.equatorial(self.clock.unix())
        return (ra + self._offset[0]) % 360.0, min(max(dec + self._offset[1], -90.0), 90.0)

    def horizontal(self) -> tuple[float, float]:
        """Return altitude and azimuth as the mount believes them, degrees."""
        if self._offset == (0.0, 0.0):
            return self.mount.horizontal(self.clock.unix())
        return self.observer.altaz(self.clock.unix(), *self.equatorial())

    def side_of_pier(self) -> int:
        """Return the pointing state."""
        if not self.german:
            raise NotImplementedByDevice("A fork mount has no side of pier.")
        return PIER_WEST if self.pose.west else PIER_EAST

    def _looks_east(self, ra_deg: float) -> bool:
        if not self.german:
            return False
        return (self.observer.sidereal_time_deg(self.clock.unix()) - ra_deg) % 360.0 >= 180.0

    def destination_side_of_pier(self, ra_h: float, _dec_deg: float) -> int:
        """Return the pointing state after a slew."""
        if not self.german:
            raise NotImplementedByDevice("A fork mount has no side of pier.")
        return PIER_WEST if self._looks_east(ra_h * 15.0) else PIER_EAST

    # Targets

    def target(self, axis: int) -> float:
        """Return one coordinate of the target, hours or degrees."""
        value = self._target[axis]
        if value is None:
            raise ValueNotSet("The target was never set.")
        return value

    def set_target(self, axis: int, value: float) -> None:
        """Set one coordinate of the target, hours or degrees."""
        self._target[axis] = value

    # Motion

    def _require_unparked(self) -> None:
        if self.pose.parked:
            raise Parked("The mount is parked.")

    def slew(self, ra_h: float, dec_deg: float) -> None:
        """Begin a slew to coordinates, hours and degrees."""
        self._require_unparked()
        if not self.pose.tracking:
            raise InvalidOperation("The mount must track to slew to equatorial coordinates.")
        now = self.clock.unix()
        ra_deg = (ra_h * 15.0 - self._offset[0]) % 360.0
        dec_true = min(max(dec_deg - self._offset[1], -90.0), 90.0)
        self._require_altitude(self.observer.altaz(now, ra_deg, dec_true)[0])
        lost = self.mount.trouble.slip(now)
        ra_deg = (ra_deg + lost) % 360.0
        self._offset = (self._offset[0] - lost, self._offset[1])
        self._target = [ra_h, dec_deg]
        self._stop_axes()
        west = self._looks_east(ra_deg)
        goal = self.mount.tracked(now, ra_deg, dec_true)
        self.mount.slew(now, Pose(goal, tracking=True, west=west), west=west)

    def slew_altaz(self, azim_deg: float, alt_deg: float) -> None:
        """Begin a slew to a horizontal direction, degrees."""
        self._require_unparked()
        if self.pose.tracking:
            raise InvalidOperation("The mount must not track to slew to an altitude and azimuth.")
        self._require_altitude(alt_deg)
        self._stop_axes()
        goal = Hold(alt_deg, azim_deg % 360.0)
        self.mount.slew(self.clock.unix(), Pose(goal), west=self.pose.west)

    def _require_altitude(self, alt_deg: float) -> None:
        limit = self.settings.altitude_limit
        if alt_deg < limit:
            raise InvalidOperation(f"Altitude {alt_deg:.1f}° is below the limit of {limit:g}°.")

    def slew_to_target(self) -> None:
        """Begin a slew to the target."""
        self.slew(self.target(0), self.target(1))

    def wait_for_slew(self) -> Wait:
        """Return the wait until the mount has arrived."""
        path = self.pose.path
        return Wait(getattr(path, "end_unix", 0.0), lambda: self.pose.path is path)

    def sync(self, ra_h: float, dec_deg: float) -> None:
        """Believe that the mount points at these coordinates."""
        self._require_unparked()
        if not self.pose.tracking:
            raise InvalidOperation("The mount must track to be synchronised to coordinates.")
        self._believe(ra_h, dec_deg)
        self._target = [ra_h, dec_deg]

    def sync_altaz(self, azim_deg: float, alt_deg: float) -> None:
        """Believe that the mount points in this direction."""
        self._require_unparked()
        if self.pose.tracking:
            raise InvalidOperation("The mount must not track to be synchronised to a direction.")
        ra_deg, dec_deg = self.observer.radec(self.clock.unix(), alt_deg, azim_deg)
        self._believe(ra_deg / 15.0, dec_deg)

    def _believe(self, ra_h: float, dec_deg: float) -> None:
        ra, dec = self.mount.equatorial(self.clock.unix())
        turn = math.remainder(ra_h * 15.0 - ra, 360.0)
        self._offset = (turn, dec_deg - dec)

    def sync_to_target(self) -> None:
        """Believe that the mount points at the target."""
        self.sync(self.target(0), self.target(1))

    def abort(self) -> None:
        """Stop any slew; tracking stays as it was."""
        self._require_unparked()
        self._stop_axes()
        if self.pose.slewing:
            self.mount.follow(self.clock.unix(), tracking=self.pose.tracking)

    def set_tracking(self, tracking: bool) -> None:
        """Track the stars, or stand still."""
        if tracking:
            self._require_unparked()
        if tracking != self.pose.tracking:
            self.mount.follow(self.clock.unix(), tracking=tracking)

    def park(self) -> None:
        """Begin to park; tracking stops."""
        if not self.pose.parked:
            self._stop_axes()
            self.mount.slew(self.clock.unix(), Pose(self._park, parked=True))

    def unpark(self) -> None:
        """Leave the parked state; nothing moves."""
        if self.pose.parked:
            self.mount.follow(self.clock.unix(), tracking=False)

    def set_park(self) -> None:
        """Make the present direction the park position."""
        self._park = Hold(*self.mount.horizontal(self.clock.unix()))

    def find_home(self) -> None:
        """Begin a slew to the home position."""
        self._require_unparked()
        self._stop_axes()
        self.mount.slew(self.clock.unix(), Pose(HOME, at_home=True))

    def _stop_axes(self) -> None:
        self.mount.rates.axis_deg_s[:] = [0.0, 0.0]

    def move_axis(self, axis: int, rate_deg_s: float) -> None:
        """Turn an axis at a rate; zero stops it and restores the tracking."""
        if axis > 1:
            raise NotImplementedByDevice("The mount has no third axis.")
        real(-self.settings.slew_rate, self.settings.slew_rate).check("Rate", rate_deg_s)
        self._require_unparked()
        self.mount.rates.axis_deg_s[axis] = rate_deg_s
        self.mount.follow(self.clock.unix(), tracking=self.pose.tracking)

    def axis_rates(self, axis: int) -> list[dict[str, float]]:
        """Return the ranges of rates at which an axis can be moved."""
        return [{"Minimum": 0.0, "Maximum": self.settings.slew_rate}] if axis < 2 else []

    def pulse_guide(self, direction: int, milliseconds: int) -> None:
        """Nudge the tracking: 0 north, 1 south, 2 east, 3 west."""
        self._require_unparked()
        if self.pose.slewing or not self.pose.tracking:
            raise InvalidOperation("The mount guides only while it tracks and does not slew.")
        axis, sign = ((1, 1), (1, -1), (0, 1), (0, -1))[direction]
        rate = sign * self.guide_rates[axis]
        self.mount.guide(self.clock.unix(), axis, rate, milliseconds / 1000.0)

    # Rates

    def set_drive(self, drive: int) -> None:
        """Set the tracking rate."""
        self.mount.rates.drive = drive
        self._apply_rates()

    def set_rate(self, name: str, value: float) -> None:
        """Set an offset of the tracking rate."""
        if self.mount.rates.drive != SIDEREAL:
            raise InvalidOperation("Rate offsets are for sidereal tracking only.")
        setattr(self.mount.rates, name, value)
        self._apply_rates()

    def _apply_rates(self) -> None:
        pose = self.pose
        if pose.tracking and isinstance(pose.path, Track) and not pose.guiding:
            self.mount.follow(self.clock.unix(), tracking=True)

    def set_settle(self, seconds: int) -> None:
        """Set the settling time after a slew."""
        self.mount.settle_s = float(seconds)

    # Site and time

    def set_site(self, **value: float) -> None:
        """Change where the mount believes it stands: an attribute of `Observer`."""
        self.observer = replace(self.observer, **value)
        self.mount.observer = self.observer

    def utc_date(self) -> str:
        """Return the mount's own date and time."""
        return iso(self.clock.now() + self._utc_ahead)

    def set_utc_date(self, text: str) -> None:
        """Set the mount's own clock; one without a zone is meant as UTC."""
        given = datetime.fromisoformat(text)
        aware = given if given.tzinfo is not None else given.replace(tzinfo=UTC)
        self._utc_ahead = aware - self.clock.now()

    # Trouble

    def jam(self, _part: str, until: float) -> None:
        """Let both axes be stuck until then."""
        self.mount.jam(self.clock.unix(), until)

    def slip(self, _part: str, amount: float, until: float) -> None:
        """Let each slew go wrong by `amount` degrees of right ascension until then."""
        self.mount.trouble.slip_from_now(amount, until)

    def power_cycle(self, **_lost: bool) -> None:
        """Stand still, and forget the target, the synchronisation, the rates and the parking."""
        super().power_cycle()
        self.mount.rates = Rates()
        self.mount.follow(self.clock.unix(), tracking=False)
        self._offset, self._target = (0.0, 0.0), [None, None]
        self._utc_ahead = timedelta(0)
        self.guide_rates = [GUIDE_DEG_S, GUIDE_DEG_S]
