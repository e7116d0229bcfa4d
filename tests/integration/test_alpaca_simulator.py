"""The careful client against the simulator, over real HTTP on a fast clock."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pytest

from toros.alpaca import (
    Limits,
    open_camera,
    open_dome,
    open_filter_wheel,
    open_focuser,
    open_mount,
    open_safety_monitor,
    open_weather,
)
from toros.alpaca.coordinates import separation_deg
from toros.alpaca.discovery import search
from toros.common.clock import Clock
from toros.common.config import Config, Device
from toros.common.config.simulator import CameraSettings, SimulatorSettings
from toros.common.errors import Cancelled, DeviceRefused, DeviceTimeout
from toros.simulator.server import Simulator

RATE = 60.0


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock.simulated(datetime(2017, 8, 18, 0, 0, tzinfo=UTC), RATE)


@pytest.fixture(scope="module")
def address(clock: Clock) -> Iterator[Device]:
    settings = SimulatorSettings(
        discovery=False, galaxies=False, camera=CameraSettings(width=96, height=64)
    )
    with Simulator(settings, clock, Config().site) as simulator:
        yield Device(alpaca=simulator.url, number=0)


def test_mount_slews_in_icrs_and_parks(address: Device, clock: Clock) -> None:
    with open_mount(address, clock) as mount:
        if mount.state().at_park:
            mount.unpark()
        state = mount.slew(300.0, -40.0)
        assert separation_deg(state.ra_deg, state.dec_deg, 300.0, -40.0) < 0.02
        assert state.tracking
        assert not state.slewing
        assert state.alt_deg is not None
        assert state.alt_deg > 30
        mount.start_slew(330.0, -20.0)
        mount.abort()
        assert not mount.state().slewing
        mount.park()
        assert mount.state().at_park
        with pytest.raises(DeviceRefused, match="0x40"):
            mount.start_slew(300.0, -40.0)
        mount.unpark()
        assert not mount.state().at_park


def test_a_slew_that_lasts_too_long_is_said(address: Device) -> None:
    slow = Clock()  # the simulator's sky moves on, so that this place is never reached
    with open_mount(address, slow, Limits()) as mount, pytest.raises(DeviceTimeout, match="arrive"):
        mount.wait_arrived(10.0, 80.0, timeout_s=0.1)


def test_dome_turns_opens_and_closes(address: Device, clock: Clock) -> None:
    with open_dome(address, clock) as dome:
        assert dome.turns()
        dome.slew_azimuth(123.0)
        state = dome.state()
        assert state.azim_deg == pytest.approx(123.0, abs=1.0)
        assert state.shutter == "closed"
        dome.open_shutter()
        assert dome.shutter() == "open"
        dome.close_shutter()
        assert dome.shutter() == "closed"
        dome.sync(100.0)
        assert dome.azimuth() == pytest.approx(100.0, abs=1.0)
        dome.slew_azimuth(-1e-18)
        dome.sync(dome.azimuth() or 0.0)
        dome.park()
        assert dome.state().at_park


def test_an_opening_can_be_cancelled_and_closed(address: Device, clock: Clock) -> None:
    with open_dome(address, clock) as dome:
        cancelled = threading.Event()
        failed: list[BaseException] = []

        def opening() -> None:
            try:
                dome.open_shutter(cancelled=cancelled)
            except Cancelled as error:
                failed.append(error)

        thread = threading.Thread(target=opening)
        thread.start()
        cancelled.set()
        thread.join()
        assert failed
        dome.close_shutter()
        assert dome.shutter() == "closed"


def test_camera_gives_pixels_rows_first(address: Device, clock: Clock) -> None:
    with open_camera(address, clock) as camera:
        info = camera.describe()
        assert (info.width, info.height) == (96, 64)
        assert info.gain_e_adu == pytest.approx(1.5)
        camera.cool(-10.0)
        asked = clock.unix()
        frame = camera.expose(30.0, light=False)
        assert frame.pixels.shape == (64, 96)
        assert frame.pixels.dtype == np.uint16
        assert np.median(frame.pixels) == pytest.approx(1000, abs=50)
        assert frame.exptime_s == pytest.approx(30.0)
        assert abs(frame.start.timestamp() - asked) < RATE
        assert frame.ccd_temp_c is not None
        binned = camera.expose(0.0, light=False, binning=2)
        assert binned.pixels.shape == (32, 48)
        assert binned.binning == 2


def test_an_exposure_can_be_cancelled(address: Device, clock: Clock) -> None:
    with open_camera(address, clock) as camera:
        cancelled = threading.Event()
        threading.Timer(0.1, cancelled.set).start()
        with pytest.raises(Cancelled):
            camera.expose(3600.0, light=False, cancelled=cancelled)
        assert camera.expose(1.0, light=False).pixels.shape == (64, 96)


def test_filter_wheel_by_name(address: Device, clock: Clock) -> None:
    with open_filter_wheel(address, clock) as wheel:
        assert wheel.names() == ["g", "r", "i", "clear"]
        wheel.select("i")
        assert wheel.current() == "i"
        wheel.select("CLEAR")
        assert wheel.current() == "clear"
        with pytest.raises(DeviceRefused, match="no filter 'z'; there are g, r, i, clear"):
            wheel.select("z")


def test_focuser_weather_and_safety(address: Device, clock: Clock) -> None:
    with open_focuser(address, clock) as focuser:
        focuser.move(focuser.position() + 500)
        assert focuser.temperature() is not None
    with open_weather(address, clock) as weather:
        readings = weather.read()
        assert readings["humidity_percent"] == pytest.approx(25.0, abs=10)
        assert "temperature_c" in readings
    with open_safety_monitor(address, clock) as monitor:
        assert monitor.is_safe() is True


def _free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_server_is_found_by_discovery(clock: Clock) -> None:
    # A port of its own: other servers on this machine may hear the usual one.
    settings = SimulatorSettings(galaxies=False, discovery_port=_free_udp_port())
    with Simulator(settings, clock, Config().site) as simulator:
        assert search(0.2, settings.discovery_port) == [simulator.address]
