"""The azimuth of the slit: turned where it is ordered, or kept on a target."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from toros.alpaca import Dome
from toros.common.errors import (
    Cancelled,
    DeviceError,
    DeviceRefused,
    DomeError,
    NotArrived,
)
from toros.common.module import Context
from toros.common.requests import Task
from toros.dome.pace import pause_s
from toros.dome.reading import Reader
from toros.sky.dome_geometry import (
    DomeGeometry,
    aperture,
    azimuth_difference,
    azimuth_tolerance,
)
from toros.sky.site import Site
from toros.sky.visibility import altaz

log = logging.getLogger(__name__)

# Part of the play between beam and slit that may be used up before the dome moves on.
PLAY_USED = 0.7
LEAST_TOLERANCE_DEG = 0.5


@dataclass(frozen=True)
class Target:
    """What the slit is kept on: ICRS degrees."""

    ra_deg: float
    dec_deg: float


class Aperture:
    """Turns the dome. One turn at a time; a new order ends the following of a target."""

    def __init__(self, context: Context, hardware: Dome, reader: Reader) -> None:
        site = context.config.site
        self._context = context
        self._settings = context.config.dome
        self._geometry = DomeGeometry(**self._settings.geometry.model_dump())
        self._site = Site(site.name, site.latitude, site.longitude, site.elevation)
        self._hardware = hardware
        self._reader = reader
        self._turning = threading.Lock()
        self._ordering = threading.Lock()
        self._orders = 0
        self._target: Target | None = None
        self._turns: bool | None = None

    @property
    def target(self) -> Target | None:
        """The target that is followed, if one is."""
        return self._target

    def turn_to(self, azim_deg: float, task: Task) -> bool:
        """Turn the slit to an azimuth; return whether it reads there."""
        self._end_following()
        return self._turn(azim_deg, task.cancelled)

    def turn_for(self, alt_deg: float, azim_deg: float, task: Task) -> bool:
        """Turn the slit to where the beam of a telescope that points there leaves the dome."""
        self._end_following()
        return self._turn(self._slit(alt_deg, azim_deg)[1], task.cancelled)

    def park(self) -> bool:
        """Turn to the park position; return whether the hardware reads parked."""
        self._end_following()
        with self._turning:
            try:
                self._hardware.park(self._settings.azimuth_timeout_s)
            except DeviceError as error:
                raise NotArrived(f"The dome did not park: {error.message}") from error
        reading = self._reader.refresh()
        return reading.state is not None and reading.state.at_park

    def sync(self, azim_deg: float) -> bool:
        """Tell the hardware that the slit is at an azimuth; return whether it reads so."""
        self._end_following()
        with self._turning:
            self._hardware.sync(azim_deg)
        return self._reads(azim_deg)

    def follow(self, ra_deg: float, dec_deg: float, task: Task) -> bool:
        """Turn the slit to a target and keep it there; return whether it reads there now."""
        target = Target(ra_deg, dec_deg)
        orders = self._end_following()
        alt_deg, azim_deg = self._where(target)
        if alt_deg <= 0.0:
            raise DomeError(f"The target is below the horizon, at altitude {alt_deg:.1f}°.")
        arrived = self._turn(self._slit(alt_deg, azim_deg)[1], task.cancelled)
        with self._ordering:
            # An order that came meanwhile, to stay or to go elsewhere, is the newer will.
            if self._orders == orders:
                self._target = target
        return arrived

    def unfollow(self) -> bool:
        """Stay where the slit is."""
        self._end_following()
        return True

    def _end_following(self) -> int:
        """Follow nothing, and return a number that the next order changes."""
        with self._ordering:
            self._orders += 1
            self._target = None
            return self._orders

    def run(self, stop: threading.Event) -> None:
        """Keep the slit on the target until `stop` is set: a module's loop."""
        pause = pause_s(self._context.clock, self._settings.follow_poll_s)
        lost = False
        while not stop.wait(pause):
            target = self._target
            if target is None or not self._turning.acquire(blocking=False):
                continue
            try:
                self._keep_on(target, stop)
                lost = False
            except (DeviceError, DomeError) as error:
                # The first time mails the admins, and not every time after it.
                level = logging.WARNING if lost else logging.ERROR
                log.log(level, "The dome does not follow its target: %s", error.message)
                lost = True
            except Cancelled:
                log.info("The dome stopped following, since its module stops.")
            finally:
                self._turning.release()

    def _keep_on(self, target: Target, stop: threading.Event) -> None:
        alt_deg, azim_deg = self._where(target)
        if alt_deg <= 0.0:
            log.warning("The target has set: the dome no longer follows it.")
            with self._ordering:
                if self._target is target:
                    self._target = None
            return
        state = self._reader.latest().state
        if state is None or state.azim_deg is None or not self._can_turn():
            return
        slit_alt, slit_azim = self._slit(alt_deg, azim_deg)
        play = PLAY_USED * azimuth_tolerance(self._geometry, slit_alt)
        allowed = min(self._settings.follow_tolerance_deg, max(play, LEAST_TOLERANCE_DEG))
        if abs(azimuth_difference(slit_azim, state.azim_deg)) > allowed:
            self._slew(slit_azim, stop)

    def _turn(self, azim_deg: float, cancelled: threading.Event) -> bool:
        if not self._can_turn():
            return True  # a roof that does not turn is in place for every azimuth
        with self._turning:
            try:
                self._slew(azim_deg, cancelled)
            except DeviceRefused:
                raise
            except DeviceError as error:
                raise NotArrived(f"The dome did not arrive: {error.message}") from error
        return self._reads(azim_deg)

    def _slew(self, azim_deg: float, cancelled: threading.Event) -> None:
        self._hardware.slew_azimuth(
            azim_deg,
            self._settings.azimuth_timeout_s,
            self._settings.azimuth_tolerance_deg,
            cancelled,
        )

    def _reads(self, azim_deg: float) -> bool:
        state = self._reader.refresh().state
        if state is None or state.azim_deg is None:
            return False
        off = abs(azimuth_difference(state.azim_deg, azim_deg))
        return off <= self._settings.azimuth_tolerance_deg

    def _can_turn(self) -> bool:
        if self._turns is None:
            self._turns = self._hardware.turns()
        return self._turns

    def _slit(self, alt_deg: float, azim_deg: float) -> tuple[float, float]:
        try:
            return aperture(self._geometry, self._site.latitude_deg, alt_deg, azim_deg)
        except ValueError as error:
            raise DomeError(f"{error}.") from error

    def _where(self, target: Target) -> tuple[float, float]:
        alt, azim = altaz(self._site, self._context.clock.unix(), target.ra_deg, target.dec_deg)
        return float(alt[0, 0]), float(azim[0, 0])
