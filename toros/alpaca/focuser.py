"""The focuser, by absolute position."""

from __future__ import annotations

from toros.alpaca.device import AlpacaDevice, number, optional, truth
from toros.alpaca.http import Limits
from toros.alpaca.members import Focuser as FocuserMembers
from toros.alpaca.waiting import initiate, wait_until
from toros.common.clock import Clock
from toros.common.config import Device


class Focuser(AlpacaDevice[FocuserMembers]):
    """A focuser. Use `open_focuser`."""

    def position(self) -> int:
        """Return the position, steps."""
        return int(number(self._members.Position, "focuser position"))

    def move(self, position: int, timeout_s: float = 120.0) -> None:
        """Move to a position, and wait until the focuser stands and reads there."""
        initiate(lambda: self._members.Move(position), "move of the focuser")
        wait_until(
            lambda: (
                self.position() == position
                and not truth(self._members.IsMoving, "focuser ismoving")
            ),
            clock=self._clock,
            timeout_s=timeout_s,
            what=f"the focuser to reach {position}",
        )

    def temperature(self) -> float | None:
        """Return its temperature, Celsius; None if it has no probe."""
        return optional(lambda: number(self._members.Temperature, "focuser temperature"))


def open_focuser(address: Device | None, clock: Clock, limits: Limits | None = None) -> Focuser:
    """Return the focuser at `address`, or the only one that discovery finds. Connects when used."""
    return Focuser("focuser", FocuserMembers, address, clock, limits)
