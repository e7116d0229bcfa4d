"""The Alpaca protocol over real HTTP: what is malformed, what is refused, what is echoed."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from toros.common.clock import Clock
from toros.common.config import Config
from toros.common.config.simulator import CameraSettings, SimulatorSettings
from toros.simulator.server import Simulator

EVENING = datetime(2017, 8, 17, 23, 30, tzinfo=UTC)
NOT_IMPLEMENTED, INVALID, NOT_SET, OFFLINE, PARKED, WRONG_STATE, NO_ACTION = (
    *(0x400, 0x401, 0x402, 0x407, 0x408, 0x40B, 0x40C),
)


class Http:
    """A client that does only what it is told."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()

    def get(self, path: str, **query: Any) -> requests.Response:
        return self.session.get(f"{self.url}{path}", params=query, timeout=20)

    def put(self, path: str, **form: Any) -> requests.Response:
        return self.session.put(f"{self.url}{path}", data=form, timeout=20)

    def error(self, path: str, **form: Any) -> int:
        """Return the error number of a PUT that is well formed."""
        reply = self.put(path, **form)
        assert reply.status_code == 200, reply.text
        return int(reply.json()["ErrorNumber"])


@pytest.fixture(scope="module")
def http() -> Iterator[Http]:
    settings = SimulatorSettings(
        discovery=False, camera=CameraSettings(width=64, height=48, readout_s=0.0)
    )
    with Simulator(settings, Clock.simulated(EVENING, 100.0), Config().site) as simulator:
        client = Http(simulator.url)
        for kind in ("telescope", "dome", "camera", "filterwheel", "focuser"):
            assert client.error(f"/api/v1/{kind}/0/connected", Connected="True") == 0
        yield client
        client.session.close()


def test_devices_and_management_share_one_count(http):
    paths = ["/api/v1/dome/0/azimuth", "/management/apiversions"] * 3
    numbers = [http.get(path).json()["ServerTransactionID"] for path in paths]
    assert numbers == list(range(numbers[0], numbers[0] + 6))


def test_ids_are_echoed_and_counted(http):
    first = http.get("/api/v1/dome/0/azimuth", ClientID=3, ClientTransactionID=77).json()
    second = http.get("/api/v1/dome/0/azimuth", clientid=3, CLIENTTRANSACTIONID=78).json()
    assert first["ClientTransactionID"] == 77
    assert second["ClientTransactionID"] == 78
    assert 1 <= first["ServerTransactionID"] < second["ServerTransactionID"]
    assert first["ErrorNumber"] == 0
    assert first["ErrorMessage"] == ""


@pytest.mark.parametrize("bad", ["", " ", "-1", "text", "4294967296", "1.5"])
def test_a_bad_id_is_echoed_as_zero(http, bad):
    reply = http.get("/api/v1/dome/0/azimuth", ClientTransactionID=bad)
    assert reply.status_code == 200
    assert reply.json()["ClientTransactionID"] == 0


def test_names_in_a_query_match_in_any_case(http):
    assert http.get("/api/v1/telescope/0/canmoveaxis", AXIS=0).json()["Value"] is True


def test_names_in_a_form_must_be_exact(http):
    assert http.put("/api/v1/dome/0/slewtoazimuth", azimuth=10).status_code == 400
    echoed = http.put("/api/v1/dome/0/abortslew", clienttransactionid=5)
    assert echoed.json()["ClientTransactionID"] == 0


@pytest.mark.parametrize("bad", ["", " ", "north", "nan", "1,5", None])
def test_a_value_that_cannot_be_read_is_malformed(http, bad):
    form = {} if bad is None else {"Azimuth": bad}
    assert http.put("/api/v1/dome/0/slewtoazimuth", **form).status_code == 400


def test_unknown_extra_parameters_are_ignored(http):
    assert http.error("/api/v1/dome/0/slewtoazimuth", Azimuth=180, Colour="blue") == 0


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/Dome/0/azimuth",
        "/api/v1/rotator/0/position",
        "/api/v1/dome/1/azimuth",
        "/api/v1/dome/-1/azimuth",
        "/api/v1/dome/99999/azimuth",
        "/api/v1/dome/A/azimuth",
        "/api/v1/dome/0/colour",
        "/api/v1/dome/0/Azimuth",
        "/api/v2/dome/0/azimuth",
        "/api/v1/dome/0/slewtoazimuth",
        "/api",
    ],
)
def test_what_does_not_exist_is_not_found(http, path):
    assert 400 <= http.get(path).status_code < 500


@pytest.mark.parametrize(
    ("path", "form", "number"),
    [
        ("dome/0/slewtoazimuth", {"Azimuth": 360}, INVALID),
        ("dome/0/slewtoazimuth", {"Azimuth": -0.1}, INVALID),
        ("dome/0/synctoazimuth", {"Azimuth": 400}, INVALID),
        ("dome/0/slewtoaltitude", {"Altitude": 40}, NOT_IMPLEMENTED),
        ("dome/0/slaved", {"Slaved": "True"}, NOT_IMPLEMENTED),
        ("filterwheel/0/position", {"Position": 4}, INVALID),
        ("filterwheel/0/position", {"Position": -1}, INVALID),
        ("focuser/0/tempcomp", {"TempComp": "True"}, NOT_IMPLEMENTED),
        ("camera/0/binx", {"BinX": 0}, INVALID),
        ("camera/0/binx", {"BinX": 5}, INVALID),
        ("camera/0/gain", {"Gain": 301}, INVALID),
        ("camera/0/offset", {"Offset": -1}, INVALID),
        ("camera/0/setccdtemperature", {"SetCCDTemperature": -280}, INVALID),
        ("camera/0/setccdtemperature", {"SetCCDTemperature": 100}, INVALID),
        ("camera/0/startexposure", {"Duration": -1, "Light": "True"}, INVALID),
        ("camera/0/readoutmode", {"ReadoutMode": 1}, INVALID),
        ("camera/0/pulseguide", {"Direction": 0, "Duration": 10}, NOT_IMPLEMENTED),
        ("telescope/0/action", {"Action": "dance", "Parameters": ""}, NO_ACTION),
        ("telescope/0/commandblind", {"Command": "x", "Raw": "True"}, NOT_IMPLEMENTED),
        ("telescope/0/targetrightascension", {"TargetRightAscension": 24}, INVALID),
        ("telescope/0/trackingrate", {"TrackingRate": 5}, INVALID),
        ("telescope/0/slewsettletime", {"SlewSettleTime": -1}, INVALID),
        ("telescope/0/moveaxis", {"Axis": 3, "Rate": 0.1}, INVALID),
        ("telescope/0/moveaxis", {"Axis": 0, "Rate": 50}, INVALID),
        ("telescope/0/moveaxis", {"Axis": 0, "Rate": 0.1}, PARKED),
        ("telescope/0/tracking", {"Tracking": "true"}, PARKED),
        (
            "telescope/0/slewtocoordinatesasync",
            {"RightAscension": 5, "Declination": -91},
            INVALID,
        ),
        ("telescope/0/slewtocoordinatesasync", {"RightAscension": 5, "Declination": 0}, PARKED),
        ("safetymonitor/0/action", {"Action": "x"}, OFFLINE),
        ("observingconditions/0/averageperiod", {"AveragePeriod": 1}, OFFLINE),
    ],
)
def test_what_a_device_refuses_has_its_number(http, path, form, number):
    assert http.error(f"/api/v1/{path}", **form) == number


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("camera/0/imagearray", WRONG_STATE),
        ("camera/0/lastexposureduration", WRONG_STATE),
        ("camera/0/bayeroffsetx", NOT_IMPLEMENTED),
        ("camera/0/gains", NOT_IMPLEMENTED),
        ("dome/0/altitude", NOT_IMPLEMENTED),
        ("telescope/0/targetdeclination", NOT_SET),
        ("telescope/0/sideofpier", NOT_IMPLEMENTED),
        ("observingconditions/0/humidity", OFFLINE),
    ],
)
def test_what_cannot_be_read_has_its_number(http, path, number):
    reply = http.get(f"/api/v1/{path}")
    assert reply.status_code == 200
    assert reply.json()["ErrorNumber"] == number
    assert reply.json()["ErrorMessage"]
    assert "Value" not in reply.json()


def test_an_image_error_is_image_bytes_too(http):
    reply = requests.get(
        f"{http.url}/api/v1/camera/0/imagearray?ClientTransactionID=8",
        headers={"Accept": "application/imagebytes"},
        timeout=20,
    )
    assert reply.headers["content-type"] == "application/imagebytes"
    assert int.from_bytes(reply.content[4:8], "little") == WRONG_STATE
    assert int.from_bytes(reply.content[8:12], "little") == 8
    assert reply.content[44:].decode() == "There is no image."


def test_a_disconnected_safety_monitor_says_unsafe(http):
    reply = http.get("/api/v1/safetymonitor/0/issafe").json()
    assert reply["ErrorNumber"] == 0
    assert reply["Value"] is False


def test_every_device_answers_what_all_devices_must(http):
    listed = http.get("/management/v1/configureddevices").json()["Value"]
    assert len(listed) == 8
    assert len({device["UniqueID"] for device in listed}) == 8
    versions = {}
    for device in listed:
        base = f"/api/v1/{device['DeviceType'].lower()}/{device['DeviceNumber']}"
        for name in ("name", "description", "driverinfo", "driverversion"):
            assert http.get(f"{base}/{name}").json()["Value"]
        assert http.get(f"{base}/supportedactions").json()["Value"] == []
        versions[device["DeviceType"]] = http.get(f"{base}/interfaceversion").json()["Value"]
    assert versions == {
        "Telescope": 4,
        "Dome": 3,
        "Camera": 4,
        "FilterWheel": 3,
        "Focuser": 4,
        "SafetyMonitor": 3,
        "ObservingConditions": 2,
        "CoverCalibrator": 2,
    }


def test_management(http):
    assert http.get("/management/apiversions").json()["Value"] == [1]
    described = http.get("/management/v1/description", ClientTransactionID=5).json()
    assert described["ClientTransactionID"] == 5
    assert set(described["Value"]) == {
        *("ServerName", "Manufacturer", "ManufacturerVersion", "Location")
    }


def test_a_form_that_is_too_long_or_no_text_is_malformed(http):
    url = f"{http.url}/api/v1/dome/0/slewtoazimuth"
    assert requests.put(url, data="Azimuth=" + "1" * 100_000, timeout=20).status_code == 400
    assert requests.put(url, data=b"Azimuth=\xff\xfe", timeout=20).status_code == 400


def test_the_weather_can_be_changed(http):
    weather = f"{http.url}/simulator/v1/weather"
    rain = requests.put(weather, json={"values": {"rain_rate": 3}}, timeout=20).json()
    assert rain["unsafe_because"] == ["rain"]
    assert requests.put(weather, json={"safe": True}, timeout=20).json()["safe"] is True
    assert http.error("/api/v1/safetymonitor/0/connected", Connected="true") == 0
    assert http.get("/api/v1/safetymonitor/0/issafe").json()["Value"] is True
    dry = {"safe": None, "values": {"rain_rate": 0}}
    assert requests.put(weather, json=dry, timeout=20).json()["safe"] is True
    assert http.error("/api/v1/safetymonitor/0/connected", Connected="false") == 0


@pytest.mark.parametrize(
    "body",
    ["", "[]", "{", '{"snow": 1}', '{"values": {"snow": 1}}', '{"safe": "no"}', '{"safe": 1}'],
)
def test_weather_that_makes_no_sense_is_malformed(http, body):
    reply = requests.put(f"{http.url}/simulator/v1/weather", data=body, timeout=20)
    assert reply.status_code == 400
    assert reply.text


def test_the_truth_is_published(http):
    truth = http.get("/simulator/v1/truth").json()
    assert truth["settings"]["camera"]["width"] == 64
    assert truth["dome"]["shutter"] == 0.0
    assert truth["exposures"] == []


@pytest.mark.parametrize("address", ["127.0.0.1", "127.255.255.255"])
def test_discovery_answers_with_the_port(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    settings = SimulatorSettings(discovery_port=free)
    with (
        Simulator(settings, Clock(), Config().site) as simulator,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        client.settimeout(20)
        client.sendto(b"who is there?", (address, free))  # not answered
        client.sendto(b"alpacadiscovery1", (address, free))
        answer, _ = client.recvfrom(1024)
        assert json.loads(answer) == {"AlpacaPort": simulator.port}
