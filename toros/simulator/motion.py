"""Motion as a function of time.

Nothing in the simulator moves by a thread: a command appends a segment to a timeline, and where a
device is follows from the segment in force at the asked time. So every device works at any rate of
the clock, and a camera can ask where the telescope pointed while it exposed.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import Generic, TypeVar

SegmentT = TypeVar("SegmentT")

KEPT = 500


class Timeline(Generic[SegmentT]):
    """What was commanded, and when.

    Parameters
    ----------
    first : SegmentT
        The segment in force before any command.
    """

    def __init__(self, first: SegmentT) -> None:
        self._starts: list[float] = [float("-inf")]
        self._segments: list[SegmentT] = [first]

    def at(self, unix: float) -> SegmentT:
        """Return the segment in force at `unix`."""
        return self._segments[max(bisect.bisect_right(self._starts, unix) - 1, 0)]

    def command(self, unix: float, segment: SegmentT) -> None:
        """Let `segment` begin at `unix`; what was planned to begin later is forgotten."""
        keep = bisect.bisect_right(self._starts, unix)
        first = max(keep - KEPT, 0)
        self._starts[:] = [*self._starts[first:keep], unix]
        self._segments[:] = [*self._segments[first:keep], segment]

    def then(self, unix: float, segment: SegmentT) -> None:
        """Plan `segment` for `unix`, after everything already planned."""
        self._starts.append(max(unix, self._starts[-1]))
        self._segments.append(segment)


@dataclass(frozen=True)
class Ramp:
    """A quantity that goes from one value to another at a constant rate.

    Parameters
    ----------
    start_unix : float
        When it begins to move.
    first, last : float
        The values at both ends.
    rate : float
        Units per second, positive.
    purpose : str
        What the move is for, such as ``"park"``.
    """

    start_unix: float
    first: float
    last: float
    rate: float
    purpose: str = ""

    @classmethod
    def still(cls, value: float, purpose: str = "") -> Ramp:
        """Return a ramp that rests at `value`."""
        return cls(0.0, value, value, 1.0, purpose)

    @property
    def end_unix(self) -> float:
        """When it arrives, unix seconds."""
        return self.start_unix + abs(self.last - self.first) / self.rate

    def value(self, unix: float) -> float:
        """Return the value at `unix`."""
        if unix >= self.end_unix:
            return self.last
        gone = max(unix - self.start_unix, 0.0) * self.rate
        return self.first + (gone if self.last > self.first else -gone)

    def moving(self, unix: float) -> bool:
        """Return whether it has not arrived at `unix`."""
        return unix < self.end_unix


def shortest_turn(first_deg: float, last_deg: float) -> float:
    """Return the signed turn from one azimuth to another, in (-180, 180] degrees."""
    turn = (last_deg - first_deg) % 360.0
    return turn - 360.0 if turn > 180.0 else turn
