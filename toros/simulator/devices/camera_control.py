"""How the simulated camera behaves; its Alpaca members are listed in `camera.py`."""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from toros.common.clock import Clock
from toros.simulator.detector import Detector, Frame
from toros.simulator.devices.base import Device
from toros.simulator.errors import AlpacaError, InvalidOperation, InvalidValue
from toros.simulator.exposure import Plan, Truth, take
from toros.simulator.members import Picture
from toros.simulator.motion import Ramp, Timeline
from toros.simulator.scene import Scene
from toros.simulator.surroundings import Surroundings

log = logging.getLogger(__name__)

IDLE, WAITING, EXPOSING, READING, DOWNLOAD, ERROR = range(6)
LONGEST_S = 3600.0
MAX_BIN = 4
GAIN_DEFAULT, GAIN_MAX = 100, 300
OFFSET_DEFAULT, OFFSET_MAX = 50, 100
OFFSET_ADU = 10.0
TRUTHS_KEPT = 500
LOOKS_AT_CLOCK_S = 0.1  # machine seconds


@dataclass
class Exposure:
    """An exposure under way or done."""

    plan: Plan
    readout_s: float
    ended: threading.Event = field(default_factory=threading.Event)
    aborted: threading.Event = field(default_factory=threading.Event)
    frame: Frame | None = None
    failure: str | None = None

    @property
    def end_unix(self) -> float:
        """When the shutter closes."""
        return self.plan.start_unix + self.plan.exptime_s

    @property
    def ready_unix(self) -> float:
        """When the read-out ends."""
        return self.end_unix + self.readout_s


class CameraControl(Device):
    """A cooled monochrome CCD with a mechanical shutter.

    Parameters
    ----------
    clock : Clock
        The observatory's time.
    number : int
        Device number.
    server_name : str
        Name of the server.
    scene : Scene
        The sky.
    detector : Detector
        The detector.
    around : Surroundings
        The rest of the observatory.
    """

    def __init__(
        self,
        clock: Clock,
        number: int,
        server_name: str,
        scene: Scene,
        detector: Detector,
        around: Surroundings,
    ) -> None:
        super().__init__(clock, number, server_name)
        self.settings = scene.settings.camera
        self.scene, self.detector, self._around = scene, detector, around
        self.binning = 1
        self.window = [0, 0, self.settings.width, self.settings.height]
        self.gain, self.offset = GAIN_DEFAULT, OFFSET_DEFAULT
        self.cooler_on = False
        self.set_point_c = -20.0
        self._temperature = Timeline(Ramp.still(self.settings.ambient_c))
        self._exposure: Exposure | None = None
        self.truths: deque[Truth] = deque(maxlen=TRUTHS_KEPT)

    # Exposures

    def start_exposure(self, duration_s: float, light: bool) -> None:
        """Begin an exposure."""
        if self.state() not in (IDLE, ERROR):
            raise InvalidOperation("An exposure is under way.")
        self._check_window()
        now = self.clock.unix()
        plan = Plan(
            start_unix=now,
            exptime_s=duration_s,
            light=light,
            binning=(self.binning, self.binning),
            window=(self.window[0], self.window[1], self.window[2], self.window[3]),
            gain_e_adu=self.electrons_per_adu(),
            extra_bias_adu=(self.offset - OFFSET_DEFAULT) * OFFSET_ADU,
            ccd_temp_c=self.temperature(now),
        )
        self._exposure = Exposure(plan, self.settings.readout_s)
        threading.Thread(
            target=self._run, args=(self._exposure,), name="simulated exposure", daemon=True
        ).start()

    def _check_window(self) -> None:
        left, bottom, width, height = self.window
        columns = self.settings.width // self.binning
        rows = self.settings.height // self.binning
        if min(left, bottom) < 0 or min(width, height) < 1:
            raise InvalidValue("The subframe is empty or begins before the first pixel.")
        if left + width > columns or bottom + height > rows:
            raise InvalidValue(
                f"The subframe ends beyond the {columns} × {rows} pixels at binning {self.binning}."
            )

    def _run(self, exposure: Exposure) -> None:
        """Wait for the end of the exposure, then make the frame."""
        # What the first frame costs only once, and the first of a filter: not after the exposure.
        self.detector.make_ready(exposure.plan.window)
        if exposure.plan.light:
            self.scene.make_ready()
            self.detector.response(self._around.filter_name(exposure.plan.start_unix))
        # In pieces: the clock may be set meanwhile.
        while not exposure.ended.is_set() and self.clock.unix() < exposure.end_unix:
            left_s = self.clock.machine_seconds(exposure.end_unix - self.clock.unix())
            exposure.ended.wait(min(max(left_s, 0.0), LOOKS_AT_CLOCK_S))
        if exposure.aborted.is_set():
            return
        try:
            frame, truth = take(self.scene, self.detector, self._around, exposure.plan)
        except Exception as error:
            log.exception("The simulated camera could not make a frame")
            exposure.failure = f"{type(error).__name__}: {error}"
            return
        if exposure.aborted.is_set():
            return
        self.truths.append(truth)
        exposure.frame = frame

    def stop_exposure(self) -> None:
        """End the exposure early and read it out."""
        exposure, now = self._exposure, self.clock.unix()
        if exposure is not None and now < exposure.end_unix:
            exposed_s = max(now - exposure.plan.start_unix, 0.0)
            exposure.plan = replace(exposure.plan, exptime_s=exposed_s)
            exposure.ended.set()

    def abort_exposure(self) -> None:
        """End the exposure and forget it."""
        exposure = self._exposure
        if exposure is not None and self.state() != IDLE:
            exposure.aborted.set()
            exposure.ended.set()
            self._exposure = None

    def state(self) -> int:
        """Return the CameraStates number."""
        exposure, now = self._exposure, self.clock.unix()
        if exposure is None:
            return IDLE
        if exposure.failure is not None:
            return ERROR
        if now < exposure.end_unix:
            return EXPOSING
        return IDLE if exposure.frame is not None and now >= exposure.ready_unix else READING

    def image_ready(self) -> bool:
        """Return whether the last exposure can be fetched."""
        return self._exposure is not None and self.state() == IDLE

    def percent_completed(self) -> int:
        """Return how far the exposure is, per cent."""
        exposure = self._exposure
        if exposure is None:
            return 0
        if self.state() != EXPOSING:
            return 100
        gone = self.clock.unix() - exposure.plan.start_unix
        return min(int(100.0 * gone / exposure.plan.exptime_s), 100)

    def finished(self) -> Exposure:
        """Return the finished exposure; raise `InvalidOperation` if there is none."""
        exposure = self._exposure
        if exposure is not None and exposure.failure is not None:
            raise AlpacaError(exposure.failure)
        if exposure is None or not self.image_ready():
            raise InvalidOperation("There is no image.")
        return exposure

    def image(self) -> Picture:
        """Return the image, indexed [x][y]."""
        frame = self.finished().frame
        if frame is None:
            raise InvalidOperation("There is no image.")
        return Picture(frame.T)

    def last_start(self) -> str:
        """Return when the last exposure began: the form of DATE-OBS, UTC."""
        start = datetime.fromtimestamp(self.finished().plan.start_unix, UTC)
        return start.isoformat(timespec="milliseconds").replace("+00:00", "")

    # Detector

    def electrons_per_adu(self) -> float:
        """Return the conversion at the present gain, whose unit is 0.1 dB as in CMOS cameras."""
        return float(self.settings.gain_e_adu * 10.0 ** ((GAIN_DEFAULT - self.gain) / 200.0))

    def full_well(self) -> float:
        """Return the electrons that a pixel can hold and the converter can express."""
        return min(self.settings.full_well_e, 65535.0 * self.electrons_per_adu())

    def temperature(self, unix: float) -> float:
        """Return the temperature of the sensor, °C."""
        return self._temperature.at(unix).value(unix)

    def set_cooler(self, on: bool) -> None:
        """Switch the cooler."""
        self.cooler_on = on
        self._retarget()

    def set_set_point(self, set_point_c: float) -> None:
        """Set the temperature that the cooler aims at."""
        self.set_point_c = set_point_c
        self._retarget()

    def _retarget(self) -> None:
        ambient = self.settings.ambient_c
        coldest = ambient - self.settings.cooling_depth_c
        goal = min(max(self.set_point_c, coldest), ambient) if self.cooler_on else ambient
        now = self.clock.unix()
        here = self.temperature(now)
        self._temperature.command(now, Ramp(now, here, goal, self.settings.cooling_c_s))

    def cooler_power(self) -> float:
        """Return the power of the cooler, per cent."""
        if not self.cooler_on:
            return 0.0
        below = self.settings.ambient_c - self.temperature(self.clock.unix())
        return min(max(100.0 * below / self.settings.cooling_depth_c, 0.0), 100.0)

    def power_cycle(self, **_lost: bool) -> None:
        """Lose the exposure and every setting; the sensor warms up."""
        super().power_cycle()
        self.abort_exposure()
        self._exposure = None
        self.binning = 1
        self.window = [0, 0, self.settings.width, self.settings.height]
        self.gain, self.offset = GAIN_DEFAULT, OFFSET_DEFAULT
        self.set_cooler(False)

    def close(self) -> None:
        """Let a running exposure's thread end."""
        self.abort_exposure()
