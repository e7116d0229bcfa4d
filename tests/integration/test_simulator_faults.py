"""Faults on demand, over real HTTP: what a client then sees, and that it ends."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from tests.support.waiting import wait_until
from toros.common.clock import Clock
from toros.common.config import Config
from toros.common.config.simulator import (
    CameraSettings,
    DomeSettings,
    FurtherSettings,
    SimulatorSettings,
)
from toros.simulator.server import Simulator

RATE = 50.0
EVENING = datetime(2017, 8, 17, 23, 30, tzinfo=UTC)
SETTINGS = SimulatorSettings(
    discovery=False,
    camera=CameraSettings(width=64, height=48),
    further=FurtherSettings(
        safety_monitors=1,
        domes=(DomeSettings(kind="roof"),),
        cameras=(CameraSettings(width=80, height=32),),
    ),
)
CLOSED, OPENING, ERROR = 1, 2, 4


class Bench:
    """A simulator, a plain client and the fault API."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.session = requests.Session()

    def request(self, verb: str, path: str, **more: Any) -> requests.Response:
        url = f"{self.simulator.url}{path}"
        return self.session.request(verb, url, timeout=more.pop("timeout", 20), **more)

    def get(self, member: str, **more: Any) -> Any:
        reply = self.request("GET", f"/api/v1/{member}", **more).json()
        assert reply["ErrorNumber"] == 0, reply
        return reply["Value"]

    def put(self, member: str, **form: Any) -> None:
        reply = self.request("PUT", f"/api/v1/{member}", data=form).json()
        assert reply["ErrorNumber"] == 0, reply

    def order(self, **body: Any) -> dict[str, Any]:
        reply = self.request("POST", "/simulator/v1/faults", json=body)
        assert reply.status_code == 201, reply.text
        return dict(reply.json())

    def control(self, verb: str, path: str, body: Any = None) -> Any:
        reply = self.request(verb, f"/simulator/v1/{path}", json=body)
        assert reply.ok, reply.text
        return reply.json()


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with Simulator(SETTINGS, Clock.simulated(EVENING, RATE), Config().site) as simulator:
        yield simulator


@pytest.fixture
def bench(running: Simulator) -> Iterator[Bench]:
    bench = Bench(running)
    bench.control("DELETE", "faults")
    bench.control("POST", "restart", {})
    bench.put("dome/0/connected", Connected="True")
    bench.put("dome/0/closeshutter")
    bench.put("dome/0/park")
    bench.control("PUT", "clock", {"advance_s": 120.0})
    for (kind, number), _ in running.observatory.devices.items():
        bench.put(f"{kind}/{number}/connected", Connected="True")
    yield bench
    bench.session.close()


def test_a_hang_never_answers_and_hurts_no_other_device(bench):
    fault = bench.order(fault="hang", device="dome", member="Azimuth")
    with pytest.raises(requests.ReadTimeout):
        bench.get("dome/0/azimuth", timeout=0.3)
    assert bench.get("dome/0/shutterstatus") == CLOSED
    assert bench.get("telescope/0/atpark") in (True, False)
    bench.control("DELETE", f"faults/{fault['id']}")
    assert bench.get("dome/0/azimuth") == pytest.approx(180.0)


def test_a_hung_order_is_not_carried_out_unless_asked(bench):
    for done in (False, True):
        bench.order(fault="hang", device="dome", member="OpenShutter", done=done)
        with pytest.raises(requests.ReadTimeout):
            bench.request("PUT", "/api/v1/dome/0/openshutter", timeout=0.3)
        assert (bench.get("dome/0/shutterstatus") == CLOSED) is not done
        bench.control("DELETE", "faults")


def test_a_fault_ends_after_its_duration(bench):
    fault = bench.order(fault="refuse", device="dome", duration_s=20.0)
    assert 0.0 < fault["remaining_s"] <= 20.0
    assert bench.request("GET", "/api/v1/dome/0/azimuth").json()["ErrorNumber"] == 0x500
    bench.control("PUT", "clock", {"advance_s": 20.0})
    assert bench.get("dome/0/azimuth") == pytest.approx(180.0)
    assert bench.control("GET", "faults") == []


def test_a_fault_ends_after_its_count(bench):
    bench.order(fault="refuse", device="dome", member="azimuth", count=2, error=0x501, message="ow")
    for _ in range(2):
        reply = bench.request("GET", "/api/v1/dome/0/azimuth").json()
        assert (reply["ErrorNumber"], reply["ErrorMessage"]) == (0x501, "ow")
    assert bench.get("dome/0/azimuth") == pytest.approx(180.0)


def test_a_refusal_may_be_of_http(bench):
    bench.order(fault="refuse", member="azimuth", status=503)
    assert bench.request("GET", "/api/v1/dome/0/azimuth").status_code == 503


def test_a_dropped_connection_has_no_answer(bench):
    bench.order(fault="drop", device="dome", method="PUT", done=True)
    with pytest.raises(requests.ConnectionError):
        bench.request("PUT", "/api/v1/dome/0/openshutter")
    assert bench.get("dome/0/shutterstatus") == OPENING  # done, and the reply lost


def test_what_is_dropped_by_order_is_no_error_of_the_server(bench, caplog):
    bench.order(fault="drop", device="dome", count=1)
    with pytest.raises(requests.ConnectionError):
        bench.request("GET", "/api/v1/dome/0/azimuth")
    bench.control("POST", "restart", {"down_s": 5.0})
    with pytest.raises(requests.ConnectionError):
        bench.request("GET", "/api/v1/dome/0/azimuth")
    bench.control("PUT", "clock", {"advance_s": 10.0})
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_browser_finds_its_way(bench):
    page = bench.request("GET", "/")
    assert page.url.endswith("/setup")
    paths = re.findall(r'href="(/[^"]+)"', page.text)
    assert len([path for path in paths if path.endswith("/setup")]) == len(
        bench.simulator.observatory.devices
    )
    for path in paths:
        assert bench.request("GET", path).status_code == 200, path
    assert "TOROS simulator Dome 1" in bench.request("GET", "/setup/v1/dome/1/setup").text
    assert bench.request("GET", "/setup/v1/dome/9/setup").status_code == 404


def test_slow_answers_come_late_and_garbage_is_no_json(bench):
    bench.order(fault="slow", device="dome", delay_s=1.5)
    with pytest.raises(requests.ReadTimeout):
        bench.get("dome/0/azimuth", timeout=0.5)
    assert bench.get("dome/0/azimuth") == pytest.approx(180.0)
    bench.control("DELETE", "faults")
    bench.order(fault="garbage", device="dome")
    with pytest.raises(requests.JSONDecodeError):
        bench.request("GET", "/api/v1/dome/0/azimuth").json()


def test_wrong_values_are_told_everywhere(bench):
    bench.order(fault="wrong_value", device="dome", member="ShutterStatus", value=0)
    bench.order(fault="wrong_value", device="dome", member="Azimuth", add=7.0)
    assert bench.get("dome/0/shutterstatus") == 0
    assert bench.get("dome/0/azimuth") == pytest.approx(187.0)
    state = {entry["Name"]: entry["Value"] for entry in bench.get("dome/0/devicestate")}
    assert (state["ShutterStatus"], state["Azimuth"]) == (0, pytest.approx(187.0))


def test_a_frozen_value_stays(bench):
    bench.order(fault="frozen_value", device="telescope", member="RightAscension")
    first = bench.get("telescope/0/rightascension")
    bench.control("PUT", "clock", {"advance_s": 600.0})
    assert bench.get("telescope/0/rightascension") == first
    bench.control("DELETE", "faults")
    assert bench.get("telescope/0/rightascension") != first


def test_a_stuck_shutter_runs_and_does_not_open(bench):
    bench.order(fault="stuck", device="dome", number=0, member="shutter")
    bench.put("dome/0/openshutter")
    assert bench.get("dome/0/shutterstatus") == OPENING
    wait_until(lambda: bench.get("dome/0/shutterstatus") == CLOSED, "the end of the motor's run")
    assert bench.control("GET", "truth")["dome"]["shutter"] == 0.0
    bench.put("dome/0/slewtoazimuth", Azimuth=200)  # the turntable is another part
    wait_until(lambda: bench.get("dome/0/azimuth") == pytest.approx(200.0), "the dome")


def test_a_shutter_that_sticks_half_way_is_in_error(bench):
    bench.put("dome/0/openshutter")
    wait_until(lambda: 0.1 < bench.control("GET", "truth")["dome"]["shutter"] < 1.0, "the slit")
    bench.order(fault="stuck", device="dome", member="shutter")
    wait_until(lambda: bench.get("dome/0/shutterstatus") == ERROR, "the error")
    bench.control("DELETE", "faults")
    bench.put("dome/0/closeshutter")
    wait_until(lambda: bench.get("dome/0/shutterstatus") == CLOSED, "the shutter")


def track(bench: Bench) -> None:
    bench.put("telescope/0/unpark")
    bench.put("telescope/0/tracking", Tracking="true")


def slewing_ends(bench: Bench) -> None:
    wait_until(lambda: not bench.get("telescope/0/slewing"), "the mount")


def test_a_stuck_mount_slews_nowhere_and_never_parks(bench):
    track(bench)
    bench.put("telescope/0/slewtocoordinatesasync", RightAscension=16, Declination=-30)
    slewing_ends(bench)
    bench.order(fault="stuck", device="telescope")
    altitude = bench.get("telescope/0/altitude")
    bench.put("telescope/0/slewtocoordinatesasync", RightAscension=14, Declination=-10)
    assert bench.get("telescope/0/slewing")
    slewing_ends(bench)
    assert bench.get("telescope/0/altitude") == pytest.approx(altitude)
    bench.put("telescope/0/park")
    slewing_ends(bench)
    assert not bench.get("telescope/0/atpark")
    bench.control("DELETE", "faults")
    bench.put("telescope/0/park")
    wait_until(lambda: bench.get("telescope/0/atpark"), "the park position")


def test_lost_steps_are_known_only_to_the_truth(bench):
    bench.order(fault="lost_steps", device="dome", amount=3.0)
    bench.order(fault="lost_steps", device="telescope", amount=0.5)
    for _ in range(2):
        bench.put("dome/0/slewtoazimuth", Azimuth=200)
        wait_until(lambda: not bench.get("dome/0/slewing"), "the dome")
    assert bench.get("dome/0/azimuth") == pytest.approx(200.0)
    assert bench.control("GET", "truth")["dome"]["azim_deg"] == pytest.approx(206.0)
    bench.put("dome/0/findhome")
    wait_until(lambda: bench.get("dome/0/athome"), "home, which no lost step hides")
    track(bench)
    bench.put("telescope/0/slewtocoordinatesasync", RightAscension=16, Declination=-30)
    slewing_ends(bench)
    assert bench.get("telescope/0/rightascension") == pytest.approx(16.0)
    assert bench.control("GET", "truth")["telescope"]["ra_deg"] == pytest.approx(240.5)


def test_a_stuck_focuser_and_filter_wheel_stay(bench):
    bench.order(fault="stuck", device="focuser")
    bench.order(fault="stuck", device="filterwheel")
    here = bench.get("focuser/0/position")
    bench.put("focuser/0/move", Position=here + 100)
    bench.put("filterwheel/0/position", Position=2)
    wait_until(lambda: not bench.get("focuser/0/ismoving"), "the focuser")
    wait_until(lambda: bench.get("filterwheel/0/position") != -1, "the wheel")
    assert bench.get("focuser/0/position") == here
    assert bench.get("filterwheel/0/position") == 0


def test_a_stale_station_says_how_old_it_is(bench):
    bench.order(fault="stuck", device="observingconditions")
    bench.order(fault="stuck", device="safetymonitor", number=1)
    bench.control("PUT", "clock", {"advance_s": 100.0})
    bench.control("PUT", "weather", {"values": {"rain_rate": 5.0}})
    assert bench.get("observingconditions/0/rainrate") == 0.0
    assert bench.get("observingconditions/0/timesincelastupdate") >= 100.0
    assert not bench.get("safetymonitor/0/issafe")
    assert bench.get("safetymonitor/1/issafe")
    bench.control("PUT", "weather", {"values": {"rain_rate": 0.0}})


def test_a_restart_loses_the_state_and_not_the_metal(bench):
    track(bench)
    bench.put("dome/0/openshutter")
    wait_until(lambda: bench.get("dome/0/shutterstatus") == 0, "the shutter")
    lost = {"down_s": 60.0, "shutter_unknown": True, "azimuth_lost": True}
    bench.control("POST", "restart", lost)
    with pytest.raises(requests.ConnectionError):
        bench.get("dome/0/connected")
    with pytest.raises(requests.ConnectionError):
        bench.request("GET", "/management/apiversions")
    bench.control("PUT", "clock", {"advance_s": 60.0})
    assert not bench.get("dome/0/connected")
    assert bench.request("GET", "/api/v1/dome/0/azimuth").json()["ErrorNumber"] == 0x407
    for kind in ("dome", "telescope"):
        bench.put(f"{kind}/0/connected", Connected="True")
    assert bench.get("dome/0/shutterstatus") == ERROR  # it does not know
    assert bench.control("GET", "truth")["dome"]["shutter"] == 1.0
    assert bench.get("dome/0/azimuth") == pytest.approx(0.0)
    assert not bench.get("telescope/0/tracking")
    bench.put("dome/0/closeshutter")
    wait_until(lambda: bench.get("dome/0/shutterstatus") == CLOSED, "the shutter")


def test_the_weather_follows_a_script(bench):
    steps = [
        {"after_s": 100.0, "values": {"rain_rate": 2.0}},
        {"after_s": 200.0, "over_s": 100.0, "values": {"rain_rate": 0.0, "wind_speed": 14.0}},
        {"after_s": 400.0, "safe": False},
        {"after_s": 500.0, "safe": None},
    ]
    bench.control("PUT", "clock", {"rate": 0.001})  # nearly still: only what we advance counts
    bench.control("PUT", "weather", {"values": {"wind_speed": 4.0}})
    bench.control("PUT", "weather/script", {"steps": steps, "every_s": 1000.0, "times": 2})
    seen = []
    for _ in range(12):
        bench.control("PUT", "clock", {"advance_s": 100.0})
        now = bench.control("GET", "weather")
        seen.append((now["unsafe_because"], round(now["values"]["rain_rate"], 3)))
    bench.control("PUT", "clock", {"rate": RATE})
    rain, dry, forced = (["rain"], 2.0), ([], 0.0), (["set by hand"], 0.0)
    assert seen[:5] == [rain, rain, dry, forced, dry]
    assert seen[9:] == [dry, rain, rain]


def test_averages_look_back(bench):
    bench.control("PUT", "weather", {"values": {"humidity": 20.0}})
    bench.control("PUT", "clock", {"advance_s": 7200.0})
    bench.control("PUT", "weather", {"values": {"humidity": 60.0}})
    bench.put("observingconditions/0/averageperiod", AveragePeriod=1.0)
    assert bench.get("observingconditions/0/averageperiod") == 1.0
    bench.control("PUT", "clock", {"advance_s": 1800.0})
    assert bench.get("observingconditions/0/humidity") == pytest.approx(40.0, abs=2.0)
    bench.put("observingconditions/0/averageperiod", AveragePeriod=0)
    assert bench.get("observingconditions/0/humidity") == pytest.approx(60.0)
    bench.control("PUT", "weather", {"values": {"humidity": 25.0}})


def test_time_never_goes_back(bench):
    before = bench.control("GET", "clock")["time"]
    reply = bench.request("PUT", "/simulator/v1/clock", json={"time": "2016-01-01T00:00:00Z"})
    assert reply.status_code == 400
    assert "go back" in reply.json()["error"]
    assert bench.control("GET", "clock")["time"] > before


def test_a_restart_on_another_date_is_a_new_night():
    with Simulator(SETTINGS, Clock(), Config().site) as simulator:
        bench = Bench(simulator)
        bench.put("dome/0/connected", Connected="True")
        bench.put("dome/0/openshutter")
        bench.order(fault="hang", device="camera")
        bench.control("POST", "restart", {"time": "2017-08-17T23:30:00Z"})
        assert bench.control("GET", "clock")["time"].startswith("2017-08-17T23:30:0")
        assert bench.control("GET", "faults") == []
        bench.put("dome/0/connected", Connected="True")
        assert bench.get("dome/0/shutterstatus") == CLOSED
        bench.put("dome/0/openshutter")
        assert bench.get("dome/0/shutterstatus") == OPENING
        bench.session.close()


def test_a_clock_that_is_set_ends_an_exposure(bench):
    bench.put("camera/0/startexposure", Duration=3000, Light="false")
    assert not bench.get("camera/0/imageready")
    bench.control("PUT", "clock", {"advance_s": 3100.0})
    wait_until(lambda: bench.get("camera/0/imageready"), "the image")
    assert bench.get("camera/0/lastexposureduration") == 3000.0


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"fault": "fire"}, "fault"),
        ({"fault": "hang", "device": "toaster"}, "no device toaster"),
        ({"fault": "hang", "device": "dome", "number": 7}, "no device dome 7"),
        ({"fault": "hang", "colour": 1}, "colour"),
        ({"fault": "hang", "duration_s": -1}, "duration_s"),
        ({"fault": "wrong_value", "member": "Azimuth"}, "wants a value"),
        ({"fault": "frozen_value"}, "wants a member"),
        ({"fault": "lost_steps", "device": "dome"}, "wants an amount"),
        ({"fault": "stuck", "device": "camera"}, "no part of a camera"),
        ({"fault": "stuck", "device": "dome", "member": "lid"}, "'lid' can have it"),
        ({"fault": "stuck"}, "wants a device"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(bench, body, says):
    reply = bench.request("POST", "/simulator/v1/faults", json=body)
    assert reply.status_code == 400
    assert says in reply.json()["error"]
    assert bench.control("GET", "faults") == []


def test_an_unknown_fault_cannot_be_cleared(bench):
    assert bench.request("DELETE", "/simulator/v1/faults/999").status_code == 404


def test_further_devices_are_themselves(bench):
    assert bench.get("camera/1/cameraxsize") == 80
    assert bench.get("camera/0/cameraxsize") == 64
    assert not bench.get("dome/1/cansetazimuth")
    reply = bench.request("GET", "/api/v1/dome/1/azimuth").json()
    assert reply["ErrorNumber"] == 0x400
    bench.put("dome/1/openshutter")
    assert bench.get("dome/1/shutterstatus") == OPENING
    assert bench.get("dome/0/shutterstatus") == CLOSED
    bench.put("dome/1/closeshutter")


def test_each_client_has_its_own_connection(bench):
    bench.put("focuser/0/connected", Connected="False")
    bench.put("focuser/0/connected", Connected="True", ClientID=5)
    bench.put("focuser/0/connected", Connected="True", ClientID=6)
    bench.put("focuser/0/disconnect", ClientID=5)
    assert not bench.get("focuser/0/connected", params={"ClientID": 5})
    assert bench.get("focuser/0/connected", params={"ClientID": 6})
    assert bench.get("focuser/0/position") > 0  # the hardware is connected
    bench.put("focuser/0/connected", Connected="False", ClientID=6)
    reply = bench.request("GET", "/api/v1/focuser/0/position").json()
    assert reply["ErrorNumber"] == 0x407


def test_the_flat_panel_lights_the_frame(bench):
    bench.put("covercalibrator/0/closecover")
    wait_until(lambda: bench.get("covercalibrator/0/coverstate") == 1, "the cover")
    bench.put("covercalibrator/0/calibratoron", Brightness=128)
    wait_until(lambda: bench.get("covercalibrator/0/calibratorstate") == 3, "the panel")
    bench.put("camera/0/startexposure", Duration=4, Light="true")
    wait_until(lambda: bench.get("camera/0/imageready"), "the image")
    frame = bench.simulator.observatory.camera.finished().frame
    expected = 1000.0 + 4.0 * 5000.0 * 128 / 255 / 1.5
    assert frame.mean() == pytest.approx(expected, rel=0.02)
    bench.put("covercalibrator/0/calibratoroff")
    bench.put("covercalibrator/0/opencover")
    wait_until(lambda: bench.get("covercalibrator/0/coverstate") == 3, "the cover")


def test_a_hung_answer_does_not_hold_up_the_end():
    simulator = Simulator(SETTINGS, Clock(), Config().site)
    simulator.start()
    fault = {"fault": "hang"}
    requests.post(f"{simulator.url}/simulator/v1/faults", json=fault, timeout=20)
    with socket.create_connection((simulator.host, simulator.port)) as client:
        client.sendall(b"GET /api/v1/dome/0/azimuth HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: simulator.faults.listed()[0].hits, "the request to arrive")
        simulator.stop()
        with contextlib.suppress(ConnectionError):
            assert client.recv(100) == b""
