"""The one clock. Nothing else in TOROS asks the machine what time it is.

A clock maps the machine's time to the observatory's: ``now = start + rate × (machine − anchor)``.
The real clock is the identity. A simulated one starts on another date and runs faster, and every
process that is given the same three numbers agrees on the time to the microsecond.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


def _machine_unix() -> float:
    return time.time()  # noqa: TID251 - the one place


@dataclass(frozen=True)
class Clock:
    """The observatory's time.

    Parameters
    ----------
    start : float
        Observatory time, in unix seconds, at the moment `anchor`.
    anchor : float
        Machine time, in unix seconds, at which the observatory's clock read `start`.
    rate : float
        Observatory seconds per machine second.
    """

    start: float = 0.0
    anchor: float = 0.0
    rate: float = 1.0

    @classmethod
    def simulated(cls, start: datetime, rate: float) -> Clock:
        """Return a clock that reads `start` now and runs `rate` times as fast as the machine's."""
        return cls(start=start.timestamp(), anchor=_machine_unix(), rate=rate)

    def unix(self) -> float:
        """Return the time in unix seconds."""
        return self.start + (_machine_unix() - self.anchor) * self.rate

    def now(self) -> datetime:
        """Return the time as an aware UTC datetime."""
        return datetime.fromtimestamp(self.unix(), UTC)

    def monotonic(self) -> float:
        """Return observatory seconds since some moment, which no setting of the time turns back.

        Ages and limits are measured by it: were the machine's time set back by an hour, an answer
        would else be fresh for an hour.
        """
        return time.monotonic() * self.rate

    def machine_seconds(self, seconds: float) -> float:
        """Return how long `seconds` of observatory time last on the machine."""
        return seconds / self.rate

    def sleep(self, seconds: float) -> None:
        """Sleep for `seconds` of observatory time."""
        if seconds > 0:
            time.sleep(self.machine_seconds(seconds))  # noqa: TID251 - the one place

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait at most `seconds` of observatory time for `event`; return whether it is set."""
        return event.wait(self.machine_seconds(max(seconds, 0.0)))

    def shifted(self, delta: timedelta) -> Clock:
        """Return this clock moved on by `delta`."""
        return Clock(self.start + delta.total_seconds(), self.anchor, self.rate)


def iso(moment: datetime) -> str:
    """Return `moment` as ISO 8601 in UTC with milliseconds and a trailing ``Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
