"""Whether it is safe, and what the weather is."""

from __future__ import annotations

from toros.alpaca.answers import is_not_implemented, is_not_set
from toros.alpaca.device import AlpacaDevice, number, truth
from toros.alpaca.http import Limits
from toros.alpaca.members import ObservingConditions
from toros.alpaca.members import SafetyMonitor as SafetyMonitorMembers
from toros.common.clock import Clock
from toros.common.config import Device
from toros.common.errors import DeviceRefused

WEATHER = {
    "cloudcover": "cloud_cover_percent",
    "dewpoint": "dew_point_c",
    "humidity": "humidity_percent",
    "pressure": "pressure_hpa",
    "rainrate": "rain_rate_mm_h",
    "skybrightness": "sky_brightness_lux",
    "skyquality": "sky_quality_mag_arcsec2",
    "skytemperature": "sky_temperature_c",
    "starfwhm": "star_fwhm_arcsec",
    "temperature": "temperature_c",
    "winddirection": "wind_direction_deg",
    "windgust": "wind_gust_m_s",
    "windspeed": "wind_speed_m_s",
}


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
        readings: dict[str, float] = {}
        for member, name in WEATHER.items():
            try:
                readings[name] = number(self._link.get(member), f"observingconditions {member}")
            except DeviceRefused as error:
                if not (is_not_implemented(error) or is_not_set(error)):
                    raise
        return readings


def open_safety_monitor(
    address: Device | None, clock: Clock, limits: Limits | None = None
) -> SafetyMonitor:
    """Return the safety monitor at `address`, or the only one found. Connects when used."""
    return SafetyMonitor("safetymonitor", SafetyMonitorMembers, address, clock, limits)


def open_weather(address: Device | None, clock: Clock, limits: Limits | None = None) -> Weather:
    """Return the weather station at `address`, or the only one found. Connects when used."""
    return Weather("observingconditions", ObservingConditions, address, clock, limits)
