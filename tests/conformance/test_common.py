"""What every device has."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.conformance.probe import NO_ACTION, NOT_IMPLEMENTED, OFFLINE, PLATFORM_7

# One property of each kind that wants a connection, and the operational properties.
OFFLINE_PROPERTY = {
    "telescope": "RightAscension",
    "dome": "Slewing",
    "camera": "CameraState",
    "filterwheel": "Position",
    "focuser": "Position",
    "observingconditions": "Humidity",
    "covercalibrator": "CoverState",
}
OPERATIONAL = {
    "telescope": {
        *("Altitude", "AtHome", "AtPark", "Azimuth", "Declination", "IsPulseGuiding"),
        *("RightAscension", "SideOfPier", "SiderealTime", "Slewing", "Tracking", "UTCDate"),
    },
    "dome": {"Altitude", "AtHome", "AtPark", "Azimuth", "ShutterStatus", "Slewing"},
    "camera": {
        *("CameraState", "CCDTemperature", "CoolerPower", "HeatSinkTemperature", "ImageReady"),
        *("IsPulseGuiding", "PercentCompleted"),
    },
    "filterwheel": {"Position"},
    "focuser": {"IsMoving", "Position", "Temperature"},
    "safetymonitor": {"IsSafe"},
    "observingconditions": {
        *("CloudCover", "DewPoint", "Humidity", "Pressure", "RainRate", "SkyBrightness"),
        *("SkyQuality", "SkyTemperature", "StarFWHM", "Temperature", "WindDirection"),
        *("WindGust", "WindSpeed"),
    },
    "covercalibrator": {
        *("Brightness", "CalibratorState", "CoverState", "CalibratorChanging", "CoverMoving"),
    },
}


def platform_7(device) -> bool:
    return device.get("InterfaceVersion") >= PLATFORM_7[device.kind]


def test_it_says_what_it_is(device):
    for member in ("Name", "Description", "DriverInfo", "DriverVersion"):
        assert isinstance(device.get(member), str)
    version = device.get("InterfaceVersion")
    assert isinstance(version, int)
    assert version >= 1


def test_actions(device):
    actions = device.get("SupportedActions")
    assert isinstance(actions, list)
    assert all(isinstance(action, str) and action.strip() for action in actions)
    assert "No such action" not in actions
    device.refuses("Action", NO_ACTION, NOT_IMPLEMENTED, Action="No such action", Parameters="x")


def test_connect_and_disconnect_are_asynchronous(device):
    if not platform_7(device):
        pytest.skip("an interface older than Platform 7")
    device.put("Disconnect")
    device.wait(lambda: not device.get("Connecting"), "the end of the connection")
    assert device.get("Connected") is False
    if device.server.fresh and device.kind in OFFLINE_PROPERTY:
        # On a server that others use as well they may keep the device connected.
        device.refuses(OFFLINE_PROPERTY[device.kind], OFFLINE, verb="GET")
    device.put("Connect")
    device.wait(lambda: not device.get("Connecting"), "the connection")
    assert device.get("Connected") is True
    device.put("Connect")
    device.wait(lambda: not device.get("Connecting"), "the connection")
    assert device.get("Connected") is True


def test_the_older_way_to_connect_still_works(device):
    device.set("Connected", False)
    assert device.get("Connected") is False
    device.set("Connected", True)
    device.wait(lambda: device.get("Connected") is True, "the connection")


def test_device_state_holds_operational_properties_only(device):
    if not platform_7(device):
        pytest.skip("an interface older than Platform 7")
    state = device.get("DeviceState")
    names = [entry["Name"] for entry in state]
    assert all(set(entry) == {"Name", "Value"} for entry in state)
    assert len(names) == len(set(names))
    assert set(names) <= OPERATIONAL[device.kind] | {"TimeStamp"}
    for entry in state:
        if entry["Name"] == "TimeStamp":
            datetime.fromisoformat(entry["Value"])
            continue
        read = device.get(entry["Name"])
        assert type(read) is type(entry["Value"]) or {type(read), type(entry["Value"])} == {
            *(int, float)
        }, entry


def test_every_operational_property_that_can_be_read_is_in_device_state(device):
    if not platform_7(device):
        pytest.skip("an interface older than Platform 7")
    names = {entry["Name"] for entry in device.get("DeviceState")}
    readable = {name for name in OPERATIONAL[device.kind] if device.error("GET", name) == 0}
    assert readable <= names
