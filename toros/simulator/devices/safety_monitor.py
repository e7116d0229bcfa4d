"""The safety monitor: ISafetyMonitorV3."""

from __future__ import annotations

from toros.common.clock import Clock
from toros.simulator.devices.base import COMMON, Device
from toros.simulator.members import always, read
from toros.simulator.weather import Weather


class SafetyMonitor(Device):
    """Says whether it is safe to open; without a connection it is not.

    Parameters
    ----------
    clock : Clock
        The observatory's time.
    number : int
        Device number.
    server_name : str
        Name of the server.
    weather : Weather
        What it watches.
    """

    kind = "safetymonitor"
    type_name = "SafetyMonitor"
    interface_version = 3
    description = "A simulated safety monitor"
    parts = ("sensor",)
    operational = ("IsSafe",)

    def __init__(self, clock: Clock, number: int, server_name: str, weather: Weather) -> None:
        super().__init__(clock, number, server_name)
        self.weather = weather
        self._stuck_at, self._stuck_until = 0.0, float("-inf")

    def is_safe(self) -> bool:
        """Return whether it is safe, as far as the monitor knows."""
        now = self.clock.unix()
        seen = self._stuck_at if now < self._stuck_until else now
        return self.connected and not self.weather.unsafe_because(seen)

    def jam(self, _part: str, until: float) -> None:
        """Let the monitor go on saying what it says now, until then."""
        self._stuck_at, self._stuck_until = self.clock.unix(), until


SafetyMonitor.table = COMMON.joined([always(read("IsSafe", SafetyMonitor.is_safe))])
