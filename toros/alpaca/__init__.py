"""The client side of the devices (ASCOM Alpaca, alpyca), with time-outs and read-back."""

from toros.alpaca.camera import Camera, CameraInfo, Frame, open_camera
from toros.alpaca.conditions import (
    Measurement,
    SafetyMonitor,
    Weather,
    open_safety_monitor,
    open_weather,
)
from toros.alpaca.dome import Dome, DomeState, open_dome
from toros.alpaca.filter_wheel import FilterWheel, open_filter_wheel
from toros.alpaca.focuser import Focuser, open_focuser
from toros.alpaca.http import Limits
from toros.alpaca.mount import Mount, MountState, open_mount

__all__ = [
    "Camera",
    "CameraInfo",
    "Dome",
    "DomeState",
    "FilterWheel",
    "Focuser",
    "Frame",
    "Limits",
    "Measurement",
    "Mount",
    "MountState",
    "SafetyMonitor",
    "Weather",
    "open_camera",
    "open_dome",
    "open_filter_wheel",
    "open_focuser",
    "open_mount",
    "open_safety_monitor",
    "open_weather",
]
