"""The end of the module: nobody would watch an open dome, so it closes."""

from __future__ import annotations

import threading

from toros.common.clock import Clock
from toros.common.config.dome import DomeSettings
from toros.common.errors import ShutterStuck
from toros.dome.events import EventBook
from toros.dome.pace import pause_s
from toros.dome.reading import Reader
from toros.dome.shutter import Shutter

# Observatory seconds between two attempts: there is not time enough for the pause of the watch.
AGAIN_S = 5.0


class Leaving:
    """Closes the dome as soon as the module is told to stop, while its orders come to their ends.

    Parameters
    ----------
    settings : DomeSettings
        Whether to close, and how long that may take.
    clock : Clock
        The observatory's clock.
    reader, shutter, events
        The parts of the module that it looks at, and acts by.
    """

    def __init__(
        self,
        settings: DomeSettings,
        clock: Clock,
        reader: Reader,
        shutter: Shutter,
        events: EventBook,
    ) -> None:
        self._wanted = settings.close_on_exit
        self._clock = clock
        self._reader = reader
        self._shutter = shutter
        self._events = events
        park_s = settings.mount_park_wait_s if settings.shutter_needs_parked_mount else 0.0
        self._limit_s = park_s + settings.shutter_timeout_s
        self._lock = threading.Lock()
        self._done = not self._wanted

    def run(self, stop: threading.Event) -> None:
        """Wait for `stop`, then close: a module's loop, so that it begins at once."""
        stop.wait()
        self.finish()

    def finish(self) -> None:
        """See that the dome is closed. A second caller waits for the first."""
        with self._lock:
            if not self._done:
                self._close()
                self._done = True

    def _close(self) -> None:
        """Close, again and again until the time is over; what it did is in the archive."""
        opening = self._shutter.retire()
        reading = self._reader.refresh()
        if reading.closed and not opening:
            return
        if reading.state is None and self._reader.ever_read and not self._reader.maybe_open:
            self._give_up(f"It cannot see whether it is closed: {reading.trouble}")
            return
        self._events.record("shutter", "The dome module stops, and closes the dome.")
        # What was never read may be open; but without hardware nobody waits for it.
        limit_s = self._limit_s if self._reader.ever_read else 0.0
        end = self._clock.monotonic() + limit_s
        while True:
            trouble = self._attempt()
            if not trouble or self._clock.monotonic() + AGAIN_S > end:
                break
            self._clock.wait(threading.Event(), pause_s(self._clock, AGAIN_S))
        if trouble:
            self._give_up(trouble)

    def _attempt(self) -> str:
        """Close once; return what went wrong, empty if nothing."""
        try:
            return "" if self._shutter.close() else "Its hardware does not read closed."
        except ShutterStuck as error:
            return error.message

    def _give_up(self, trouble: str) -> None:
        self._events.record(
            "problem",
            f"The dome module stops, and the dome is not known to be closed. {trouble}",
            level="error",
            code=ShutterStuck.code,
        )
