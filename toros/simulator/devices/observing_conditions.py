"""The weather station: IObservingConditionsV2."""

from __future__ import annotations

from collections.abc import Callable

from toros.common.clock import Clock
from toros.common.config.simulator import SimulatorSettings
from toros.simulator.astrometry import Observer
from toros.simulator.devices.base import COMMON, Device
from toros.simulator.errors import InvalidValue
from toros.simulator.members import Member, read, real, text, write
from toros.simulator.sky_brightness import sky_mag
from toros.simulator.weather import Weather, dew_point

LONGEST_AVERAGE_H = 24.0


class ObservingConditions(Device):
    """Reads the simulated weather.

    Parameters
    ----------
    clock : Clock
        The observatory's time.
    number : int
        Device number.
    server_name : str
        Name of the server.
    settings : SimulatorSettings
        Seeing and night sky.
    weather : Weather
        What it reads.
    observer : Observer
        The place, for the brightness of the sky.
    """

    kind = "observingconditions"
    type_name = "ObservingConditions"
    interface_version = 2
    description = "A simulated weather station"
    parts = ("sensor",)

    def __init__(
        self,
        clock: Clock,
        number: int,
        server_name: str,
        settings: SimulatorSettings,
        weather: Weather,
        observer: Observer,
    ) -> None:
        super().__init__(clock, number, server_name)
        self.settings = settings
        self.weather = weather
        self.observer = observer
        self.average_h = 0.0
        self._stuck_at, self._stuck_until = 0.0, float("-inf")

    def read_unix(self) -> float:
        """Return when the sensors were read: now, unless the station is stuck."""
        now = self.clock.unix()
        return self._stuck_at if now < self._stuck_until else now

    def jam(self, _part: str, until: float) -> None:
        """Let the station go on saying what it says now, ever older, until then."""
        self._stuck_at, self._stuck_until = self.clock.unix(), until

    def refresh(self) -> None:
        """Read the sensors now, which is always done, unless the station is stuck."""

    def value(self, key: str) -> float:
        """Return a value of the weather, averaged as the client asked for."""
        return self.weather.average(key, self.read_unix(), self.average_h * 3600.0)

    def dew_point(self) -> float:
        """Return the dew point, °C."""
        return dew_point(self.value("temperature"), self.value("humidity"))

    def sky_quality(self) -> float:
        """Return the brightness of the zenith, mag per square arcsecond."""
        now = self.read_unix()
        zenith = self.observer.radec(now, 90.0, 0.0)
        chosen = self.settings.filters[0]
        return sky_mag(
            chosen.sky_mag,
            chosen.extinction_mag,
            sun_alt_deg=self.observer.sun_altitude(now),
            moon=self.observer.moon(now),
            direction=(*zenith, 90.0),
        )

    def sky_brightness(self) -> float:
        """Return the illuminance of the sky, lux (a uniform sky of the zenith's brightness)."""
        # 1 cd/m² = 12.58 mag per square arcsecond; a uniform hemisphere gives pi lux per cd/m².
        return float(3.14159 * 10 ** (0.4 * (12.58 - self.sky_quality())))

    def wind_direction(self) -> float:
        """Return where the wind comes from, degrees; 0 when there is none."""
        return self.value("wind_direction") if self.value("wind_speed") > 0.0 else 0.0

    def sensor(self, name: str) -> str:
        """Return the proper name of a sensor; raise `InvalidValue` if there is none."""
        for known in SENSORS:
            if known.lower() == name.lower():
                return known
        raise InvalidValue(f"There is no sensor {name!r}.")

    def age(self, name: str) -> float:
        """Return the seconds since a sensor was read; of any, if `name` is empty."""
        if name:
            self.sensor(name)
        return max(self.clock.unix() - self.read_unix(), 0.0)

    def describe(self, name: str) -> str:
        """Return what a sensor is."""
        return f"Simulated {self.sensor(name)}"


def _value(key: str) -> Callable[[ObservingConditions], float]:
    return lambda device: device.value(key)


SENSORS: dict[str, Callable[[ObservingConditions], float]] = {
    "CloudCover": _value("cloud_cover"),
    "DewPoint": ObservingConditions.dew_point,
    "Humidity": _value("humidity"),
    "Pressure": _value("pressure"),
    "RainRate": _value("rain_rate"),
    "SkyBrightness": ObservingConditions.sky_brightness,
    "SkyQuality": ObservingConditions.sky_quality,
    "SkyTemperature": _value("sky_temperature"),
    "StarFWHM": lambda device: device.settings.seeing_arcsec,
    "Temperature": _value("temperature"),
    "WindDirection": ObservingConditions.wind_direction,
    "WindGust": _value("wind_gust"),
    "WindSpeed": _value("wind_speed"),
}


def _sensors() -> list[Member]:
    return [read(name, answer) for name, answer in SENSORS.items()]


ObservingConditions.operational = tuple(SENSORS)
ObservingConditions.table = COMMON.joined(
    [
        _sensors(),
        read("AveragePeriod", lambda device: device.average_h),
        write(
            "AveragePeriod",
            lambda device, hours: setattr(device, "average_h", hours),
            AveragePeriod=real(0, LONGEST_AVERAGE_H),
        ),
        write("Refresh", ObservingConditions.refresh),
        read("SensorDescription", ObservingConditions.describe, SensorName=text()),
        read("TimeSinceLastUpdate", ObservingConditions.age, SensorName=text(required=False)),
    ]
)
