"""The filter wheel: IFilterWheelV3."""

from __future__ import annotations

from toros.common.clock import Clock
from toros.common.config.simulator import FilterSettings
from toros.simulator.devices.base import COMMON, Device
from toros.simulator.errors import InvalidValue
from toros.simulator.members import integer, read, write
from toros.simulator.motion import Ramp, Timeline

MOVING = -1


class FilterWheel(Device):
    """A wheel that takes a fixed time per step, the shorter way round.

    Parameters
    ----------
    clock : Clock
        The observatory's time.
    number : int
        Device number.
    server_name : str
        Name of the server.
    filters : tuple of FilterSettings
        In order.
    step_s : float
        Seconds per step.
    """

    kind = "filterwheel"
    type_name = "FilterWheel"
    interface_version = 3
    description = "A simulated filter wheel"
    operational = ("Position",)

    def __init__(
        self,
        clock: Clock,
        number: int,
        server_name: str,
        filters: tuple[FilterSettings, ...],
        step_s: float,
    ) -> None:
        super().__init__(clock, number, server_name)
        self.filters = filters
        self._step_s = step_s
        self._timeline = Timeline(Ramp.still(0.0))

    def index(self, unix: float) -> int:
        """Return which filter is nearest to the beam."""
        return round(self._timeline.at(unix).value(unix)) % len(self.filters)

    def position(self) -> int:
        """Return the position, -1 while the wheel turns."""
        now = self.clock.unix()
        return MOVING if self._timeline.at(now).moving(now) else self.index(now)

    def move(self, position: int) -> None:
        """Begin to turn to a position."""
        slots = len(self.filters)
        if not 0 <= position < slots:
            raise InvalidValue(f"Position {position} is outside 0 to {slots - 1}.")
        now = self.clock.unix()
        here = self._timeline.at(now).value(now)
        steps = (position - here) % slots
        goal = here + (steps if steps <= slots / 2 else steps - slots)
        self._timeline.command(now, Ramp(now, here, goal, 1.0 / self._step_s))


FilterWheel.table = COMMON.joined(
    [
        read("Names", lambda wheel: [entry.name for entry in wheel.filters]),
        read("FocusOffsets", lambda wheel: [entry.focus_offset for entry in wheel.filters]),
        read("Position", FilterWheel.position),
        write("Position", FilterWheel.move, Position=integer()),
    ]
)
