"""A weather station as a source of safety: limits, each with its hysteresis."""

from __future__ import annotations

from toros.alpaca import Measurement, Weather
from toros.common.clock import Clock
from toros.common.config.dome import Limit, WeatherSettings

# What is derived from others: the margin above the dew point.
MARGIN = "dew_point_margin_c"
MARGIN_OF = ("temperature_c", "dew_point_c")


class Hysteresis:
    """One limit, with its memory.

    It begins as unsafe: between the two values nothing says that it is safe.
    """

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self.unsafe = True
        self.exceeded = False

    def update(self, value: float) -> bool:
        """Take a new value, and return whether it is unsafe."""
        # With the sign of the unsafe direction, both limits are upper ones.
        sign = 1.0 if self._limit.upper else -1.0
        self.exceeded = sign * value > sign * self._limit.unsafe
        if self.exceeded:
            self.unsafe = True
        elif sign * value <= sign * self._limit.safe:
            self.unsafe = False
        return self.unsafe


class WeatherJudge:
    """Says of a station's measurements why they are not safe.

    Parameters
    ----------
    settings : WeatherSettings
        Limits and ages.
    clock : Clock
        The observatory's clock.
    """

    def __init__(self, settings: WeatherSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._limits = settings.limits.given()
        self._states = {name: Hysteresis(limit) for name, limit in self._limits.items()}
        self._measured: set[str] = set()
        self._exceeded_at: float | None = None

    @property
    def quantities(self) -> set[str]:
        """What must be measured to judge."""
        named = set(self._limits) - {MARGIN}
        return named | set(MARGIN_OF) if MARGIN in self._limits else named

    def judge(self, found: dict[str, Measurement]) -> str:
        """Return why it is not safe; empty if it is."""
        because = [
            text
            for name in self._limits
            if (text := self._of_one(name, _with_margin(found).get(name)))
        ]
        if not self._measured:
            because.append("measures nothing that has a limit")
        if any(state.exceeded for state in self._states.values()):
            self._exceeded_at = self._clock.monotonic()
        elif not because and self._exceeded_at is not None:
            calm_s = self._clock.monotonic() - self._exceeded_at
            if calm_s < self._settings.hold_s:
                because.append(f"was within its limits for less than {self._settings.hold_s:g} s")
        return ", ".join(because)

    def _of_one(self, name: str, found: Measurement | None) -> str:
        if found is None:
            # A sensor that this station never had is no matter; one that it had is.
            missed = name in self._measured or name in self._settings.required
            return f"does not measure {name}" if missed else ""
        self._measured.add(name)
        if found.value is None:
            return f"has no value of {name}"
        if found.age_s is not None and found.age_s > self._settings.max_age_s:
            return f"measured {name} {found.age_s:.0f} s ago"
        limit, state = self._limits[name], self._states[name]
        if not state.update(found.value):
            return ""
        side = "above" if limit.upper else "below"
        beyond = f"{side} {limit.unsafe:g}" if state.exceeded else f"still {side} {limit.safe:g}"
        return f"reads {name} {found.value:.4g}, {beyond}"


def _with_margin(found: dict[str, Measurement]) -> dict[str, Measurement]:
    """Return the measurements, and the margin above the dew point where both are measured."""
    air, dew = (found.get(name) for name in MARGIN_OF)
    if air is None or dew is None:
        return found
    ages = [each.age_s for each in (air, dew) if each.age_s is not None]
    known = air.value is not None and dew.value is not None
    margin = (air.value or 0.0) - (dew.value or 0.0) if known else None
    return {**found, MARGIN: Measurement(margin, max(ages, default=None))}


def station(weather: Weather, settings: WeatherSettings, clock: Clock) -> WeatherAsk:
    """Return a question to a weather station, as a `Source` asks it."""
    return WeatherAsk(weather, WeatherJudge(settings, clock))


class WeatherAsk:
    """Reads a station and judges what it says."""

    def __init__(self, weather: Weather, judge: WeatherJudge) -> None:
        self._weather = weather
        self._judge = judge

    def __call__(self) -> str:
        """Return why it is not safe; empty if it is."""
        return self._judge.judge(self._weather.measure(self._judge.quantities))
