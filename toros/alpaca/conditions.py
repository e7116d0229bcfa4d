"""Whether it is safe, and what the weather is."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from toros.alpaca.answers import is_not_implemented, is_not_set
from toros.alpaca.device import AlpacaDevice, number, truth
from toros.alpaca.http import Limits
from toros.alpaca.members import ObservingConditions
from toros.alpaca.members import SafetyMonitor as SafetyMonitorMembers
from toros.common.clock import Clock
from toros.common.config import Device
from toros.common.errors import DeviceRefused

# The sensors by their proper names, and what we call their readings.
WEATHER = {
    "CloudCover": "cloud_cover_percent",
    "DewPoint": "dew_point_c",
    "Humidity": "humidity_percent",
    "Pressure": "pressure_hpa",
    "RainRate": "rain_rate_mm_h",
    "SkyBrightness": "sky_brightness_lux",
    "SkyQuality": "sky_quality_mag_arcsec2",
    "SkyTemperature": "sky_temperature_c",
    "StarFWHM": "star_fwhm_arcsec",
    "Temperature": "temperature_c",
    "WindDirection": "wind_direction_deg",
    "WindGust": "wind_gust_m_s",
    "WindSpeed": "wind_speed_m_s",
}


class _Lacking:
    """There is no such sensor."""


LACKING: Final = _Lacking()


@dataclass(frozen=True)
class Measurement:
    """What one sensor says: None if it has no value now. `age_s` is None if it is not told."""

    value: float | None
    age_s: float | None


class SafetyMonitor(AlpacaDevice[SafetyMonitorMembers]):
    """A safety monitor. Use `open_safety_monitor`."""

    def is_safe(self) -> bool:
        """Return whether the monitor says that it is safe; an error is no yes."""
        if self._is_safe():
            return True
        # A disconnected monitor says false, without an error: after a restart of its server it
        # would say so for ever.
        if self._link.get("connected") is not True:
            self._link.forget()
            return self._is_safe()
        return False

    def _is_safe(self) -> bool:
        return truth(self._members.IsSafe, "safetymonitor issafe")


class Weather(AlpacaDevice[ObservingConditions]):
    """A weather station. Use `open_weather`."""

    def read(self) -> dict[str, float]:
        """Return what the station measures, by names with units; what it lacks is left out."""
        readings = ((name, self._value(sensor)) for sensor, name in WEATHER.items())
        return {name: value for name, value in readings if isinstance(value, float)}

    def measure(self, names: Collection[str]) -> dict[str, Measurement]:
        """Return some quantities with their ages; sensors that the station lacks are left out."""
        found: dict[str, Measurement] = {}
        for sensor, name in WEATHER.items():
            if name not in names:
                continue
            value = self._value(sensor)
            if value is not LACKING:
                known, age_s = self._age_s(sensor)
                measured = value if isinstance(value, float) and known else None
                found[name] = Measurement(measured, age_s)
        return found

    def _value(self, sensor: str) -> float | _Lacking | None:
        try:
            return number(self._link.get(sensor.lower()), f"observingconditions {sensor.lower()}")
        except DeviceRefused as error:
            if is_not_implemented(error):
                return LACKING
            if is_not_set(error):
                return None
            raise

    def _age_s(self, sensor: str) -> tuple[bool, float | None]:
        """Return whether the sensor ever measured anything, and how long ago, if that is told."""
        what = "observingconditions timesincelastupdate"
        try:
            age = number(self._link.get("timesincelastupdate", SensorName=sensor), what)
        except DeviceRefused as error:
            if is_not_implemented(error):
                return True, None
            if is_not_set(error):
                return False, None
            raise
        # By the specification a negative age says that no valid value was ever received.
        return (True, age) if age >= 0.0 else (False, None)


def open_safety_monitor(
    address: Device | None, clock: Clock, limits: Limits | None = None
) -> SafetyMonitor:
    """Return the safety monitor at `address`, or the only one found. Connects when used."""
    return SafetyMonitor("safetymonitor", SafetyMonitorMembers, address, clock, limits)


def open_weather(address: Device | None, clock: Clock, limits: Limits | None = None) -> Weather:
    """Return the weather station at `address`, or the only one found. Connects when used."""
    return Weather("observingconditions", ObservingConditions, address, clock, limits)
