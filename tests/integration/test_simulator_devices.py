"""Every device through alpyca, a client that is not ours."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
import requests
from alpaca.camera import Camera, CameraStates
from alpaca.dome import Dome, ShutterState
from alpaca.exceptions import InvalidOperationException, InvalidValueException, ParkedException
from alpaca.filterwheel import FilterWheel
from alpaca.focuser import Focuser
from alpaca.observingconditions import ObservingConditions
from alpaca.safetymonitor import SafetyMonitor
from alpaca.telescope import DriveRates, GuideDirections, PierSide, Telescope, TelescopeAxes

from tests.support.waiting import wait_until
from toros.common.clock import Clock
from toros.common.config import Config
from toros.common.config.simulator import CameraSettings, MountSettings, SimulatorSettings
from toros.simulator.server import Simulator

RATE = 60.0
EVENING = datetime(2017, 8, 17, 23, 30, tzinfo=UTC)
SMALL = SimulatorSettings(discovery=False, camera=CameraSettings(width=200, height=160))


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(SMALL, Clock.simulated(EVENING, RATE), Config().site) as running:
        yield running


@pytest.fixture
def connect(simulator: Simulator) -> Iterator[Callable[[type], Any]]:
    opened = []

    def open_device(kind: type) -> Any:
        device = kind(simulator.address, 0)
        opened.append(device)
        device.Connect()
        wait_until(lambda: not device.Connecting, "the connection")
        assert device.Connected
        return device

    yield open_device
    for device in opened:
        device.rqs.close()


def arrive(device: Any) -> None:
    wait_until(lambda: not device.Slewing, "the end of the slew")


def ready(telescope: Telescope) -> None:
    telescope.Unpark()
    telescope.Tracking = True


def test_connect_and_disconnect(connect):
    dome = connect(Dome)
    dome.Disconnect()
    wait_until(lambda: not dome.Connecting, "the end of the connection")
    assert not dome.Connected


def test_the_telescope_slews_tracks_and_parks(connect):
    telescope = connect(Telescope)
    assert telescope.AtPark
    with pytest.raises(ParkedException):
        telescope.SlewToCoordinatesAsync(16.0, -30.0)
    telescope.Unpark()
    telescope.Unpark()
    with pytest.raises(InvalidOperationException):  # it does not track
        telescope.SlewToCoordinatesAsync(16.0, -30.0)
    telescope.Tracking = True
    telescope.SlewToCoordinatesAsync(16.0, -30.0)
    assert telescope.Slewing
    assert (telescope.TargetRightAscension, telescope.TargetDeclination) == (16.0, -30.0)
    arrive(telescope)
    assert telescope.RightAscension == pytest.approx(16.0, abs=1e-9)
    assert telescope.Declination == pytest.approx(-30.0, abs=1e-9)
    telescope.Park()
    wait_until(lambda: telescope.AtPark, "the park position")
    telescope.Park()
    assert not telescope.Tracking
    assert telescope.Altitude == pytest.approx(30.0)


def test_the_telescope_refuses_the_ground(connect):
    telescope = connect(Telescope)
    ready(telescope)
    with pytest.raises(InvalidOperationException, match="below the limit"):
        telescope.SlewToCoordinatesAsync((telescope.SiderealTime + 12.0) % 24.0, 30.0)


def test_an_aborted_slew_stops_between(connect):
    telescope = connect(Telescope)
    ready(telescope)
    telescope.SlewToCoordinatesAsync(14.0, 10.0)
    telescope.AbortSlew()
    assert not telescope.Slewing
    assert telescope.Tracking
    here = telescope.RightAscension
    assert abs(here - 14.0) > 1e-3
    assert telescope.RightAscension == here


def test_a_blocking_slew_that_is_aborted_is_cancelled(connect, simulator):
    telescope = connect(Telescope)
    ready(telescope)
    simulator.observatory.clock.set(rate=1.0)  # slow enough that it is surely stopped on its way
    url = f"{simulator.url}/api/v1/telescope/0/slewtocoordinates"
    form = {"RightAscension": "14.0", "Declination": "10.0"}
    replies: list[dict[str, Any]] = []
    slew = threading.Thread(
        target=lambda: replies.append(requests.put(url, data=form, timeout=60).json())
    )
    slew.start()
    wait_until(lambda: telescope.Slewing, "the slew to begin")
    telescope.AbortSlew()
    slew.join()
    assert replies[0]["ErrorNumber"] == 0x40E
    simulator.observatory.clock.set(rate=RATE)
    assert requests.put(url, data=form, timeout=60).json()["ErrorNumber"] == 0
    assert telescope.RightAscension == pytest.approx(14.0, abs=1e-9)


def test_sync_moves_the_belief_and_not_the_telescope(connect, simulator):
    telescope = connect(Telescope)
    ready(telescope)
    telescope.SlewToCoordinatesAsync(16.0, -30.0)
    arrive(telescope)
    telescope.SyncToCoordinates(16.01, -30.1)
    assert telescope.RightAscension == pytest.approx(16.01)
    assert telescope.Declination == pytest.approx(-30.1)
    telescope.SlewToCoordinatesAsync(16.01, -30.1)  # where it believes it is
    arrive(telescope)
    observatory = simulator.observatory
    ra, dec, _, _ = observatory.pointing(observatory.clock.unix())
    assert (ra, dec) == pytest.approx((240.0, -30.0))


def test_rates_guiding_and_axes(connect):
    telescope = connect(Telescope)
    ready(telescope)
    telescope.SlewToCoordinatesAsync(16.0, -30.0)
    arrive(telescope)
    telescope.PulseGuide(GuideDirections.guideNorth, 10000)
    assert telescope.IsPulseGuiding
    wait_until(lambda: not telescope.IsPulseGuiding, "the end of the pulse")
    assert telescope.Declination + 30.0 == pytest.approx(10.0 * telescope.GuideRateDeclination)
    telescope.DeclinationRate = 1.0
    assert wait_until(lambda: telescope.Declination > -29.97, "the drift")
    telescope.DeclinationRate = 0.0
    telescope.MoveAxis(TelescopeAxes.axisSecondary, 1.0)
    assert telescope.Slewing
    wait_until(lambda: telescope.Declination > -25.0, "the axis")
    telescope.MoveAxis(TelescopeAxes.axisSecondary, 0.0)
    assert not telescope.Slewing
    assert telescope.Tracking
    telescope.TrackingRate = DriveRates.driveLunar
    with pytest.raises(InvalidOperationException):
        telescope.RightAscensionRate = 0.1


def test_home_is_not_park(connect):
    telescope = connect(Telescope)
    telescope.Unpark()
    telescope.FindHome()
    wait_until(lambda: telescope.AtHome, "the home position")
    assert not telescope.AtPark


def test_a_german_mount_has_two_sides():
    settings = SMALL.model_copy(update={"mount": MountSettings(kind="german", slew_rate=20.0)})
    with Simulator(settings, Clock.simulated(EVENING, RATE), Config().site) as simulator:
        telescope = Telescope(simulator.address, 0)
        telescope.Connected = True
        ready(telescope)
        east = (telescope.SiderealTime + 2.0) % 24.0
        west = (telescope.SiderealTime - 2.0) % 24.0
        assert telescope.DestinationSideOfPier(east, -30.0) == PierSide.pierWest
        assert telescope.DestinationSideOfPier(west, -30.0) == PierSide.pierEast
        telescope.SlewToCoordinatesAsync(east, -30.0)
        arrive(telescope)
        assert telescope.SideOfPier == PierSide.pierWest
        telescope.rqs.close()


def test_the_dome_turns_the_shorter_way_and_opens(connect):
    dome = connect(Dome)
    assert dome.AtPark
    assert dome.ShutterStatus == ShutterState.shutterClosed
    dome.SlewToAzimuth(350.0)
    arrive(dome)
    dome.SlewToAzimuth(10.0)
    seen = []

    def turned() -> bool:
        seen.append(dome.Azimuth)
        return not dome.Slewing

    wait_until(turned, "the dome")
    assert all(azimuth >= 349.9 or azimuth <= 10.1 for azimuth in seen)
    assert dome.Azimuth == pytest.approx(10.0)
    dome.OpenShutter()
    assert dome.ShutterStatus == ShutterState.shutterOpening
    assert dome.Slewing
    wait_until(lambda: dome.ShutterStatus == ShutterState.shutterOpen, "the shutter")
    dome.CloseShutter()
    assert dome.ShutterStatus == ShutterState.shutterClosing
    dome.AbortSlew()
    assert not dome.Slewing
    assert dome.ShutterStatus == ShutterState.shutterError
    dome.CloseShutter()
    wait_until(lambda: dome.ShutterStatus == ShutterState.shutterClosed, "the shutter")
    dome.FindHome()
    wait_until(lambda: dome.AtHome, "home")
    dome.Park()
    wait_until(lambda: dome.AtPark, "park")
    dome.SyncToAzimuth(33.0)
    assert dome.Azimuth == pytest.approx(33.0)


def test_the_filter_wheel_and_the_focuser(connect):
    wheel, focuser = connect(FilterWheel), connect(Focuser)
    assert len(wheel.Names) == len(wheel.FocusOffsets) == 4
    wheel.Position = 2
    assert wheel.Position == -1
    wait_until(lambda: wheel.Position == 2, "the filter")
    focuser.Move(10**6)
    assert focuser.IsMoving
    wait_until(lambda: not focuser.IsMoving, "the focuser")
    assert focuser.Position == focuser.MaxStep
    focuser.Move(0)
    focuser.Halt()
    assert not focuser.IsMoving
    assert 0 < focuser.Position < focuser.MaxStep


def test_the_weather_and_the_safety_monitor(connect, simulator):
    conditions, monitor = connect(ObservingConditions), connect(SafetyMonitor)
    assert monitor.IsSafe
    assert conditions.WindSpeed == 4.0
    assert conditions.DewPoint < conditions.Temperature
    assert 20.0 < conditions.SkyQuality < 22.5
    assert conditions.TimeSinceLastUpdate("") == 0.0
    assert conditions.SensorDescription("humidity")
    with pytest.raises(InvalidValueException):
        conditions.SensorDescription("mood")
    simulator.observatory.weather.change({"humidity": 99.0})
    assert not monitor.IsSafe
    simulator.observatory.weather.change({"wind_speed": 0.0})
    assert conditions.WindDirection == 0.0


def test_the_camera_exposes_reads_out_and_is_ready(connect, simulator):
    camera = connect(Camera)
    assert camera.CameraState == CameraStates.cameraIdle
    assert not camera.ImageReady
    camera.StartExposure(20.0, False)
    assert camera.CameraState == CameraStates.cameraExposing
    with pytest.raises(InvalidOperationException):
        camera.StartExposure(1.0, False)
    wait_until(lambda: camera.ImageReady, "the image")
    assert camera.CameraState == CameraStates.cameraIdle
    assert camera.LastExposureDuration == 20.0
    assert camera.LastExposureStartTime.startswith("2017-08-17T")
    nested = camera.ImageArray
    raw = camera.ImageArrayRaw
    info = camera.ImageArrayInfo
    assert (info.Rank, info.Dimension1, info.Dimension2) == (2, 200, 160)
    image = np.frombuffer(raw, np.uint16).reshape(200, 160)
    assert np.array_equal(np.array(nested), image)
    frame = simulator.observatory.camera.finished().frame
    assert np.array_equal(image.T, frame)
    assert np.median(image) == pytest.approx(1000, abs=6)


def test_binning_and_subframes(connect):
    camera = connect(Camera)
    camera.BinX = 2
    assert camera.BinY == 2
    with pytest.raises(InvalidValueException, match="beyond"):
        camera.StartExposure(0.0, False)  # the frame is still that of binning 1
    camera.NumX, camera.NumY, camera.StartX, camera.StartY = 30, 20, 70, 60
    camera.StartExposure(0.0, False)
    wait_until(lambda: camera.ImageReady, "the image")
    assert np.array(camera.ImageArray).shape == (30, 20)


def test_abort_and_stop(connect):
    camera = connect(Camera)
    camera.AbortExposure()
    camera.StopExposure()
    camera.StartExposure(3000.0, False)
    camera.AbortExposure()
    assert camera.CameraState == CameraStates.cameraIdle
    assert not camera.ImageReady
    camera.StartExposure(3000.0, False)
    camera.StopExposure()
    wait_until(lambda: camera.ImageReady, "the image")
    assert camera.LastExposureDuration < 1000.0


def test_the_cooler_takes_its_time(connect):
    camera = connect(Camera)
    warm = camera.CCDTemperature
    camera.SetCCDTemperature = -20.0
    camera.CoolerOn = True
    assert camera.CCDTemperature > -20.0
    wait_until(lambda: math.isclose(camera.CCDTemperature, -20.0), "the cold")
    assert 0.0 < camera.CoolerPower < 100.0
    camera.CoolerOn = False
    wait_until(lambda: math.isclose(camera.CCDTemperature, warm), "the warmth")
