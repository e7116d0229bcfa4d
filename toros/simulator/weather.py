"""The weather over the observatory: a function of time, which a test writes as a script."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toros.common.clock import Clock
from toros.common.config.simulator import WeatherSettings
from toros.simulator.motion import Timeline

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
AVERAGED_OVER = 33


@dataclass(frozen=True)
class Step:
    """One step of a script.

    Parameters
    ----------
    after_s : float
        When it begins, observatory seconds after the script.
    over_s : float
        How long the values take to change; 0: at once.
    values : mapping
        What changes, by name.
    safe : bool, optional
        What the safety monitor then says whatever the values are; left out: as before.
    judged : bool
        Whether the safety monitor judges by the values again.
    """

    after_s: float
    over_s: float
    values: Mapping[str, float]
    safe: bool | None = None
    judged: bool = False


@dataclass(frozen=True)
class Stretch:
    """The weather from one moment on: values that go linearly from the first to the last."""

    start_unix: float
    over_s: float
    first: Mapping[str, float]
    last: Mapping[str, float]
    forced: bool | None

    def values(self, unix: float) -> dict[str, float]:
        """Return the values at `unix`."""
        gone = 1.0
        if self.over_s > 0.0:
            gone = min(max((unix - self.start_unix) / self.over_s, 0.0), 1.0)
        return {key: self.first[key] + gone * (self.last[key] - self.first[key]) for key in KEYS}


class Weather:
    """The weather at any time.

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
        start = {key: float(getattr(settings, key)) for key in KEYS}
        self._born_unix = clock.unix()
        self._timeline = Timeline(Stretch(self._born_unix, 0.0, start, start, settings.safe))

    def values(self, unix: float | None = None) -> dict[str, float]:
        """Return the values by name, now if not said otherwise; units as in `WeatherSettings`."""
        moment = self._clock.unix() if unix is None else unix
        return self._timeline.at(moment).values(moment)

    def average(self, key: str, unix: float, period_s: float) -> float:
        """Return a value averaged over the time before `unix`; a direction as directions are."""
        first = max(unix - period_s, min(self._born_unix, unix))
        times = [
            first + (unix - first) * part / (AVERAGED_OVER - 1) for part in range(AVERAGED_OVER)
        ]
        readings = [self.values(time)[key] for time in (times if period_s > 0.0 else [unix])]
        if key != "wind_direction" or len(readings) == 1:
            return sum(readings) / len(readings)
        east = sum(math.sin(math.radians(reading)) for reading in readings)
        north = sum(math.cos(math.radians(reading)) for reading in readings)
        return math.degrees(math.atan2(east, north)) % 360.0

    @property
    def forced(self) -> bool | None:
        """What the safety monitor says whatever the values are, if anything."""
        return self._timeline.at(self._clock.unix()).forced

    @forced.setter
    def forced(self, safe: bool | None) -> None:
        now = self._clock.unix()
        values = self.values(now)
        self._timeline.command(now, Stretch(now, 0.0, values, values, safe))

    def change(self, values: Mapping[str, float]) -> None:
        """Change some values at once; raise `ValueError` naming the first that cannot be.

        What is left of a script is forgotten.
        """
        check(values)
        self.play([Step(0.0, 0.0, values)])

    def play(self, steps: Sequence[Step], *, every_s: float = 0.0, times: int = 1) -> None:
        """Let the weather follow a script from now on.

        Parameters
        ----------
        steps : sequence of Step
            In order of time.
        every_s : float
            After how long the script begins again.
        times : int
            How often it is played.
        """
        for step in steps:
            check(step.values)
        now = self._clock.unix()
        here = Stretch(now, 0.0, self.values(now), self.values(now), self.forced)
        self._timeline.command(now, here)
        for turn in range(times):
            for step in steps:
                start = now + turn * every_s + step.after_s
                values = here.values(start)
                changed = {**values, **{key: float(value) for key, value in step.values.items()}}
                forced = here.forced if step.safe is None else step.safe
                here = Stretch(start, step.over_s, values, changed, None if step.judged else forced)
                self._timeline.then(start, here)

    def unsafe_because(self, unix: float | None = None) -> list[str]:
        """Return why it is not safe to open; empty if it is safe."""
        moment = self._clock.unix() if unix is None else unix
        forced = self._timeline.at(moment).forced
        if forced is not None:
            return [] if forced else ["set by hand"]
        now, limits = self.values(moment), self._settings
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

    def transparency(self, unix: float | None = None) -> float:
        """Return how much starlight the clouds let through, 0 to 1."""
        return 1.0 - 0.95 * self.values(unix)["cloud_cover"] / 100.0

    def dew_point(self, unix: float | None = None) -> float:
        """Return the dew point, °C."""
        values = self.values(unix)
        return dew_point(values["temperature"], values["humidity"])


def dew_point(temperature_c: float, humidity_percent: float) -> float:
    """Return the dew point, °C (Magnus formula; Alduchov & Eskridge 1996)."""
    humidity = max(humidity_percent, 0.1)
    gamma = math.log(humidity / 100.0) + 17.625 * temperature_c / (243.04 + temperature_c)
    return 243.04 * gamma / (17.625 - gamma)


def check(values: Mapping[str, float]) -> None:
    """Raise `ValueError` naming the first value that there cannot be."""
    for key, value in values.items():
        if key not in BOUNDED:
            raise ValueError(f"unknown weather value {key!r}; known: {', '.join(KEYS)}")
        low, high = BOUNDED[key]
        if not low <= value <= high:
            raise ValueError(f"{key} must be within {low:g} and {high:g}")
