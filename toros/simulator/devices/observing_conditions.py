"""The weather station: IObservingConditionsV2."""

from __future__ import annotations

from collections.abc import Callable

from toros.common.clock import Clock
from toros.common.config.simulator import SimulatorSettings
from toros.simulator.astrometry import Observer
from toros.simulator.devices.base import COMMON, Device
from toros.simulator.errors import InvalidValue
from toros.simulator.members import Member, constant, read, real, text, write
from toros.simulator.sky_brightness import sky_mag
from toros.simulator.weather import Weather


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

    def sky_quality(self) -> float:
        """Return the brightness of the zenith, mag per square arcsecond."""
        now = self.clock.unix()
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
        values = self.weather.values()
        return values["wind_direction"] if values["wind_speed"] > 0.0 else 0.0

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
        return 0.0

    def describe(self, name: str) -> str:
        """Return what a sensor is."""
        return f"Simulated {self.sensor(name)}"


def _value(key: str) -> Callable[[ObservingConditions], float]:
    return lambda device: device.weather.values()[key]


SENSORS: dict[str, Callable[[ObservingConditions], float]] = {
    "CloudCover": _value("cloud_cover"),
    "DewPoint": lambda device: device.weather.dew_point(),
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


def _set_average_period(_device: ObservingConditions, hours: float) -> None:
    if hours > 0.0:
        raise InvalidValue("Only instantaneous readings: the average period must be 0.")


ObservingConditions.operational = tuple(SENSORS)
ObservingConditions.table = COMMON.joined(
    [
        _sensors(),
        constant(AveragePeriod=0.0),
        write("AveragePeriod", _set_average_period, AveragePeriod=real(0)),
        write("Refresh", lambda _device: None),
        read("SensorDescription", ObservingConditions.describe, SensorName=text()),
        read("TimeSinceLastUpdate", ObservingConditions.age, SensorName=text(required=False)),
    ]
)
