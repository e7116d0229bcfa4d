"""What the dome's hardware read last. Whoever asks gets an answer, though a device hangs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from toros.alpaca import DomeState
from toros.common.clock import Clock
from toros.common.errors import TorosError
from toros.common.workers import run_guarded

log = logging.getLogger(__name__)

# Machine seconds.
FRESH_S = 0.5
PATIENCE_S = 2.0
SLOW_S = 10.0


@dataclass(frozen=True)
class Reading:
    """One reading: `state` is None if the hardware could not be read, `trouble` then says why."""

    state: DomeState | None
    trouble: str
    taken: float  # observatory seconds, by the clock that is never turned back

    @property
    def closed(self) -> bool:
        """Whether the shutter is known to be closed."""
        return self.state is not None and self.state.shutter == "closed"

    @property
    def lost(self) -> bool:
        """Whether the hardware answers, and does not know where its shutter is."""
        return self.state is not None and self.state.shutter in ("unknown", "error")


class Reader:
    """Reads the hardware in a thread of its own, now and then and when asked to.

    Parameters
    ----------
    read : callable
        Reads the hardware; may hang for the time-outs of its device.
    clock : Clock
        The observatory's clock.
    pause_s : float
        Seconds between two readings when nobody asks.
    """

    def __init__(self, read: Callable[[], DomeState], clock: Clock, pause_s: float) -> None:
        self._read = read
        self._clock = clock
        self._pause_s = pause_s
        self._changed = threading.Condition()
        self._wanted = False
        self._good: float | None = None
        self._maybe_open = False
        self._last = Reading(None, "the dome was not read yet", float("-inf"))

    @property
    def ever_read(self) -> bool:
        """Whether the hardware was read at all."""
        return self._good is not None

    @property
    def maybe_open(self) -> bool:
        """Whether the hardware was not closed when it last could be read; False if it never was."""
        return self._maybe_open

    @property
    def age_s(self) -> float | None:
        """How long ago the hardware was last read, seconds; None if never."""
        good = self._good
        return None if good is None else self._clock.monotonic() - good

    @property
    def trouble(self) -> str:
        """What the last attempt failed of; empty if it did not."""
        return self._last.trouble

    def run(self, stop: threading.Event) -> None:
        """Read until `stop` is set: a module's loop."""
        while not stop.is_set():
            self.refresh()
            with self._changed:
                self._changed.wait_for(
                    lambda: self._wanted or stop.is_set(),
                    self._clock.machine_seconds(self._pause_s),
                )
                self._wanted = False

    def refresh(self) -> Reading:
        """Read the hardware now, here."""
        asked = self._clock.monotonic()
        try:
            reading = Reading(run_guarded("Reading the dome", self._read), "", asked)
        except TorosError as error:
            reading = Reading(None, error.message, asked)
        with self._changed:
            if (reading.state is None) != (self._last.state is None):
                log.log(
                    logging.INFO if reading.state else logging.WARNING,
                    "The dome %s",
                    "can be read." if reading.state else f"cannot be read: {reading.trouble}",
                )
            # Two threads may read at once: the later question has the newer truth.
            if asked >= self._last.taken:
                self._last = reading
            if reading.state is not None and (self._good is None or asked >= self._good):
                self._good = asked
                self._maybe_open = not reading.closed
            self._changed.notify_all()
            return reading

    def latest(self, max_age_s: float = FRESH_S, patience_s: float = PATIENCE_S) -> Reading:
        """Return a reading no older than `max_age_s`, waiting for one at most `patience_s`.

        Both are machine seconds. When the device hangs, the answer is that nothing is known.
        """
        since = self._clock.monotonic() - max_age_s * self._clock.rate
        with self._changed:
            if self._last.taken < since:
                self._wanted = True
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._last.taken >= since, patience_s)
            if self._last.taken >= since:
                return self._last
        return Reading(None, "the dome does not answer", self._clock.monotonic())

    def recent(self, max_age_s: float = SLOW_S) -> Reading | None:
        """Return the last reading if it was asked for lately: all that a slow dome ever gives."""
        last = self._last
        since = self._clock.monotonic() - max_age_s * self._clock.rate
        return last if last.state is not None and last.taken >= since else None
