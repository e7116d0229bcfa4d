"""The weather over the observatory, which a test can change while the simulator runs."""

from __future__ import annotations

import math
from collections.abc import Mapping

from toros.common.clock import Clock
from toros.common.config.simulator import WeatherSettings

KEYS = (
    *("cloud_cover", "humidity", "pressure", "rain_rate", "sky_temperature", "temperature"),
    *("wind_direction", "wind_gust", "wind_speed"),
)
BOUNDED = {
    "cloud_cover": (0.0, 100.0),
    "humidity": (0.0, 100.0),
    "pressure": (1.0, 1200.0),
    "rain_rate": (0.0, 1000.0),
    "sky_temperature": (-120.0, 80.0),
    "temperature": (-90.0, 70.0),
    "wind_direction": (0.0, 360.0),
    "wind_gust": (0.0, 150.0),
    "wind_speed": (0.0, 150.0),
}


class Weather:
    """The weather now.

    Parameters
    ----------
    settings : WeatherSettings
        The weather at start and the limits of the safety monitor.
    clock : Clock
        The observatory's time.
    """

    def __init__(self, settings: WeatherSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._values = {key: float(getattr(settings, key)) for key in KEYS}
        self.forced = settings.safe
        self.changed_unix = clock.unix()

    def values(self) -> dict[str, float]:
        """Return the values by name; units as in `WeatherSettings`."""
        return dict(self._values)

    def change(self, values: Mapping[str, float]) -> None:
        """Change some values; raise `ValueError` naming the first that cannot be."""
        for key, value in values.items():
            if key not in BOUNDED:
                raise ValueError(f"unknown weather value {key!r}; known: {', '.join(KEYS)}")
            low, high = BOUNDED[key]
            if not low <= value <= high:
                raise ValueError(f"{key} must be within {low:g} and {high:g}")
        self._values.update({key: float(value) for key, value in values.items()})
        self.changed_unix = self._clock.unix()

    def unsafe_because(self) -> list[str]:
        """Return why it is not safe to open; empty if it is safe."""
        if self.forced is not None:
            return [] if self.forced else ["set by hand"]
        now, limits = self._values, self._settings
        reasons = {
            "rain": now["rain_rate"] > 0.0,
            "humidity": now["humidity"] > limits.humidity_limit,
            "wind": max(now["wind_gust"], now["wind_speed"]) > limits.wind_limit,
            "cloud": now["cloud_cover"] > limits.cloud_limit,
        }
        return [reason for reason, holds in reasons.items() if holds]

    @property
    def safe(self) -> bool:
        """Whether it is safe to open."""
        return not self.unsafe_because()

    def transparency(self) -> float:
        """Return how much starlight the clouds let through, 0 to 1."""
        return 1.0 - 0.95 * self._values["cloud_cover"] / 100.0

    def dew_point(self) -> float:
        """Return the dew point, °C (Magnus formula; Alduchov & Eskridge 1996)."""
        temperature = self._values["temperature"]
        humidity = max(self._values["humidity"], 0.1)
        gamma = math.log(humidity / 100.0) + 17.625 * temperature / (243.04 + temperature)
        return 243.04 * gamma / (17.625 - gamma)
