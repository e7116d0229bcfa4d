"""The camera: ICameraV4."""

from __future__ import annotations

from toros.simulator.detector import MAX_ADU
from toros.simulator.devices.base import COMMON
from toros.simulator.devices.camera_control import (
    GAIN_MAX,
    LONGEST_S,
    MAX_BIN,
    OFFSET_MAX,
    CameraControl,
)
from toros.simulator.members import (
    Member,
    absent,
    boolean,
    constant,
    integer,
    read,
    real,
    write,
)

MONOCHROME = 0
WINDOW = ("StartX", "StartY", "NumX", "NumY")


def _window_members() -> list[Member]:
    members = []
    for index, name in enumerate(WINDOW):
        members.append(read(name, lambda camera, index=index: camera.window[index]))
        members.append(
            write(
                name,
                lambda camera, value, index=index: camera.window.__setitem__(index, value),
                **{name: integer()},
            )
        )
    return members


def _bin_members() -> list[Member]:
    members = []
    for name in ("BinX", "BinY"):
        members.append(read(name, lambda camera: camera.binning))
        members.append(
            write(
                name,
                lambda camera, value: setattr(camera, "binning", value),
                **{name: integer(1, MAX_BIN)},
            )
        )
    return members


_TABLE = COMMON.joined(
    [
        constant(CanAbortExposure=True, CanStopExposure=True, CanAsymmetricBin=False),
        constant(CanFastReadout=False, CanGetCoolerPower=True, CanPulseGuide=False),
        constant(CanSetCCDTemperature=True, HasShutter=True),
        constant(SensorType=MONOCHROME, SensorName="TOROS simulated CCD", MaxADU=MAX_ADU),
        constant(MaxBinX=MAX_BIN, MaxBinY=MAX_BIN, ReadoutModes=["Normal"], ReadoutMode=0),
        constant(ExposureMin=0.0, ExposureMax=LONGEST_S, ExposureResolution=0.0),
        constant(GainMin=0, GainMax=GAIN_MAX, OffsetMin=0, OffsetMax=OFFSET_MAX),
        [absent(name) for name in ("BayerOffsetX", "BayerOffsetY", "FastReadout", "Gains")],
        [absent(name) for name in ("IsPulseGuiding", "Offsets", "SubExposureDuration")],
        absent("FastReadout", "PUT", FastReadout=boolean()),
        absent("PulseGuide", "PUT", Direction=integer(), Duration=integer()),
        absent("SubExposureDuration", "PUT", SubExposureDuration=real()),
        _bin_members(),
        _window_members(),
        read("CameraXSize", lambda camera: camera.settings.width),
        read("CameraYSize", lambda camera: camera.settings.height),
        read("PixelSizeX", lambda camera: camera.settings.pixel_size_um),
        read("PixelSizeY", lambda camera: camera.settings.pixel_size_um),
        read("CameraState", CameraControl.state),
        read("CCDTemperature", lambda camera: camera.temperature(camera.clock.unix())),
        read("HeatSinkTemperature", lambda camera: camera.settings.ambient_c),
        read("CoolerOn", lambda camera: camera.cooler_on),
        write("CoolerOn", CameraControl.set_cooler, CoolerOn=boolean()),
        read("CoolerPower", CameraControl.cooler_power),
        read("SetCCDTemperature", lambda camera: camera.set_point_c),
        write(
            "SetCCDTemperature",
            CameraControl.set_set_point,
            SetCCDTemperature=real(-273.15, below=100.0),
        ),
        read("ElectronsPerADU", CameraControl.electrons_per_adu),
        read("FullWellCapacity", CameraControl.full_well),
        read("Gain", lambda camera: camera.gain),
        write(
            "Gain", lambda camera, value: setattr(camera, "gain", value), Gain=integer(0, GAIN_MAX)
        ),
        read("Offset", lambda camera: camera.offset),
        write(
            "Offset",
            lambda camera, value: setattr(camera, "offset", value),
            Offset=integer(0, OFFSET_MAX),
        ),
        write("ReadoutMode", lambda _camera, _value: None, ReadoutMode=integer(0, 0)),
        read("ImageReady", CameraControl.image_ready),
        read("ImageArray", CameraControl.image),
        read("ImageArrayVariant", CameraControl.image),
        read("LastExposureDuration", lambda camera: camera.finished().plan.exptime_s),
        read("LastExposureStartTime", CameraControl.last_start),
        read("PercentCompleted", CameraControl.percent_completed),
        write(
            "StartExposure",
            CameraControl.start_exposure,
            Duration=real(0.0, LONGEST_S),
            Light=boolean(),
        ),
        write("StopExposure", CameraControl.stop_exposure),
        write("AbortExposure", CameraControl.abort_exposure),
    ]
)


class Camera(CameraControl):
    """The camera as Alpaca clients see it."""

    kind = "camera"
    type_name = "Camera"
    interface_version = 4
    description = "A simulated cooled CCD camera"
    operational = (
        *("CameraState", "CCDTemperature", "CoolerPower", "HeatSinkTemperature", "ImageReady"),
        "PercentCompleted",
    )
    table = _TABLE
