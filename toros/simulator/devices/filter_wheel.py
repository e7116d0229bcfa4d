"""The filter wheel: IFilterWheelV3."""

from __future__ import annotations

from toros.common.clock import Clock
from toros.common.config.simulator import FilterSettings
from toros.simulator.devices.base import COMMON, Device
from toros.simulator.errors import InvalidValue
from toros.simulator.members import integer, read, write
from toros.simulator.motion import Part

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
    parts = slipping_parts = ("position",)
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
        self._wheel = Part(0.0)
        self._lost_slots = 0.0  # true position minus what the wheel has counted

    def index(self, unix: float) -> int:
        """Return which filter is nearest to the beam."""
        return round(self._wheel.value(unix)) % len(self.filters)

    def position(self) -> int:
        """Return the position that the wheel has counted, -1 while it turns."""
        now = self.clock.unix()
        if self._wheel.moving(now):
            return MOVING
        return round(self._wheel.value(now) - self._lost_slots) % len(self.filters)

    def move(self, position: int) -> None:
        """Begin to turn to a position."""
        slots = len(self.filters)
        if not 0 <= position < slots:
            raise InvalidValue(f"Position {position} is outside 0 to {slots - 1}.")
        now = self.clock.unix()
        here = self._wheel.value(now)
        steps = (position - (here - self._lost_slots)) % slots
        lost = float(round(self._wheel.trouble.slip(now)))
        self._lost_slots += lost
        goal = here + (steps if steps <= slots / 2 else steps - slots) + lost
        self._wheel.move(now, goal, 1.0 / self._step_s)

    def jam(self, _part: str, until: float) -> None:
        """Let the wheel be stuck until then."""
        self._wheel.jam(self.clock.unix(), until)

    def slip(self, _part: str, amount: float, until: float) -> None:
        """Let each move go wrong by `amount` slots until then."""
        self._wheel.trouble.slip_from_now(amount, until)

    def power_cycle(self, **_lost: bool) -> None:
        """Stop at the nearest filter."""
        super().power_cycle()
        now = self.clock.unix()
        self._wheel.rest(now, float(round(self._wheel.value(now))))


FilterWheel.table = COMMON.joined(
    [
        read("Names", lambda wheel: [entry.name for entry in wheel.filters]),
        read("FocusOffsets", lambda wheel: [entry.focus_offset for entry in wheel.filters]),
        read("Position", FilterWheel.position),
        write("Position", FilterWheel.move, Position=integer()),
    ]
)
