"""A weather station's limits: beyond, between, old, missing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.stepped import SteppedClock
from toros.alpaca import Measurement
from toros.common.config.dome import Limit, WeatherSettings
from toros.dome.weather import Hysteresis, WeatherJudge

FINE = {
    "rain_rate_mm_h": 0.0,
    "humidity_percent": 30.0,
    "temperature_c": 5.0,
    "dew_point_c": -8.0,
    "wind_gust_m_s": 5.0,
}


def _read(age_s: float | None = 0.0, **changes: float | None) -> dict[str, Measurement]:
    return {name: Measurement(value, age_s) for name, value in {**FINE, **changes}.items()}


def _judge(hold_s: float = 0.0, **more: object) -> tuple[WeatherJudge, SteppedClock]:
    clock = SteppedClock(0.0)
    settings = WeatherSettings.model_validate({"hold_s": hold_s, **more})
    return WeatherJudge(settings, clock), clock


@given(
    values=st.lists(st.floats(0, 30), min_size=1, max_size=30),
    limits=st.tuples(st.floats(5, 25), st.floats(5, 25)),
)
def test_a_limit_remembers_on_which_side_it_was_last(
    values: list[float], limits: tuple[float, float]
) -> None:
    limit = Limit(unsafe=limits[0], safe=limits[1])
    state, expected = Hysteresis(limit), True
    for value in values:
        beyond = value > limit.unsafe if limit.upper else value < limit.unsafe
        good = value <= limit.safe if limit.upper else value >= limit.safe
        expected = True if beyond else (False if good else expected)
        assert state.update(value) is expected
        assert state.exceeded is beyond


def test_fine_weather_is_fine() -> None:
    assert _judge()[0].judge(_read()) == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rain_rate_mm_h": 0.1}, "rain_rate_mm_h 0.1, above 0"),
        ({"humidity_percent": 95.0}, "humidity_percent 95, above 90"),
        ({"dew_point_c": 4.5}, "dew_point_margin_c 0.5, below 1.5"),
        ({"wind_gust_m_s": None}, "no value of wind_gust_m_s"),
        ({"dew_point_c": None}, "no value of dew_point_margin_c"),
    ],
)
def test_each_limit_says_what_is_wrong(changes: dict[str, float | None], words: str) -> None:
    judge, _ = _judge()
    assert judge.judge(_read()) == ""
    assert words in judge.judge(_read(**changes))


def test_between_the_limits_it_stays_what_it_was_and_begins_unsafe() -> None:
    judge, _ = _judge()
    assert "still above 85" in judge.judge(_read(humidity_percent=87.0))
    assert judge.judge(_read(humidity_percent=80.0)) == ""
    assert judge.judge(_read(humidity_percent=87.0)) == ""


def test_after_a_limit_was_exceeded_it_is_safe_again_only_after_a_while() -> None:
    judge, clock = _judge(hold_s=100.0)
    assert judge.judge(_read()) == ""
    assert judge.judge(_read(rain_rate_mm_h=1.0))
    clock.sleep(99.0)
    assert "less than 100 s" in judge.judge(_read())
    clock.sleep(1.0)
    assert judge.judge(_read()) == ""


def test_old_measurements_are_no_measurements() -> None:
    judge, _ = _judge(max_age_s=60.0)
    assert judge.judge(_read(age_s=59.0)) == ""
    assert "measured rain_rate_mm_h 61 s ago" in judge.judge(_read(age_s=61.0))
    assert judge.judge(_read(age_s=None)) == ""  # the station does not tell ages


def test_a_sensor_that_vanishes_is_missed_and_one_that_never_was_is_not() -> None:
    judge, _ = _judge()
    without = {name: each for name, each in _read().items() if name != "wind_gust_m_s"}
    assert judge.judge(without) == ""
    assert judge.judge(_read()) == ""
    assert "does not measure wind_gust_m_s" in judge.judge(without)
    strict, _ = _judge(required=["wind_gust_m_s"])
    assert "does not measure wind_gust_m_s" in strict.judge(without)


def test_a_station_that_measures_nothing_of_use_is_unsafe() -> None:
    assert "measures nothing" in _judge()[0].judge({})


def test_only_quantities_with_a_limit_can_be_required() -> None:
    with pytest.raises(ValueError, match="has no limit"):
        _judge(required=["sky_temperature_c"])
