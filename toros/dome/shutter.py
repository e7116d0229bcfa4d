"""The shutter: opened only when it is safe, and closed whatever else goes on."""

from __future__ import annotations

import math
import threading

from toros.alpaca import Dome
from toros.common.errors import Cancelled, DeviceError, DomeError, DomeUnsafe, ShutterStuck
from toros.common.module import Context
from toros.common.requests import Task
from toros.dome.events import EventBook
from toros.dome.mount_guard import MountGuard
from toros.dome.reading import Reader
from toros.dome.safety import Safety


class Shutter:
    """Opens and closes. A close overrides any opening that was ordered before it."""

    def __init__(
        self,
        context: Context,
        hardware: Dome,
        reader: Reader,
        safety: Safety,
        guard: MountGuard,
        events: EventBook,
    ) -> None:
        self._clock = context.clock
        self._hardware = hardware
        self._reader = reader
        self._safety = safety
        self._guard = guard
        self._events = events
        self._timeout_s = context.config.dome.shutter_timeout_s
        self._lock = threading.Lock()
        self._opening: threading.Event | None = None
        self._overtaken = False
        self._retired = False
        self._closings = 0  # under way, perhaps in several threads
        self._told = False  # of a mount in the way, since the dome was closed
        self._last_close = -math.inf  # by the clock that is never turned back

    @property
    def opening(self) -> bool:
        """Whether an order to open is being done."""
        return self._opening is not None

    def open(self, task: Task) -> bool:
        """Open, and return whether the hardware reads open.

        Raises
        ------
        DomeUnsafe
            It is not known to be safe, or the mount is in the way.
        DomeError
            It is not known where the shutter is.
        Cancelled
            A close was ordered after this opening.
        ShutterStuck
            It did not open.
        """
        self._refuse_in_the_dark()
        with self._lock:
            # Under the lock: a close either sees this opening, or is seen by it.
            task.raise_if_cancelled()
            if task.taken is not None and task.taken < self._last_close:
                raise Cancelled("The dome was ordered to close after this order to open.")
            if task.inherited:  # who gave it may have gone home
                raise Cancelled("The dome module was started after this order to open.")
            if self._retired:
                raise DomeUnsafe("The dome stays closed: its module stops.")
            verdict = self._safety.verdict()
            if not verdict.safe:
                raise DomeUnsafe(f"The dome stays closed: {verdict}.")
            self._opening, self._overtaken = task.cancelled, False
        try:
            self._hardware.open_shutter(self._timeout_s, cancelled=task.cancelled)
        except Cancelled:
            self._close_after_all()
            raise
        except DeviceError as error:
            self._close_after_all()  # it may have been told to open nevertheless
            raise ShutterStuck(f"The shutter did not open: {error.message}") from error
        finally:
            with self._lock:
                self._opening = None
            reading = self._reader.refresh()
        return reading.state is not None and reading.state.shutter == "open"

    def retire(self) -> bool:
        """Open no more, for the module stops; return whether it is being opened now."""
        with self._lock:
            self._retired = True
            return self.opening

    def close(self) -> bool:
        """Close, and return whether the hardware reads closed.

        Raises
        ------
        ShutterStuck
            It did not close.
        """
        with self._lock:
            self._last_close = self._clock.monotonic()
            self._closings += 1
            if self._opening is not None:
                self._overtaken = True
                self._opening.set()
        try:
            return self._close()
        finally:
            with self._lock:
                self._closings -= 1

    def stays_open(self) -> None:
        """Nothing wants it closed now: what went wrong with closing it before is over."""
        with self._lock:
            if not self._closings:
                self._guard.done()

    def _close(self) -> bool:
        in_the_way = self._guard.clear_way()
        if in_the_way:
            self._events.record(
                "problem",
                f"The shutter closes over a mount that does not park: {in_the_way}",
                level="warning" if self._told else "error",
                code=ShutterStuck.code,
            )
            self._told = True
        try:
            self._hardware.close_shutter(self._timeout_s, self._guard.clear_way)
        except DeviceError as error:
            raise ShutterStuck(f"The shutter did not close: {error.message}") from error
        finally:
            reading = self._reader.refresh()
        if reading.closed:
            self._guard.done()
            self._told = False
        return reading.closed

    def _refuse_in_the_dark(self) -> None:
        """Refuse to open what is not known to be closed or open, or has the mount in its way."""
        reading = self._reader.latest()
        if reading.lost:
            raise DomeError(
                "It is not known where the shutter is: the dome closes first, to find out."
            )
        trouble = self._guard.trouble()
        if trouble and not (reading.state and reading.state.shutter == "open"):
            raise DomeUnsafe(f"The dome stays closed: {trouble}.")

    def _close_after_all(self) -> None:
        """Close again if a close came between: its command may have gone out before ours."""
        with self._lock:
            overtaken = self._overtaken
        if overtaken:
            try:
                self._hardware.close_shutter(self._timeout_s, self._guard.clear_way)
            except DeviceError as error:
                raise ShutterStuck(f"The shutter did not close: {error.message}") from error
