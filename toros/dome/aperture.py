"""The azimuth of the slit: turned where it is ordered, or kept on a target."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

import numpy as np

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
from toros.dome.following import Allowed
from toros.dome.pace import pause_s
from toros.dome.pier import Pier
from toros.dome.reading import Reader
from toros.sky.dome_geometry import DomeGeometry, PierSide, azimuth_difference, clearance
from toros.sky.earth import Floats
from toros.sky.site import Site
from toros.sky.visibility import altaz

log = logging.getLogger(__name__)

# A move must be over when the beam needs it: turning and the way through the network take so long.
LEAD_S = 20.0
STEP_S = 60.0


@dataclass(frozen=True)
class Target:
    """What the slit is kept on: ICRS degrees."""

    ra_deg: float
    dec_deg: float


class Aperture:
    """Turns the dome. One turn at a time; a new order ends the following of a target."""

    def __init__(self, context: Context, hardware: Dome, reader: Reader, pier: Pier) -> None:
        site = context.config.site
        self._context = context
        self._settings = context.config.dome
        self._geometry = DomeGeometry(**self._settings.geometry.model_dump())
        self._site = Site(site.name, site.latitude, site.longitude, site.elevation)
        self._hardware = hardware
        self._reader = reader
        self._pier = pier
        self._pause_s = pause_s(context.clock, self._settings.follow_poll_s)
        self._turning = threading.Lock()
        self._ordering = threading.Lock()
        self._orders = 0
        self._target: Target | None = None
        self._turns: bool | None = None
        self._side: PierSide | None = None
        self._strays = False

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
        self._side = self._pier.side()
        best = self._allowed(np.array([alt_deg]), np.array([azim_deg])).lasting()[0]
        return self._turn(best, task.cancelled)

    def park(self) -> bool:
        """Turn to the park position; return whether the hardware reads parked.

        A roof that does not turn is always parked; nothing moves.
        """
        self._end_following()
        if not self.turns() and not self._hardware.parks():
            return True
        self._refuse_in_the_dark()
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
        alt_deg = float(self._where(target, np.zeros(1))[0][0])
        if alt_deg <= 0.0:
            raise DomeError(f"The target is below the horizon, at altitude {alt_deg:.1f}°.")
        azim_deg, _ = self._path(target, self._settings.azimuth_tolerance_deg).lasting()
        arrived = self._turn(azim_deg, task.cancelled)
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
        while not self._context.clock.wait(stop, self._pause_s):
            self.look(stop)

    def look(self, stop: threading.Event) -> None:
        """Look once at the target, and turn the slit on if it must be."""
        target = self._target
        if target is None or not self._turning.acquire(blocking=False):
            return
        try:
            self._keep_on(target, stop)
            self._strays = False
        except (DeviceError, DomeError) as error:
            # The first time mails the admins, and not every time after it.
            level = logging.WARNING if self._strays else logging.ERROR
            log.log(level, "The dome does not follow its target: %s", error.message)
            self._strays = True
        except Cancelled:
            log.info("The dome stopped following, since its module stops.")
        finally:
            self._turning.release()

    def _keep_on(self, target: Target, stop: threading.Event) -> None:
        """Turn on if the slit is no longer clear of the beam, or will not be when it matters."""
        if self._where(target, np.zeros(1))[0][0] <= 0.0:
            log.warning("The target has set: the dome no longer follows it.")
            with self._ordering:
                if self._target is target:
                    self._target = None
            return
        reading = self._reader.latest()
        azimuth = None if reading.state is None else reading.state.azim_deg
        # A mount on its way may change sides: the dome waits for it, and does not chase it.
        if azimuth is None or reading.lost or not self.turns() or self._pier.slewing():
            return
        self._side = self._pier.side()
        soon = np.array([0.0, self._pause_s + LEAD_S])
        alt, azim = self._where(target, soon)
        if not self._allowed(alt, azim).holds(azimuth):
            best, _ = self._path(target, self._settings.azimuth_tolerance_deg).lasting()
            self._slew(best, stop)

    def in_slit(self) -> bool | None:
        """Return whether the slit lets out the whole beam from the target; None without one."""
        target, state = self._target, self._reader.latest().state
        if target is None:
            return None
        if state is None or state.azim_deg is None:
            return state is not None and self._turns is False
        alt, azim = self._where(target, np.zeros(1))
        play = clearance(self._geometry, self._site.latitude_deg, alt, azim, self._side)
        off = abs(azimuth_difference(state.azim_deg, float(play.azim_deg[0])))
        return off <= float(play.half_deg[0])

    def _turn(self, azim_deg: float, cancelled: threading.Event) -> bool:
        if not self.turns():
            return True  # a roof that does not turn is in place for every azimuth
        self._refuse_in_the_dark()
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

    def turns(self) -> bool:
        """Return whether the dome has an azimuth: a rolling roof or a clamshell has none."""
        # A dome turns for good; a "no" may be that of a server which is still starting.
        if not self._turns:
            self._turns = self._hardware.turns()
        return self._turns

    def _refuse_in_the_dark(self) -> None:
        if self._reader.latest().lost or not self._reader.ever_read:
            raise DomeError(
                "It is not known where the shutter is: nothing moves until the dome has closed."
            )

    def _path(self, target: Target, spare_deg: float) -> Allowed:
        """Return where the slit may stand from now on, until the target sets."""
        later = np.arange(self._pause_s + LEAD_S, self._settings.follow_ahead_s, STEP_S)
        alt, azim = self._where(target, np.concatenate([[0.0], later]))
        up = int(np.argmin(alt > 0.0)) if np.any(alt <= 0.0) else alt.size
        self._side = self._pier.side()
        return self._allowed(alt[: max(up, 1)], azim[: max(up, 1)], spare_deg)

    def _allowed(self, alt_deg: Floats, azim_deg: Floats, spare_deg: float = 0.0) -> Allowed:
        try:
            clear = clearance(
                self._geometry,
                self._site.latitude_deg,
                alt_deg,
                azim_deg,
                self._side,
                self._settings.slit_margin_m,
            )
        except ValueError as error:
            raise DomeError(f"{error}.") from error
        return Allowed.of(clear, self._settings.follow_tolerance_deg, spare_deg)

    def _where(self, target: Target, ahead_s: Floats) -> tuple[Floats, Floats]:
        """Return altitudes and azimuths of a target some seconds from now."""
        times = self._context.clock.unix() + ahead_s
        alt, azim = altaz(self._site, times, target.ra_deg, target.dec_deg)
        return alt[0], azim[0]
