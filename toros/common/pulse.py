"""Signs of life: which threads of a daemon make progress, and which hang."""

from __future__ import annotations

import math
import threading
import time


class Pulse:
    """The signs of life of one thread.

    Parameters
    ----------
    name : str
        What hangs when the signs stop.
    patience_s : float, optional
        How long it may be silent, in machine seconds. None: for ever.
    """

    def __init__(self, name: str, patience_s: float | None) -> None:
        self.name = name
        self._patience_s = math.inf if patience_s is None else patience_s
        self._expected = math.inf  # nothing is expected of what has not begun

    def beat(self, idle_s: float | None = 0.0) -> None:
        """Show that the thread is alive, and will be heard again after `idle_s`; None: whenever."""
        idle = math.inf if idle_s is None else max(idle_s, 0.0)
        self._expected = time.monotonic() + idle + self._patience_s

    def rest(self) -> None:
        """Begin something that may last as long as it likes: an exposure, a reduction."""
        self._expected = math.inf

    @property
    def late_s(self) -> float:
        """By how many machine seconds the next sign of life is overdue; 0 when it is not."""
        return max(time.monotonic() - self._expected, 0.0)


class PulsingEvent(threading.Event):
    """A loop's stop event which is its heart as well: each look at it is a sign of life.

    A loop that waits on it is alive however long it waits; one that does not come back to it is
    not. So every loop that obeys its stop event is watched, without another word.
    """

    def __init__(self, pulse: Pulse) -> None:
        super().__init__()
        self._pulse = pulse

    def is_set(self) -> bool:
        """Return whether the loop shall end."""
        self._pulse.beat()
        return super().is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait at most `timeout` machine seconds for the end; return whether it has come."""
        self._pulse.beat(timeout)
        try:
            return super().wait(timeout)
        finally:
            self._pulse.beat()


def hanging(pulses: list[Pulse]) -> list[str]:
    """Return what hangs, each with how long it is overdue."""
    late = ((pulse.name, pulse.late_s) for pulse in pulses)
    return [f"{name} (overdue by {seconds:.0f} s)" for name, seconds in late if seconds > 0]
