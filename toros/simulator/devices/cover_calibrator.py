"""The cover of the telescope and its flat panel: ICoverCalibratorV2."""

from __future__ import annotations

from toros.common.clock import Clock
from toros.common.config.simulator import CoverSettings
from toros.simulator.devices.base import COMMON, Device
from toros.simulator.errors import InvalidValue
from toros.simulator.members import integer, read, write
from toros.simulator.motion import Part, Ramp, Timeline

NOT_PRESENT, CLOSED, MOVING, OPEN, UNKNOWN, ERROR = range(6)
OFF, NOT_READY, READY = 1, 2, 3


class CoverCalibrator(Device):
    """A lid whose inside can be lit.

    Parameters
    ----------
    clock : Clock
        The observatory's time.
    number : int
        Device number.
    server_name : str
        Name of the server.
    settings : CoverSettings
        Rates and brightness.
    """

    kind = "covercalibrator"
    type_name = "CoverCalibrator"
    interface_version = 2
    description = "A simulated telescope cover with a flat panel"
    parts = ("cover",)
    operational = (
        *("Brightness", "CalibratorChanging", "CalibratorState", "CoverMoving", "CoverState"),
    )

    def __init__(
        self, clock: Clock, number: int, server_name: str, settings: CoverSettings
    ) -> None:
        super().__init__(clock, number, server_name)
        self.settings = settings
        self._cover = Part(1.0 if settings.open_at_start else 0.0)  # 0 closed, 1 open
        # A ramp over the warm-up time, from 0 to 1; the brightness is its purpose.
        self._lamp = Timeline(Ramp.still(0.0, "0"))

    def opening(self, unix: float) -> float:
        """Return how far the cover is open, 0 to 1."""
        return self._cover.value(unix)

    def brightness(self, unix: float) -> int:
        """Return the brightness that was ordered, 0 when the panel is off."""
        return int(self._lamp.at(unix).purpose)

    def panel_electrons_s(self, unix: float) -> float:
        """Return the panel's light on each pixel, electrons per second; none past an open lid."""
        shining = self._lamp.at(unix).value(unix) * self.brightness(unix)
        full = self.settings.panel_e_s / self.settings.max_brightness
        return shining * full if self.opening(unix) == 0.0 else 0.0

    def cover_state(self) -> int:
        """Return the CoverStatus; one that stopped half-way is unknown."""
        now = self.clock.unix()
        if self._cover.moving(now):
            return MOVING
        return {0.0: CLOSED, 1.0: OPEN}.get(self.opening(now), UNKNOWN)

    def calibrator_state(self) -> int:
        """Return the CalibratorStatus."""
        now = self.clock.unix()
        if self._lamp.at(now).moving(now):
            return NOT_READY
        return READY if self._lamp.at(now).value(now) > 0.0 else OFF

    def move(self, goal: float) -> None:
        """Begin to open (1) or close (0) the cover."""
        self._cover.move(self.clock.unix(), goal, 1.0 / self.settings.travel_s)

    def halt(self) -> None:
        """Stop the cover."""
        self._cover.rest(self.clock.unix())

    def shine(self, brightness: int) -> None:
        """Switch the panel on; brightness 0 counts as on, as the interface has it."""
        if not 0 <= brightness <= self.settings.max_brightness:
            raise InvalidValue(
                f"Brightness {brightness} is outside 0 to {self.settings.max_brightness}."
            )
        self._warm(1.0, str(brightness))

    def darken(self) -> None:
        """Switch the panel off."""
        self._warm(0.0, "0")

    def _warm(self, goal: float, purpose: str) -> None:
        now = self.clock.unix()
        rate = 1.0 / max(self.settings.warm_up_s, 1e-6)
        self._lamp.command(now, Ramp(now, 1.0 - goal, goal, rate, purpose))

    def jam(self, _part: str, until: float) -> None:
        """Let the cover be stuck until then."""
        self._cover.jam(self.clock.unix(), until)

    def power_cycle(self, **_lost: bool) -> None:
        """Stop, and switch the panel off."""
        super().power_cycle()
        now = self.clock.unix()
        self._cover.rest(now)
        self._lamp.command(now, Ramp.still(0.0, "0"))


CoverCalibrator.table = COMMON.joined(
    [
        read("Brightness", lambda cover: cover.brightness(cover.clock.unix())),
        read("CalibratorState", CoverCalibrator.calibrator_state),
        read("CalibratorChanging", lambda cover: cover.calibrator_state() == NOT_READY),
        read("CoverState", CoverCalibrator.cover_state),
        read("CoverMoving", lambda cover: cover.cover_state() == MOVING),
        read("MaxBrightness", lambda cover: cover.settings.max_brightness),
        write("CalibratorOn", CoverCalibrator.shine, Brightness=integer()),
        write("CalibratorOff", CoverCalibrator.darken),
        write("OpenCover", lambda cover: cover.move(1.0)),
        write("CloseCover", lambda cover: cover.move(0.0)),
        write("HaltCover", CoverCalibrator.halt),
    ]
)
