"""The camera: exposures as numpy arrays, with their true start and length."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np
from alpaca.camera import CameraStates, SensorType
from numpy.typing import NDArray

from toros.alpaca.answers import is_not_implemented, is_not_set
from toros.alpaca.device import AlpacaDevice, number, optional, truth
from toros.alpaca.http import Limits
from toros.alpaca.imagebytes import decode
from toros.alpaca.members import Camera as CameraMembers
from toros.alpaca.waiting import wait_until
from toros.common.clock import Clock
from toros.common.config import Device
from toros.common.errors import Cancelled, DeviceError, DeviceRefused, ReadBackMismatch

_log = logging.getLogger(__name__)
_Value = TypeVar("_Value")

READ_OUT_TIMEOUT_S = 120.0
_CLOCKS_AGREE_S = 5.0
_LIT = (CameraStates.cameraWaiting, CameraStates.cameraExposing)


@dataclass(frozen=True)
class CameraInfo:
    """What a camera is; None where it does not say."""

    name: str
    width: int
    height: int
    pixel_size_um: float | None
    gain_e_adu: float | None
    full_well: float | None
    max_adu: int | None
    can_cool: bool
    read_out_mode: str | None
    gain_setting: int | None
    sensor_type: str | None


@dataclass(frozen=True)
class Frame:
    """One exposure: `pixels` is uint16 ``[y, x]``, `start` UTC."""

    pixels: NDArray[np.uint16]
    start: datetime
    exptime_s: float
    ccd_temp_c: float | None
    binning: int


class Camera(AlpacaDevice[CameraMembers]):
    """A camera. Use `open_camera`."""

    def describe(self) -> CameraInfo:
        """Return what the camera is."""
        members = self._members
        max_adu = optional(lambda: number(members.MaxADU, "camera maxadu"))
        gain = optional(lambda: number(members.Gain, "camera gain"))
        return CameraInfo(
            name=str(optional(lambda: members.SensorName) or members.Name),
            width=int(number(members.CameraXSize, "camera cameraxsize")),
            height=int(number(members.CameraYSize, "camera cameraysize")),
            pixel_size_um=optional(lambda: number(members.PixelSizeX, "camera pixelsizex")),
            gain_e_adu=optional(lambda: number(members.ElectronsPerADU, "camera electronsperadu")),
            full_well=optional(lambda: number(members.FullWellCapacity, "camera fullwellcapacity")),
            max_adu=None if max_adu is None else int(max_adu),
            can_cool=bool(optional(lambda: members.CanSetCCDTemperature)),
            read_out_mode=self._read_out_mode(),
            gain_setting=None if gain is None else int(gain),
            sensor_type=self._sensor_type(),
        )

    def expose(
        self,
        exptime_s: float,
        *,
        light: bool,
        binning: int = 1,
        cancelled: threading.Event | None = None,
        read_out_timeout_s: float = READ_OUT_TIMEOUT_S,
        exposed: Callable[[], None] | None = None,
    ) -> Frame:
        """Take a full frame and return it.

        Parameters
        ----------
        exptime_s : float
            Seconds; 0 for a bias frame, which gets the camera's shortest exposure.
        light : bool
            Whether the camera's shutter opens.
        binning : int
            The same in x and y.
        cancelled : threading.Event, optional
            Ends the exposure, the frame being lost, with `Cancelled`.
        read_out_timeout_s : float
            Observatory seconds that read-out may take after the exposure.
        exposed : callable, optional
            Called when the camera says that it no longer exposes, before the frame is fetched: the
            telescope may move on then.
        """
        self._set_geometry(binning)
        length = max(exptime_s, optional(lambda: float(self._members.ExposureMin)) or 0.0)
        asked = self._clock.now()
        self._members.StartExposure(length, light)
        try:
            self._wait_exposed(length, read_out_timeout_s, cancelled)
            if exposed is not None:
                exposed()
            self._wait_image(read_out_timeout_s, cancelled)
        except Cancelled:
            self.abort()
            raise
        pixels = decode(*self._link.image())
        return Frame(
            pixels=pixels,
            start=self._start(asked),
            exptime_s=self._exptime(length),
            ccd_temp_c=self.temperature(),
            binning=binning,
        )

    def cool(self, set_point_c: float) -> None:
        """Switch the cooler on and set its temperature; `temperature` tells when it is there."""
        self._members.SetCCDTemperature = set_point_c
        self._members.CoolerOn = True
        if truth(self._members.CoolerOn, "camera cooleron") is not True:
            raise ReadBackMismatch("the camera's cooler did not switch on.")

    def warm(self) -> None:
        """Switch the cooler off."""
        self._members.CoolerOn = False

    def temperature(self) -> float | None:
        """Return the temperature of the sensor, Celsius; None if the camera does not know."""
        return optional(lambda: number(self._members.CCDTemperature, "camera ccdtemperature"))

    def abort(self) -> None:
        """End a running exposure; the frame is lost."""
        try:
            self._members.AbortExposure()
        except DeviceRefused as error:
            # A camera that cannot abort runs to its end, and the frame is never fetched.
            if not is_not_implemented(error):
                raise

    def _set_geometry(self, binning: int) -> None:
        members = self._members
        width = int(number(members.CameraXSize, "camera cameraxsize")) // binning
        height = int(number(members.CameraYSize, "camera cameraysize")) // binning
        members.BinX = binning
        members.BinY = binning
        members.StartX = 0
        members.StartY = 0
        members.NumX = width
        members.NumY = height

    def _wait_exposed(
        self, length: float, timeout_s: float, cancelled: threading.Event | None
    ) -> None:
        # No question before the end: a server that forgets to clear ImageReady would hand out
        # the frame before.
        if self._clock.wait(cancelled or threading.Event(), length):
            raise Cancelled("the exposure was cancelled.")
        # Its own clock decides: a camera that flushes its detector first begins later than asked.
        wait_until(
            lambda: self._link.get("camerastate") not in _LIT,
            clock=self._clock,
            timeout_s=timeout_s,
            what="the camera to end its exposure",
            poll_s=0.2,
            cancelled=cancelled,
        )

    def _wait_image(self, read_out_timeout_s: float, cancelled: threading.Event | None) -> None:
        def ready() -> bool:
            if truth(self._members.ImageReady, "camera imageready"):
                return True
            if self._link.get("camerastate") == CameraStates.cameraError:
                raise DeviceError("the camera reports an error.")
            return False

        wait_until(
            ready,
            clock=self._clock,
            timeout_s=read_out_timeout_s,
            what="the camera to read out",
            poll_s=0.1,
            cancelled=cancelled,
        )

    def _start(self, asked: datetime) -> datetime:
        """Return when the exposure began: as the camera says, if its clock agrees with ours."""
        text = _last(lambda: str(self._members.LastExposureStartTime))
        if text is None:
            return asked
        try:
            told = datetime.fromisoformat(text)
        except ValueError:
            _log.warning("the camera's start time %r cannot be read: ours is used", text)
            return asked
        told = told.replace(tzinfo=told.tzinfo or UTC).astimezone(UTC)
        off = (told - asked).total_seconds()
        if abs(off) > max(_CLOCKS_AGREE_S, self._clock.rate):
            _log.warning("the camera's clock is off by %.1f s: our start time is used", off)
            return asked
        return told

    def _exptime(self, length: float) -> float:
        told = _last(
            lambda: number(self._members.LastExposureDuration, "camera lastexposureduration")
        )
        return length if told is None else told

    def _read_out_mode(self) -> str | None:
        index = optional(lambda: number(self._members.ReadoutMode, "camera readoutmode"))
        modes = optional(lambda: self._members.ReadoutModes)
        if index is None or not isinstance(modes, list) or not 0 <= index < len(modes):
            return None
        return str(modes[int(index)])

    def _sensor_type(self) -> str | None:
        try:
            found: SensorType | None = optional(lambda: self._members.SensorType)
        except ValueError:
            return None
        return None if found is None else found.name


def _last(read: Callable[[], _Value]) -> _Value | None:
    """Return what `read` gives of the last exposure, or None if the camera does not keep it."""
    try:
        return read()
    except DeviceRefused as error:
        if is_not_implemented(error) or is_not_set(error):
            return None
        raise


def open_camera(address: Device | None, clock: Clock, limits: Limits | None = None) -> Camera:
    """Return the camera at `address`, or the only one that discovery finds. Connects when used."""
    return Camera("camera", CameraMembers, address, clock, limits)
