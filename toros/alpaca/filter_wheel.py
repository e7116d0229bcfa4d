"""The filter wheel, by the names of its filters."""

from __future__ import annotations

from toros.alpaca.device import AlpacaDevice, number
from toros.alpaca.http import Limits
from toros.alpaca.members import FilterWheel as FilterWheelMembers
from toros.alpaca.waiting import initiate, wait_until
from toros.common.clock import Clock
from toros.common.config import Device
from toros.common.errors import DeviceError, DeviceRefused


class FilterWheel(AlpacaDevice[FilterWheelMembers]):
    """A filter wheel. Use `open_filter_wheel`."""

    def names(self) -> list[str]:
        """Return the names of the filters in the order of their places."""
        found = self._members.Names
        if not isinstance(found, list) or not found:
            raise DeviceError("the filter wheel does not name its filters.")
        return [str(name) for name in found]

    def current(self) -> str | None:
        """Return the filter in the beam; None while the wheel moves."""
        place = self._place()
        return None if place < 0 else self.names()[place]

    def select(self, name: str, timeout_s: float = 60.0) -> None:
        """Bring a filter into the beam, and wait until it reads there.

        The name may differ in case when only one filter is meant: r and R are two filters.
        """
        place = self._find(name)
        if self._place() == place:
            return

        def move() -> None:
            self._members.Position = place

        initiate(move, f"change to filter {name}")
        wait_until(
            lambda: self._place() == place,
            clock=self._clock,
            timeout_s=timeout_s,
            what=f"filter {name}",
        )

    def _find(self, name: str) -> int:
        names = self.names()
        if name in names:
            return names.index(name)
        alike = [place for place, other in enumerate(names) if other.casefold() == name.casefold()]
        if len(alike) != 1:
            raise DeviceRefused(f"there is no filter {name!r}; there are {', '.join(names)}.")
        return alike[0]

    def _place(self) -> int:
        place = int(number(self._members.Position, "filterwheel position"))
        if place >= len(self.names()):
            raise DeviceError(f"the filter wheel stands at place {place}, which it does not have.")
        return place


def open_filter_wheel(
    address: Device | None, clock: Clock, limits: Limits | None = None
) -> FilterWheel:
    """Return the filter wheel at `address`, or the only one found. Connects when used."""
    return FilterWheel("filterwheel", FilterWheelMembers, address, clock, limits)
