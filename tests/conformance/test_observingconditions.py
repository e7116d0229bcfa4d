from __future__ import annotations

import pytest

from tests.conformance.probe import INVALID, NOT_IMPLEMENTED, NOT_SET, is_number

BOUNDS = {
    "CloudCover": (0, 100),
    "DewPoint": (-273.15, 100),
    "Humidity": (0, 100),
    "Pressure": (0, 1100),
    "RainRate": (0, 20000),
    "SkyBrightness": (0, 1_000_000),
    "SkyQuality": (-20, 30),
    "SkyTemperature": (-273.15, 100),
    "StarFWHM": (0, 1000),
    "Temperature": (-273.15, 100),
    "WindDirection": (0, 360),
    "WindGust": (0, 1000),
    "WindSpeed": (0, 1000),
}


def readable(station) -> list[str]:
    return [sensor for sensor in BOUNDS if station.error("GET", sensor) in (0, NOT_SET)]


@pytest.mark.parametrize("sensor", BOUNDS)
def test_a_reading_is_within_its_bounds(observingconditions, sensor):
    if not observingconditions.implements(sensor):
        pytest.skip(f"no sensor for {sensor}")
    value = observingconditions.get(sensor)
    low, high = BOUNDS[sensor]
    assert is_number(value)
    assert low <= value <= high


def test_dew_point_and_humidity_come_together(observingconditions):
    assert observingconditions.implements("DewPoint") == observingconditions.implements("Humidity")


def test_no_wind_has_no_direction(observingconditions):
    if not {"WindSpeed", "WindDirection"} <= set(readable(observingconditions)):
        pytest.skip("no anemometer")
    if observingconditions.get("WindSpeed") == 0.0:
        assert observingconditions.get("WindDirection") == 0.0


def test_the_average_period(observingconditions):
    before = observingconditions.get("AveragePeriod")
    assert before >= 0.0
    observingconditions.refuses("AveragePeriod", INVALID, AveragePeriod=-1)
    observingconditions.roundtrip("AveragePeriod", 0.0)
    assert observingconditions.error("PUT", "AveragePeriod", AveragePeriod=5.0) in (0, INVALID)
    observingconditions.set("AveragePeriod", before)


@pytest.mark.parametrize("sensor", BOUNDS)
def test_a_sensor_that_is_there_is_described_and_dated(observingconditions, sensor):
    there = observingconditions.implements(sensor)
    expected = (0,) if there else (NOT_IMPLEMENTED, 0)
    assert observingconditions.error("GET", "SensorDescription", SensorName=sensor) in expected
    expected = (0,) if there else (NOT_IMPLEMENTED,)
    assert observingconditions.error("GET", "TimeSinceLastUpdate", SensorName=sensor) in expected


def test_the_latest_update(observingconditions):
    assert observingconditions.get("TimeSinceLastUpdate", SensorName="") >= 0.0


def test_a_sensor_that_nobody_knows_is_refused(observingconditions):
    for member in ("SensorDescription", "TimeSinceLastUpdate"):
        observingconditions.refuses(member, INVALID, verb="GET", SensorName="Mood")


def test_refresh(observingconditions):
    assert observingconditions.error("PUT", "Refresh") in (0, NOT_IMPLEMENTED)
