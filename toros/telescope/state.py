"""What the telescope's daemon works with: devices, dome, archive, and one way to stop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy.orm import Session, sessionmaker

from toros.archive.models import Event
from toros.common.client import FrontDeskClient
from toros.common.clock import Clock
from toros.common.config import Config
from toros.common.config.telescope import TelescopeSettings
from toros.common.errors import Interrupted, TorosError, WrongState
from toros.sky.night import night_of
from toros.sky.site import Site
from toros.telescope.air import Air
from toros.telescope.devices import Devices
from toros.telescope.dome_orders import DomeOrders, DomeView
from toros.telescope.rawfits import Instrument

log = logging.getLogger(__name__)

MODULE = "telescope"
DOME_TIMEOUT_S = 10.0  # machine seconds
LETS_GO_S = 5.0  # machine seconds
LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
# The longest and shortest pause of a loop in machine seconds, whatever the clock's rate: orders
# are obeyed soon on a real clock, and a fast one does not make the loops spin.
LONGEST_PAUSE_S, SHORTEST_PAUSE_S = 1.0, 0.05


@dataclass
class FocusMemory:
    """What is known of the focus; a restart finds it out again by a run.

    Attributes
    ----------
    temperature_c : float or None
        The focuser's at the last run.
    done : bool
        A run was made this night, with whatever result.
    filter : str or None
        The filter for which the focuser stands now.
    """

    temperature_c: float | None = None
    done: bool = False
    filter: str | None = None


@dataclass
class Running:
    """The observation that runs.

    Attributes
    ----------
    observation_id : int
    priority : float
    exptime_s : float
        Of one frame.
    exposing_since : float or None
        When the frame began that is being exposed, unix seconds.
    yield_to : str
        What it gives way to after this frame; empty if it goes on.
    until : datetime or None
        When its time is over, for it was only begun before what is planned then.
    """

    observation_id: int
    priority: float
    exptime_s: float
    exposing_since: float | None = None
    yield_to: str = ""
    until: datetime | None = None

    def times(self, now_unix: float) -> tuple[float, float]:
        """Return how long the frame was exposed and how long it will be, seconds.

        Before the first frame nothing is lost, and everything is still to come.
        """
        if self.exposing_since is None:
            return 0.0, self.exptime_s
        elapsed = min(max(now_unix - self.exposing_since, 0.0), self.exptime_s)
        return elapsed, self.exptime_s - elapsed


class Interrupt:
    """Stops what the telescope does now, with its cause."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.cause = ""

    def set(self, cause: str) -> None:
        """Stop what is being done; the first cause stands."""
        if not self.event.is_set():
            self.cause = cause
            self.event.set()

    def clear(self) -> None:
        """Let work go on."""
        self.event.clear()
        self.cause = ""

    def check(self) -> None:
        """Raise `Interrupted` once somebody asked to stop."""
        if self.event.is_set():
            raise Interrupted(self.cause)


class Telescope:
    """The telescope's parts, and what it does now.

    Attributes
    ----------
    interrupt : Interrupt
        Ends the running exposure, slew or wait.
    news : threading.Event
        Set when the queue or the orders changed, so that a wait ends early.
    reconsider : threading.Event
        Set when the queue or the night changed: what was chosen before is not begun any more.
    doing : str
        What it does now, for people.
    dome_view : DomeView
        The dome as it was last seen.
    unsafe_at : float
        When it was last not known to be safe, by the clock that is never turned back: at the start,
        nothing is known of the time before.
    bias_level_adu : float or None
        The median of tonight's last bias.
    pointed : tuple of float or None
        Where it was last sent, ICRS degrees; None where it was parked since.
    air : Air or None
        The weather as it was last measured, for headers.
    ahead : tuple of float or None
        Where it was sent while the last frame of the target before was read out.
    running : Running or None
        The observation that runs.
    focus : FocusMemory
        What is known of the focus.
    """

    def __init__(
        self, config: Config, clock: Clock, sessions: sessionmaker[Session], devices: Devices
    ) -> None:
        self.config = config
        self.settings: TelescopeSettings = config.telescope
        self.clock = clock
        self.sessions = sessions
        self.devices = devices
        self.site = Site(
            config.site.name, config.site.latitude, config.site.longitude, config.site.elevation
        )
        dome = FrontDeskClient.of(config, "dome", timeout_s=DOME_TIMEOUT_S)
        self.dome = DomeOrders(dome, self.settings.dome_order_wait_s)
        self.interrupt = Interrupt()
        self.news = threading.Event()
        self.reconsider = threading.Event()
        self.doing = "nothing"
        self.dome_view = DomeView.unknown("the dome was not asked yet")
        self.unsafe_at = clock.monotonic()
        self.bias_level_adu: float | None = None
        self.pointed: tuple[float, float] | None = None
        self.air: Air | None = None
        self.ahead: tuple[float, float] | None = None
        self.running: Running | None = None
        self.focus = FocusMemory()
        self._hardware = threading.Lock()
        self._instrument: Instrument | None = None
        self._max_adu = 65535

    @property
    def observatory(self) -> str:
        """The name under which the queue is kept."""
        return self.config.node

    @property
    def max_adu(self) -> int:
        """The greatest count of the camera, once it has been asked."""
        return self._max_adu

    def tonight(self) -> date:
        """Return the night of now."""
        return night_of(self.site, self.clock.now())

    def instrument(self) -> Instrument:
        """Return what headers say of the instrument; the camera is asked once."""
        if self._instrument is None:
            camera = self.devices.camera.describe()
            settings = self.settings
            self._max_adu = camera.max_adu or self._max_adu
            self._instrument = Instrument(
                observatory=self.site.name,
                telescope=settings.name,
                camera=camera.name,
                gain_e_adu=camera.gain_e_adu,
                read_noise_e=settings.read_noise_e,
                pixel_size_um=camera.pixel_size_um,
                focal_length_mm=settings.focal_length_mm,
                aperture_mm=settings.aperture_mm,
                read_out_mode=camera.read_out_mode,
                set_point_c=settings.cooling_set_point_c if camera.can_cool else None,
            )
        return self._instrument

    @contextmanager
    def hardware(self, what: str) -> Iterator[None]:
        """Hold mount and camera while doing `what`.

        Raises
        ------
        WrongState
            When something else holds them.
        """
        # What was just told to stop lets go within moments: an order that follows waits for it.
        if not self._hardware.acquire(timeout=LETS_GO_S):
            raise WrongState(f"The telescope is busy: {self.doing}.")
        self.doing = what
        try:
            yield
        finally:
            self.doing = "nothing"
            self._hardware.release()

    @contextmanager
    def if_free(self) -> Iterator[bool]:
        """Hold mount and camera if nothing else does, without waiting; say whether it is so."""
        free = self._hardware.acquire(blocking=False)
        try:
            yield free
        finally:
            if free:
                self._hardware.release()

    def look_at_dome(self) -> DomeView:
        """Ask the dome for its status, keep it and return it."""
        self.dome_view = self.dome.view()
        if not self.dome_view.safe:
            self.unsafe_at = self.clock.monotonic()
        return self.dome_view

    def pause(self, seconds: float) -> None:
        """Wait for `seconds` of observatory time, for news or for an interrupt."""
        machine = self.clock.machine_seconds(seconds)
        self.news.wait(min(max(machine, SHORTEST_PAUSE_S), LONGEST_PAUSE_S))
        self.news.clear()

    def record(
        self,
        kind: str,
        message: str,
        *,
        level: str = "info",
        code: int = 0,
        data: dict[str, Any] | None = None,
    ) -> None:
        """Log something that happened and put it into the archive."""
        log.log(LEVELS[level], "%s", message)
        with self.sessions.begin() as session:
            session.add(event(self.clock.now(), kind, message, level=level, code=code, data=data))

    def problem(self, what: str, error: TorosError, **data: Any) -> None:
        """Log and record that something failed."""
        message = f"{what}: {error.message}"
        self.record("problem", message, level="error", code=error.code, data=data)


def event(
    moment: datetime,
    kind: str,
    message: str,
    *,
    level: str = "info",
    code: int = 0,
    data: dict[str, Any] | None = None,
) -> Event:
    """Return an archive row that says what happened in this module."""
    return Event(
        time=moment,
        module=MODULE,
        kind=kind,
        level=level,
        message=message,
        code=code,
        data=data or {},
    )
