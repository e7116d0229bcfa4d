"""The focuser: IFocuserV4, absolute, without temperature compensation."""

from __future__ import annotations

from toros.common.clock import Clock
from toros.common.config.simulator import FocuserSettings
from toros.simulator.devices.base import COMMON, Device
from toros.simulator.members import absent, boolean, constant, integer, read, write
from toros.simulator.motion import Ramp, Timeline
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
        self._timeline = Timeline(Ramp.still(float(start)))

    def true_position(self, unix: float) -> float:
        """Return the position at `unix`, steps."""
        return self._timeline.at(unix).value(unix)

    def position(self) -> int:
        """Return the position now, whole steps."""
        return round(self.true_position(self.clock.unix()))

    def moving(self) -> bool:
        """Return whether it moves."""
        now = self.clock.unix()
        return self._timeline.at(now).moving(now)

    def move(self, position: int) -> None:
        """Begin to move; a goal beyond the ends is the end."""
        goal = min(max(position, 0), self.settings.max_step)
        now = self.clock.unix()
        self._timeline.command(
            now, Ramp(now, self.true_position(now), float(goal), self.settings.rate)
        )

    def halt(self) -> None:
        """Stop at a whole step."""
        now = self.clock.unix()
        self._timeline.command(now, Ramp.still(float(round(self.true_position(now)))))


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
