"""The night as a state machine: one small step at a time, every transition with its cause."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import select

from toros.archive.models import Event
from toros.common.clock import iso
from toros.common.errors import Cancelled, Interrupted, TorosError, WrongState
from toros.common.work_order import Json
from toros.sky.night import local_mean_noon
from toros.telescope import target_queue
from toros.telescope.handover import Handover
from toros.telescope.mode import require_nights
from toros.telescope.motion import stop_motion
from toros.telescope.night_state import AT_REST, EXPOSED, Memory, NightState, Transition
from toros.telescope.plan import dark_times
from toros.telescope.recovery import recover_files
from toros.telescope.state import MODULE, FocusMemory, Telescope, event

log = logging.getLogger(__name__)

TRANSITION = "state"
PATIENCE = 3  # failures in a row with which observing holds, and other phases after surprises


class Night:
    """The night of one telescope.

    An order changes the state, and records it, before it is answered: neither a question that
    follows nor a restart finds the old one. The work is the machine's own thread's: each of the
    `phases` (`toros.telescope.phases`) is a function that does one small thing and returns a
    transition or None, which counts only if no order came in between.
    """

    def __init__(
        self,
        telescope: Telescope,
        handover: Handover,
        phases: Mapping[NightState, Callable[[Night], Transition | None]],
    ) -> None:
        self._phases = phases
        self.telescope = telescope
        self.handover = handover
        self.state = NightState.CLOSED
        self.cause = "nothing was ordered yet"
        self.since = telescope.clock.now()
        self.date: date | None = None
        #: The last night that was closed, not only prepared: it does not open by itself again.
        self.ended: date | None = None
        self.prepare_only = False
        self.memory = Memory()
        self._lock = threading.Lock()
        self._failures = 0
        self._last_trouble = ""
        self._in_step = False
        self._left_running = False
        self._unrecorded = False

    def resume(self) -> None:
        """Take up the night that a dead process left, as the archive's last transition has it."""
        telescope = self.telescope
        query = select(Event).where(Event.module == MODULE, Event.kind == TRANSITION)
        recovered = recover_files(telescope)
        if recovered:
            log.warning("Recorded what was written before: %s.", ", ".join(map(str, recovered)))
        with telescope.sessions.begin() as session:
            last = session.scalars(query.order_by(Event.id.desc()).limit(1)).one_or_none()
            why = "the telescope's daemon was stopped meanwhile"
            left = target_queue.requeue_running(session, telescope.observatory, why)
        if left:
            log.warning("Interrupted and queued again: %s.", ", ".join(left))
        if last is None:
            return
        state, self.date = NightState(last.data["to"]), date.fromisoformat(last.data["night"])
        if state is NightState.CLOSED:
            self.ended = self.date if last.data["from"] == NightState.CLOSING else None
            return
        self._left_running = True
        self.prepare_only = bool(last.data["prepare_only"])
        if self.date != telescope.tonight():
            self._enter(Transition(NightState.CLOSING, f"restarted after the night of {self.date}"))
        else:
            self._enter(Transition(state, f"restarted while {state.value}"))

    def open(
        self, *, prepare_only: bool = False, cause: str = "open_night was ordered"
    ) -> dict[str, Json]:
        """Start tonight, or only prepare it with the dome closed.

        Raises
        ------
        WrongState
            When the night is over or being closed.
        """
        telescope = self.telescope
        now, tonight = telescope.clock.now(), telescope.tonight()
        require_nights(telescope)
        self._refuse_dawn(now, tonight)
        with self._lock:
            if self.state is NightState.CLOSING:
                raise WrongState("The night is being closed; open it again when it is closed.")
            self.prepare_only = prepare_only
            if self.state in AT_REST:
                self.date, self.memory = tonight, Memory()
                telescope.focus = FocusMemory()
                self._enter(Transition(NightState.PREPARING, cause))
        telescope.news.set()
        return {"night": tonight.isoformat(), "prepare_only": prepare_only}

    def _refuse_dawn(self, now: datetime, tonight: date) -> None:
        site, limit = self.telescope.site, self.telescope.settings.limits.max_sun_altitude_deg
        dark = dark_times(site, tonight, limit)
        if dark is not None and now.timestamp() > dark[1]:
            noon = local_mean_noon(site, tonight + timedelta(days=1))
            raise WrongState(
                f"The night of {tonight} is over; the next begins at {noon:%Y-%m-%d %H:%M} UTC."
            )

    def close(self, cause: str) -> dict[str, Json]:
        """End the night safely: the running frame is finished, then telescope and dome close."""
        with self._lock:
            self.memory.ended_by_order = True
            if self.state is not NightState.CLOSING:
                self._enter(Transition(NightState.CLOSING, cause))
        # An observation that is only about to begin finds this; one that runs is told.
        self.telescope.reconsider.set()
        running = self.telescope.running
        if running is not None:
            running.yield_to = "the end of the night"
        self.telescope.news.set()
        return {"state": self.state.value}

    def abort(self, cause: str) -> dict[str, Json]:
        """Stop exposure, slew and night at once; the dome stays as it is."""
        with self._lock:
            if self.state not in AT_REST:
                self._enter(Transition(NightState.HALTED, cause))
        self.telescope.interrupt.set(cause)
        self.telescope.news.set()
        return {"state": self.state.value}

    def require_rest(self) -> None:
        """Refuse a manual order while the night runs by itself.

        Raises
        ------
        WrongState
        """
        if self.state not in AT_REST:
            raise WrongState(
                f"The night is {self.state.value}: give 'abort' or 'close_night' first."
            )

    def run(self, stop: threading.Event) -> None:
        """Go through the night until the daemon stops: a module's loop."""
        if self._in_step:
            # The last call ended in an error that nobody foresaw; the daemon has logged it.
            self._in_step = False
            self._unrecorded = True
            before = self.state
            self._go_on(before, self._count_failure("an unexpected error, which the log has"))
        while not stop.is_set():
            self.step()

    def step(self) -> None:
        """Obey what was ordered, then do one small thing."""
        if self._left_running:
            # A dead process may have left the camera exposing and the mount slewing.
            self._left_running = False
            stop_motion(self.telescope)
        if self._unrecorded and self.state not in AT_REST:
            # The archive may have been away when a frame was written. At rest a person may be
            # writing one, which must be left alone.
            recover_files(self.telescope)
            self._unrecorded = False
        memory = self.memory
        wait_s = memory.retry_at - self.telescope.clock.monotonic()
        if wait_s > 0.0:
            self.telescope.pause(wait_s)
            return
        if self.state not in AT_REST:
            # At rest a manual order may be under way, which an abort must still be able to stop.
            self.telescope.interrupt.clear()
        # Before the state is read: an order that comes from here on is seen by what is begun.
        self.telescope.reconsider.clear()
        before = self.state
        self._in_step = True
        try:
            transition = self._phases[before](self)
        except (Interrupted, Cancelled) as error:
            log.info("Stopped while %s: %s", before.value, error)
            transition = self._after_interrupt()
        except TorosError as error:
            transition = self._trouble(error)
        else:
            self._failures = 0
        self._in_step = False
        self._go_on(before, transition)

    def _go_on(self, before: NightState, transition: Transition | None) -> None:
        """Enter the state that a phase asks for, unless an order changed it meanwhile."""
        with self._lock:
            if transition is not None and self.state is before:
                self._enter(transition)

    def _after_interrupt(self) -> Transition | None:
        view = self.telescope.dome_view
        if self.state in EXPOSED and not view.safe:
            return Transition(NightState.HOLDING, f"not safe: {view.trouble}")
        return None

    def _trouble(self, error: TorosError) -> Transition | None:
        """Record a failure, once for each cause, and try again after a pause that grows.

        A dome or a camera may only not be up yet: it is the Sun that ends a phase, not a count.
        """
        telescope, settings = self.telescope, self.telescope.settings
        if error.message != self._last_trouble:
            telescope.problem(f"While {self.state.value}", error, night=str(self.date))
            self._last_trouble = error.message
        pause_s = min(settings.retry_s * 2.0**self._failures, settings.retry_most_s)
        self.memory.retry_at = telescope.clock.monotonic() + pause_s
        telescope.doing = f"trying again after a failure: {error.message}"
        self._failures += 1
        if self.state is NightState.OBSERVING and self._failures >= PATIENCE:
            return self._without(error.message)
        return None

    def _count_failure(self, why: str) -> Transition | None:
        """Count an error that nobody foresaw; after a few the night goes on without the phase."""
        self._failures += 1
        return None if self._failures < PATIENCE else self._without(why)

    def _without(self, why: str) -> Transition | None:
        """Return where the night goes on without its phase; None where there is nowhere."""
        self._failures = 0
        onward = {
            NightState.PREPARING: NightState.TWILIGHT_FLATS,
            NightState.TWILIGHT_FLATS: NightState.OBSERVING,
            NightState.OBSERVING: NightState.HOLDING,
            NightState.MORNING_FLATS: NightState.CLOSING,
        }.get(self.state)
        return Transition(onward, f"gave up: {why}") if onward else None

    def _enter(self, transition: Transition) -> None:
        """Change the state; the transition, its cause and the night are recorded."""
        before, after = self.state, transition.state
        now = self.telescope.clock.now()
        message = f"Night {self.date}: {before.value} → {after.value}: {transition.cause}"
        data: dict[str, Any] = {
            "from": before.value,
            "to": after.value,
            "cause": transition.cause,
            "night": str(self.date or self.telescope.tonight()),
            "prepare_only": self.prepare_only,
        }
        log.info("%s", message)
        with self.telescope.sessions.begin() as session:
            session.add(event(now, TRANSITION, message, data=data))
        self.state, self.cause, self.since = after, transition.cause, now
        memory = self.memory
        memory.well_since, memory.idle_since, memory.parked = None, None, False
        memory.retry_at = -math.inf
        memory.waits_told.clear()
        if after is NightState.CLOSING:
            self.ended = self.date or self.telescope.tonight()
            memory.closing_done, memory.closing_failures = [], 0
        for run in (memory.flats, memory.morning):
            if run is not None:
                run.lost_place()

    def describe(self) -> dict[str, Json]:
        """Return what `status` says of the night."""
        return {
            "state": self.state.value,
            "cause": self.cause,
            "since": iso(self.since),
            "night": str(self.date) if self.date else None,
            "doing": self.telescope.doing,
        }
