"""What the dome's hardware read last. Whoever asks gets an answer, though a device hangs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from toros.alpaca import DomeState
from toros.common.errors import DeviceError

log = logging.getLogger(__name__)

# Machine seconds.
FRESH_S = 0.5
PATIENCE_S = 2.0


@dataclass(frozen=True)
class Reading:
    """One reading: `state` is None if the hardware could not be read, `trouble` then says why."""

    state: DomeState | None
    trouble: str
    taken: float  # machine, monotonic

    @property
    def closed(self) -> bool:
        """Whether the shutter is known to be closed."""
        return self.state is not None and self.state.shutter == "closed"


class Reader:
    """Reads the hardware in a thread of its own, now and then and when asked to.

    Parameters
    ----------
    read : callable
        Reads the hardware; may hang for the time-outs of its device.
    pause_s : float
        Machine seconds between two readings when nobody asks.
    """

    def __init__(self, read: Callable[[], DomeState], pause_s: float) -> None:
        self._read = read
        self._pause_s = pause_s
        self._changed = threading.Condition()
        self._wanted = False
        self._ever_read = False
        self._last = Reading(None, "the dome was not read yet", float("-inf"))

    @property
    def ever_read(self) -> bool:
        """Whether the hardware was read at all."""
        return self._ever_read

    def run(self, stop: threading.Event) -> None:
        """Read until `stop` is set: a module's loop."""
        while not stop.is_set():
            self.refresh()
            with self._changed:
                self._changed.wait_for(lambda: self._wanted or stop.is_set(), self._pause_s)
                self._wanted = False

    def refresh(self) -> Reading:
        """Read the hardware now, here."""
        asked = time.monotonic()
        try:
            reading = Reading(self._read(), "", asked)
        except DeviceError as error:
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
            self._ever_read = self._ever_read or reading.state is not None
            self._changed.notify_all()
            return reading

    def latest(self, max_age_s: float = FRESH_S, patience_s: float = PATIENCE_S) -> Reading:
        """Return a reading no older than `max_age_s`, waiting for one at most `patience_s`.

        When the device hangs, the answer is that nothing is known.
        """
        since = time.monotonic() - max_age_s
        with self._changed:
            if self._last.taken < since:
                self._wanted = True
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._last.taken >= since, patience_s)
            if self._last.taken >= since:
                return self._last
        return Reading(None, "the dome does not answer", time.monotonic())
