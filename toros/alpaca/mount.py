"""The mount, in ICRS degrees, its arrival read back."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

from alpaca.telescope import EquatorialCoordinateType

from toros.alpaca.coordinates import from_mount, separation_deg, to_mount
from toros.alpaca.device import AlpacaDevice, number, optional, truth
from toros.alpaca.http import Limits
from toros.alpaca.members import Telescope
from toros.alpaca.waiting import initiate, wait_until
from toros.common.clock import Clock
from toros.common.config import Device
from toros.common.errors import DeviceError, DeviceRefused, ReadBackMismatch

_log = logging.getLogger(__name__)

SLEW_TIMEOUT_S = 300.0
ARRIVED_DEG = 0.02
_SIDES: dict[int, Literal["east", "west"]] = {0: "east", 1: "west"}


@dataclass(frozen=True)
class MountState:
    """What a mount reads, angles in degrees, ICRS.

    `side_of_pier` is the pointing state: "east" is the normal one (tube east of the pier,
    looking west), None if the mount does not know.
    """

    ra_deg: float
    dec_deg: float
    alt_deg: float | None
    azim_deg: float | None
    slewing: bool
    tracking: bool
    at_park: bool
    side_of_pier: Literal["east", "west"] | None


class Mount(AlpacaDevice[Telescope]):
    """A telescope mount. Use `open_mount`."""

    _system: EquatorialCoordinateType | None = None

    def state(self) -> MountState:
        """Return where the mount points and what it does."""
        members = self._members
        ra_deg, dec_deg = self._position()
        return MountState(
            ra_deg=ra_deg,
            dec_deg=dec_deg,
            alt_deg=optional(lambda: number(members.Altitude, "telescope altitude")),
            azim_deg=optional(lambda: number(members.Azimuth, "telescope azimuth")),
            slewing=truth(members.Slewing, "telescope slewing"),
            tracking=truth(members.Tracking, "telescope tracking"),
            at_park=self._at_park(),
            side_of_pier=self._side(),
        )

    def slew(
        self,
        ra_deg: float,
        dec_deg: float,
        timeout_s: float = SLEW_TIMEOUT_S,
        tolerance_deg: float = ARRIVED_DEG,
    ) -> MountState:
        """Slew, wait for the arrival, and return the state read back there."""
        self.start_slew(ra_deg, dec_deg)
        return self.wait_arrived(ra_deg, dec_deg, timeout_s, tolerance_deg)

    def start_slew(self, ra_deg: float, dec_deg: float) -> None:
        """Start slewing to ICRS coordinates, tracking, and return at once."""
        if not truth(self._members.Tracking, "telescope tracking"):
            self.set_tracking(True)
        ra_h, dec = to_mount(self._equatorial_system(), self._clock.unix(), ra_deg, dec_deg)
        initiate(lambda: self._members.SlewToCoordinatesAsync(ra_h, dec), "slew of the mount")

    def wait_arrived(
        self,
        ra_deg: float,
        dec_deg: float,
        timeout_s: float = SLEW_TIMEOUT_S,
        tolerance_deg: float = ARRIVED_DEG,
    ) -> MountState:
        """Wait until the mount reads within `tolerance_deg` of a place and no longer slews.

        Raises
        ------
        DeviceTimeout
            It did not arrive within `timeout_s` observatory seconds.
        ReadBackMismatch
            It arrived, but does not track.
        """

        def arrived() -> bool:
            # Some servers say "not slewing" straight after the start: the position decides first.
            off = separation_deg(*self._position(), ra_deg, dec_deg)
            return off <= tolerance_deg and not truth(self._members.Slewing, "telescope slewing")

        wait_until(
            arrived,
            clock=self._clock,
            timeout_s=timeout_s,
            what=f"the mount to arrive at {ra_deg:.4f} {dec_deg:+.4f}",
        )
        state = self.state()
        if not state.tracking:
            raise ReadBackMismatch("the mount arrived, but it does not track.")
        return state

    def set_tracking(self, tracking: bool) -> None:
        """Switch tracking on or off, and read it back."""
        self._members.Tracking = tracking
        if truth(self._members.Tracking, "telescope tracking") is not tracking:
            raise ReadBackMismatch(
                f"the mount's tracking did not turn {'on' if tracking else 'off'}."
            )

    def park(self, timeout_s: float = SLEW_TIMEOUT_S) -> None:
        """Park, and wait until the mount reads parked."""
        self.start_park()
        wait_until(
            self.parked,
            clock=self._clock,
            timeout_s=timeout_s,
            what="the mount to park",
        )

    def start_park(self) -> None:
        """Start to park, and return at once."""
        initiate(self._members.Park, "park of the mount")

    def unpark(self, timeout_s: float = 60.0) -> None:
        """Unpark, and wait until the mount reads so."""
        initiate(self._members.Unpark, "unpark of the mount")
        wait_until(
            lambda: not self._at_park(),
            clock=self._clock,
            timeout_s=timeout_s,
            what="the mount to unpark",
        )

    def abort(self) -> None:
        """Stop any slew, and wait until the mount no longer slews."""
        self._members.AbortSlew()
        wait_until(
            lambda: not truth(self._members.Slewing, "telescope slewing"),
            clock=self._clock,
            timeout_s=30.0,
            what="the mount to stop",
        )

    def parked(self) -> bool:
        """Return whether the mount reads parked, and still."""
        return self._at_park() and not truth(self._members.Slewing, "telescope slewing")

    def slewing(self) -> bool:
        """Return whether the mount reads that it slews."""
        return truth(self._members.Slewing, "telescope slewing")

    def pier_side(self) -> Literal["east", "west"] | None:
        """Return the pointing state; None if the mount does not know."""
        return self._side()

    def _position(self) -> tuple[float, float]:
        system = self._equatorial_system()
        ra_h = number(self._members.RightAscension, "telescope rightascension")
        dec = number(self._members.Declination, "telescope declination")
        return from_mount(system, self._clock.unix(), ra_h, dec)

    def _equatorial_system(self) -> EquatorialCoordinateType:
        if self._system is None:
            try:
                self._system = self._members.EquatorialSystem
            except ValueError as error:
                raise DeviceError("the mount's equatorial system is unknown.") from error
        return self._system

    def _at_park(self) -> bool:
        return truth(self._members.AtPark, "telescope atpark")

    def _side(self) -> Literal["east", "west"] | None:
        try:
            side = self._members.SideOfPier
        except (DeviceRefused, ValueError):
            return None  # a fork mount has no sides; a parked one may not tell
        return _SIDES.get(int(side))


def open_mount(address: Device | None, clock: Clock, limits: Limits | None = None) -> Mount:
    """Return the mount at `address`, or the only one that discovery finds. Connects when used."""
    return Mount("telescope", Telescope, address, clock, limits)
