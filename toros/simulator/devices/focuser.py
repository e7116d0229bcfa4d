"""The focuser: IFocuserV4, absolute, without temperature compensation."""

from __future__ import annotations

from toros.common.clock import Clock
from toros.common.config.simulator import FocuserSettings
from toros.simulator.devices.base import COMMON, Device
from toros.simulator.members import absent, boolean, constant, integer, read, write
from toros.simulator.motion import Part
from toros.simulator.weather import Weather

STEP_UM = 1.0


class Focuser(Device):
    """An absolute focuser, at best focus at first.

    Parameters
    ----------
    clock : Clock
        The observatory's time.
    number : int
        Device number.
    server_name : str
        Name of the server.
    settings : FocuserSettings
        Range and rate.
    weather : Weather
        Where its thermometer reads.
    """

    kind = "focuser"
    type_name = "Focuser"
    interface_version = 4
    description = "A simulated absolute focuser"
    parts = slipping_parts = ("position",)
    operational = ("IsMoving", "Position", "Temperature")

    def __init__(
        self,
        clock: Clock,
        number: int,
        server_name: str,
        settings: FocuserSettings,
        weather: Weather,
    ) -> None:
        super().__init__(clock, number, server_name)
        self.settings = settings
        self.weather = weather
        start = min(settings.best_position, settings.max_step)
        self._tube = Part(float(start))
        self._lost_steps = 0.0  # true position minus what the focuser has counted

    def true_position(self, unix: float) -> float:
        """Return the position at `unix`, steps."""
        return self._tube.value(unix)

    def position(self) -> int:
        """Return the position now as the focuser has counted it, whole steps."""
        counted = round(self.true_position(self.clock.unix()) - self._lost_steps)
        return min(max(counted, 0), self.settings.max_step)

    def moving(self) -> bool:
        """Return whether it moves."""
        return self._tube.moving(self.clock.unix())

    def move(self, position: int) -> None:
        """Begin to move; a goal beyond the ends is the end."""
        goal = min(max(position, 0), self.settings.max_step)
        now = self.clock.unix()
        self._lost_steps += self._tube.trouble.slip(now)
        self._tube.move(now, goal + self._lost_steps, self.settings.rate)

    def halt(self) -> None:
        """Stop at a whole step."""
        now = self.clock.unix()
        self._tube.rest(now, float(round(self.true_position(now))))

    def jam(self, _part: str, until: float) -> None:
        """Let the tube be stuck until then."""
        self._tube.jam(self.clock.unix(), until)

    def slip(self, _part: str, amount: float, until: float) -> None:
        """Let each move go wrong by `amount` steps until then."""
        self._tube.trouble.slip_from_now(amount, until)

    def power_cycle(self, **_lost: bool) -> None:
        """Stop."""
        super().power_cycle()
        self._tube.rest(self.clock.unix())


Focuser.table = COMMON.joined(
    [
        constant(Absolute=True, StepSize=STEP_UM, TempComp=False, TempCompAvailable=False),
        absent("TempComp", "PUT", TempComp=boolean()),
        read("IsMoving", Focuser.moving),
        read("MaxIncrement", lambda focuser: focuser.settings.max_step),
        read("MaxStep", lambda focuser: focuser.settings.max_step),
        read("Position", Focuser.position),
        read("Temperature", lambda focuser: focuser.weather.values()["temperature"]),
        write("Move", Focuser.move, Position=integer()),
        write("Halt", Focuser.halt),
    ]
)
