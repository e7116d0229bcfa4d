"""Motion as a function of time.

Nothing in the simulator moves by a thread: a command appends a segment to a timeline, and where a
device is follows from the segment in force at the asked time. So every device works at any rate of
the clock, and a camera can ask where the telescope pointed while it exposed.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass, replace
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
    stalled : bool
        Whether the part is stuck: the motor runs for as long as the move would take, and nothing
        moves.
    """

    start_unix: float
    first: float
    last: float
    rate: float
    purpose: str = ""
    stalled: bool = False

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
        if self.stalled:
            return self.first
        if unix >= self.end_unix:
            return self.last
        gone = max(unix - self.start_unix, 0.0) * self.rate
        return self.first + (gone if self.last > self.first else -gone)

    def moving(self, unix: float) -> bool:
        """Return whether it has not arrived at `unix`."""
        return unix < self.end_unix


class Part:
    """One moving part: where it is, and what is wrong with it.

    Parameters
    ----------
    value : float
        Where it rests at first.
    purpose : str
        What brought it there.
    """

    def __init__(self, value: float, purpose: str = "") -> None:
        self._timeline = Timeline(Ramp.still(value, purpose))
        self.trouble = Trouble()

    def ramp(self, unix: float) -> Ramp:
        """Return the move in force at `unix`."""
        return self._timeline.at(unix)

    def value(self, unix: float) -> float:
        """Return where it is at `unix`."""
        return self._timeline.at(unix).value(unix)

    def moving(self, unix: float) -> bool:
        """Return whether its motor runs at `unix`."""
        return self._timeline.at(unix).moving(unix)

    def move(self, unix: float, goal: float, rate: float, purpose: str = "") -> None:
        """Begin a move to `goal`."""
        stalled = self.trouble.stuck(unix)
        here = self.value(unix)
        self._timeline.command(unix, Ramp(unix, here, goal, rate, purpose, stalled))

    def rest(self, unix: float, value: float | None = None, purpose: str = "") -> None:
        """Stop where it is, or be at `value`."""
        here = self.value(unix) if value is None else value
        self._timeline.command(unix, Ramp.still(here, purpose))

    def jam(self, unix: float, until: float) -> None:
        """Let it be stuck from now until then; a moment that is past lets it go, at rest."""
        self.trouble.stuck_until = until
        ramp = self.ramp(unix)
        if until <= unix:
            if ramp.stalled:
                self.rest(unix)
        elif ramp.moving(unix):
            here = ramp.value(unix)
            self._timeline.command(unix, replace(ramp, start_unix=unix, first=here, stalled=True))


@dataclass
class Trouble:
    """What is wrong with a moving part.

    Parameters
    ----------
    stuck_until : float
        Until when it does not move.
    slips : float
        How far beyond its goal each move carries it, unknown to its controller; in its own unit.
    slips_until : float
        Until when.
    """

    stuck_until: float = float("-inf")
    slips: float = 0.0
    slips_until: float = float("-inf")

    def slip_from_now(self, amount: float, until: float) -> None:
        """Let each move go wrong by `amount` until then."""
        self.slips, self.slips_until = amount, until

    def stuck(self, unix: float) -> bool:
        """Return whether the part is stuck at `unix`."""
        return unix < self.stuck_until

    def slip(self, unix: float) -> float:
        """Return by how much a move that begins at `unix` goes wrong."""
        return self.slips if unix < self.slips_until else 0.0


def shortest_turn(first_deg: float, last_deg: float) -> float:
    """Return the signed turn from one azimuth to another, in (-180, 180] degrees."""
    turn = (last_deg - first_deg) % 360.0
    return turn - 360.0 if turn > 180.0 else turn
