"""The sources of safety that the configuration names."""

from __future__ import annotations

from toros.alpaca import Limits, SafetyMonitor, Weather, open_safety_monitor, open_weather
from toros.common.client import FrontDeskClient
from toros.common.clock import Clock
from toros.common.config import Config, Device
from toros.common.module import Context
from toros.dome.command import Command
from toros.dome.pace import LEAST_AGE_S, age_s, pause_s
from toros.dome.reading import Reader
from toros.dome.safety import Source, Trouble
from toros.dome.weather import station
from toros.sky.site import Site
from toros.sky.visibility import sun_altitude

# A fast clock need not ask a weather station, which has many sensors, five times a second.
WEATHER_SHORTEST_S = 1.0
SUN_POLL_S = 30.0
SUN_MAX_AGE_S = 300.0
TELESCOPE_TIMEOUT_S = 5.0


class Sources:
    """Every source that is asked, and what must be closed at the end."""

    def __init__(self, context: Context, limits: Limits) -> None:
        self._config: Config = context.config
        self._clock: Clock = context.clock
        self._limits = limits
        self.devices: list[SafetyMonitor | Weather] = []
        self.asked: list[Source] = [
            *self._monitors(),
            *self._stations(),
            *self._sun(),
            *self._commands(),
            *self._telescope(),
        ]

    def close(self) -> None:
        """Let go of the devices."""
        for device in self.devices:
            device.close()

    def _monitors(self) -> list[Source]:
        settings, devices = self._config.dome, self._config.devices
        # With neither monitor nor weather station, the only monitor that answers to discovery.
        addresses: list[Device | None] = [*devices.safety_monitor]
        if not addresses and not devices.weather:
            addresses = [None]
        found = []
        for number, address in enumerate(addresses):
            monitor = open_safety_monitor(address, self._clock, self._limits)
            self.devices.append(monitor)
            found.append(
                Source(
                    f"safety monitor {number}",
                    _MonitorAsk(monitor),
                    self._clock,
                    pause_s(self._clock, settings.safety_poll_s),
                    age_s(self._clock, settings.safety_max_age_s),
                )
            )
        return found

    def _stations(self) -> list[Source]:
        settings = self._config.dome.weather
        found = []
        for number, address in enumerate(self._config.devices.weather):
            weather = open_weather(address, self._clock, self._limits)
            self.devices.append(weather)
            found.append(
                Source(
                    f"weather station {number}",
                    station(weather, settings, self._clock),
                    self._clock,
                    pause_s(self._clock, settings.poll_s, WEATHER_SHORTEST_S),
                    age_s(self._clock, settings.max_age_s),
                )
            )
        return found

    def _sun(self) -> list[Source]:
        limit = self._config.dome.sun_altitude_max_deg
        if limit is None:
            return []
        place = self._config.site
        site = Site(place.name, place.latitude, place.longitude, place.elevation)
        ask = _SunAsk(site, self._clock, limit)
        pause = pause_s(self._clock, SUN_POLL_S)
        return [Source("Sun", ask, self._clock, pause, age_s(self._clock, SUN_MAX_AGE_S))]

    def _commands(self) -> list[Source]:
        return [
            Source(
                each.name,
                Command(each, self._clock),
                self._clock,
                pause_s(self._clock, each.poll_s, LEAST_AGE_S / 4),
                age_s(self._clock, each.max_age_s),
            )
            for each in self._config.dome.commands
        ]

    def _telescope(self) -> list[Source]:
        limit_s = self._config.dome.telescope_silence_s
        if limit_s is None or "telescope" not in self._config.services:
            return []
        client = FrontDeskClient.of(self._config, "telescope", timeout_s=TELESCOPE_TIMEOUT_S)
        believed = age_s(self._clock, limit_s)
        return [Heartbeat(client, self._clock, believed)]


class _MonitorAsk:
    def __init__(self, monitor: SafetyMonitor) -> None:
        self._monitor = monitor

    def __call__(self) -> str:
        return "" if self._monitor.is_safe() is True else "says that it is unsafe"


class _SunAsk:
    def __init__(self, site: Site, clock: Clock, limit_deg: float) -> None:
        self._site = site
        self._clock = clock
        self._limit_deg = limit_deg

    def __call__(self) -> str:
        altitude = float(sun_altitude(self._site, self._clock.unix())[0])
        if altitude <= self._limit_deg:
            return ""
        return f"is up, at altitude {altitude:.1f}°"


class Heartbeat(Source):
    """The telescope module: silent for less than the limit is as good as an answer.

    The limit counts from the start of the dome module, so that the two can start in any order.
    """

    def __init__(self, client: FrontDeskClient, clock: Clock, limit_s: float) -> None:
        super().__init__("telescope module", self._hear, clock, limit_s / 5, limit_s)
        self._client = client
        self._last = clock.monotonic()

    def _hear(self) -> str:
        self._client.ask("status", wait=0.0)
        self._last = self._clock.monotonic()
        return ""

    @property
    def heard(self) -> bool:
        """It is believed from the start."""
        return True

    @property
    def age_s(self) -> float:
        """How long ago it was last heard of, or the dome module started."""
        return self._clock.monotonic() - self._last

    def trouble(self) -> Trouble | None:
        """Return that it has been silent too long."""
        if self.age_s <= self.max_age_s:
            return None
        return Trouble(self.name, "stale", f"is silent (for {self.age_s:.0f} s)")


class Hardware:
    """The dome itself: what cannot be read may be open.

    Parameters
    ----------
    reader : Reader
        Reads the dome.
    max_age_s : float
        For how long a reading is believed.
    """

    name = "dome hardware"

    def __init__(self, reader: Reader, max_age_s: float) -> None:
        self._reader = reader
        self.max_age_s = max_age_s

    @property
    def heard(self) -> bool:
        """Whether it was read at all."""
        return self._reader.ever_read

    @property
    def age_s(self) -> float | None:
        """How long ago it was last read; None if never."""
        return self._reader.age_s

    def trouble(self) -> Trouble | None:
        """Return that it cannot be read, or could not for too long."""
        age = self.age_s
        if age is None:
            return Trouble(self.name, "unknown", "was not read yet")
        if age > self.max_age_s:
            trouble = self._reader.trouble or "it does not answer"
            return Trouble(self.name, "unreachable", f"cannot be read ({trouble})")
        return None
