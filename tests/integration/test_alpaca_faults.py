"""The careful client against a server on which things go wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.waiting import wait_until
from toros.alpaca import Limits, open_camera, open_dome, open_mount, open_safety_monitor
from toros.common.clock import Clock
from toros.common.config import Config, Device
from toros.common.config.simulator import SimulatorSettings
from toros.common.errors import DeviceError, DeviceTimeout, DeviceUnreachable
from toros.simulator.faults import FaultOrder
from toros.simulator.server import Simulator

CLOCK = Clock.simulated(datetime(2017, 8, 18, 0, 0, tzinfo=UTC), 60.0)
LIMITS = Limits(connect_s=2.0, read_s=3.0, write_s=3.0, pause_s=0.01)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    settings = SimulatorSettings.model_validate(
        {"discovery": False, "galaxies": False, "camera": {"width": 32, "height": 32}}
    )
    with Simulator(settings, CLOCK, Config().site) as found:
        yield found


@pytest.fixture
def address(simulator: Simulator) -> Device:
    return Device(alpaca=simulator.url, number=0)


def _fault(simulator: Simulator, **order: Any) -> None:
    simulator.faults.add(FaultOrder.model_validate(order))


def test_a_hung_camera_holds_up_no_other_device(simulator: Simulator, address: Device) -> None:
    camera, dome = open_camera(address, CLOCK, LIMITS), open_dome(address, CLOCK, LIMITS)
    mount = open_mount(address, CLOCK, LIMITS)
    camera.temperature()
    _fault(simulator, device="camera", fault="hang")
    answers: list[object] = []

    def ask() -> None:
        try:
            camera.temperature()
        except DeviceTimeout as error:
            answers.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(
        lambda: any(fault.hits for fault in simulator.faults.listed()), "the camera to be asked"
    )
    assert dome.state().shutter == "closed"
    assert mount.parked()
    assert answers == []  # both have answered while the camera still hangs
    asking.join()
    assert isinstance(answers[0], DeviceTimeout)


def test_a_server_that_lost_its_state_is_connected_again(
    simulator: Simulator, address: Device
) -> None:
    dome = open_dome(address, CLOCK, LIMITS)
    monitor = open_safety_monitor(address, CLOCK, LIMITS)
    assert dome.state().shutter == "closed"
    assert monitor.is_safe()
    simulator.observatory.restart(1e6)
    with pytest.raises(DeviceUnreachable):
        dome.state()
    simulator.observatory.down_until = CLOCK.unix()
    assert dome.state().shutter == "closed"
    assert monitor.is_safe()


def test_an_order_to_close_that_is_lost_is_given_again(
    simulator: Simulator, address: Device
) -> None:
    dome = open_dome(address, CLOCK, LIMITS)
    dome.open_shutter()
    _fault(simulator, device="dome", member="closeshutter", method="PUT", fault="drop", count=1)
    asked: list[bool] = []
    dome.close_shutter(clear_way=lambda: asked.append(True))
    assert dome.shutter() == "closed"
    assert asked == [True]


def test_an_order_to_close_that_is_obeyed_but_not_answered_is_not_repeated(
    simulator: Simulator, address: Device
) -> None:
    dome = open_dome(address, CLOCK, LIMITS)
    dome.open_shutter()
    _fault(simulator, device="dome", member="closeshutter", fault="garbage", count=1, done=True)
    asked: list[bool] = []
    dome.close_shutter(clear_way=lambda: asked.append(True))
    assert dome.shutter() == "closed"
    assert asked == []


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "refuse", "status": 503},
        {"fault": "garbage"},
        {"fault": "wrong_value", "member": "shutterstatus", "value": "ajar"},
        {"fault": "wrong_value", "member": "slewing", "value": None},
        {"fault": "wrong_value", "member": "azimuth", "value": "NaN"},
    ],
)
def test_nonsense_is_never_closed(
    simulator: Simulator, address: Device, fault: dict[str, Any]
) -> None:
    dome = open_dome(address, CLOCK, LIMITS)
    assert dome.state().shutter == "closed"
    _fault(simulator, device="dome", **fault)
    try:
        assert dome.state().shutter == "unknown"
    except DeviceError:
        return


def test_a_dome_that_tells_only_one_thing_at_a_time(simulator: Simulator, address: Device) -> None:
    dome = open_dome(address, CLOCK, LIMITS)
    whole = dome.state()
    _fault(simulator, device="dome", member="devicestate", fault="refuse", error=0x400)
    assert open_dome(address, CLOCK, LIMITS).state() == whole
