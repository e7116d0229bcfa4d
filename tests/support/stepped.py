"""Time that stands still until somebody waits: hours of a dome's life in a second, and twice alike.

Whoever waits on a `SteppedClock` moves it on, and what else goes on meanwhile (the loops of a
daemon, the weather) is done at its moment by whoever waits. So one thread plays them all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from toros.common.clock import Clock


@dataclass
class Regular:
    """Something done again and again."""

    every_s: float
    work: Callable[[], object]
    due: float
    running: bool = False


class SteppedClock(Clock):
    """A clock that only waiting moves on."""

    def __init__(self, start: float) -> None:
        super().__init__(start, 0.0, 1.0)
        object.__setattr__(self, "_time", start)
        object.__setattr__(self, "agenda", [])

    _time: float
    agenda: list[Regular]

    def unix(self) -> float:
        return self._time

    def monotonic(self) -> float:
        return self._time

    def sleep(self, seconds: float) -> None:
        self.wait(threading.Event(), seconds)

    def skip(self, seconds: float) -> None:
        """Move on, and do nothing that is due meanwhile."""
        object.__setattr__(self, "_time", self._time + seconds)

    def regularly(self, every_s: float, work: Callable[[], object]) -> Regular:
        regular = Regular(every_s, work, self._time)
        self.agenda.append(regular)
        return regular

    def at(self, after_s: float, work: Callable[[], object]) -> None:
        """Do something once."""
        self.agenda.append(Regular(float("inf"), work, self._time + after_s))

    def wait(self, event: threading.Event, seconds: float) -> bool:
        end = self._time + max(seconds, 0.0)
        while not event.is_set():
            ready = [each for each in self.agenda if not each.running and each.due <= end]
            if not ready:
                object.__setattr__(self, "_time", max(self._time, end))
                break
            self._do(min(ready, key=lambda each: each.due))
        return event.is_set()

    def _do(self, regular: Regular) -> None:
        object.__setattr__(self, "_time", max(self._time, regular.due))
        regular.running = True
        try:
            regular.work()
        finally:
            regular.running = False
            regular.due = self._time + regular.every_s


class SetClock(Clock):
    """A machine's reading of a stepped clock: its time of day can be set, as NTP does."""

    def __init__(self, true: SteppedClock) -> None:
        super().__init__()
        object.__setattr__(self, "_true", true)
        object.__setattr__(self, "_ahead_s", 0.0)

    _true: SteppedClock
    _ahead_s: float

    def set_on(self, seconds: float) -> None:
        """Set the time of day on, or back."""
        object.__setattr__(self, "_ahead_s", self._ahead_s + seconds)

    def unix(self) -> float:
        return self._true.unix() + self._ahead_s

    def monotonic(self) -> float:
        return self._true.monotonic()

    def sleep(self, seconds: float) -> None:
        self._true.sleep(seconds)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return self._true.wait(event, seconds)
