"""What a simulated night was spent on, from what was ordered, recorded and seen. Pure.

A night's dark time falls into

- *excused*: it was unsafe, a device was made to fail or the daemon was dead, and then the time that
  the configuration asks for before a night resumes. The rest is *usable*;
- *exposing*: frames that were kept;
- *moving*: gaps between two frames that are no longer than slew, settling and read-out may take;
- *lost*: all other gaps; *explained* where the night's log says why nothing is exposed.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise

Span = tuple[float, float]

# Between two frames of one target, and of two: what read-out, and what a slew with the dome's
# turn may take on a fast clock and a busy machine.
READ_OUT_GAP_S, SLEW_GAP_S = 60.0, 180.0
RETRY_S = 120.0  # after a fault has gone: the longest pause before it is tried again
NEAR_S = 5.0
# Events that say why nothing is exposed. That an observation was done explains nothing.
EXPLAINING = ("state", "problem", "focus", "flats", "recovered", "meridian", "dome", "alert")


@dataclass
class Record:
    """One night as it went; times are unix seconds of the observatory's clock.

    Attributes
    ----------
    lights : list of (start, length, target)
    told : list of (time, kind, message)
        The night's log.
    open_s : list of float
        Of each unsafe spell: how long the dome was open after its begin, by the simulator's truth.
    shadowed, unwitnessed : int
        Counted lights with the dome in the beam, and lights of which the truth was not seen.
    """

    day: str
    rate: float
    dark: Span
    resume_s: float
    silence_s: float
    lights: list[tuple[float, float, str]] = field(default_factory=list)
    told: list[tuple[float, str, str]] = field(default_factory=list)
    unsafe: list[Span] = field(default_factory=list)
    faults: list[Span] = field(default_factory=list)
    deaths: list[Span] = field(default_factory=list)
    alerts: list[float] = field(default_factory=list)
    open_s: list[float] = field(default_factory=list)
    shadowed: int = 0
    unwitnessed: int = 0


@dataclass
class Figures:
    """One night: seconds, except counts."""

    dark_s: float = 0.0
    usable_s: float = 0.0
    exposing_s: float = 0.0
    moving_s: float = 0.0
    explained_s: float = 0.0
    unexplained_s: float = 0.0
    causes: dict[str, float] = field(default_factory=dict)
    lost: list[Span] = field(default_factory=list)

    @property
    def used(self) -> float:
        """The share of the usable time that was spent exposing or moving."""
        return (self.exposing_s + self.moving_s) / self.usable_s if self.usable_s else 0.0


def excused(record: Record) -> list[Span]:
    """Return the spans of a night in which nothing could be observed, without overlaps."""
    again_s = record.resume_s + RETRY_S
    spans = [(a, b + again_s) for a, b in (*record.unsafe, *record.faults)]
    for begin, end in record.deaths:
        # The dome closes over a telescope that is silent for too long, and the night then holds.
        held = end - begin > record.silence_s
        spans.append((begin, end + (again_s if held else RETRY_S)))
    return merged(spans, record.dark)


def figures(record: Record) -> Figures:
    """Return what a night was spent on."""
    away, dark = excused(record), record.dark
    made = Figures(dark_s=dark[1] - dark[0])
    made.usable_s = made.dark_s - sum(b - a for a, b in away)
    frames = [(start, start + length, name) for start, length, name in sorted(record.lights)]
    made.exposing_s = sum(outside((a, b), away, dark) for a, b, _ in frames)
    edges = [(dark[0], dark[0], ""), *frames, (dark[1], dark[1], "")]
    causes: defaultdict[str, float] = defaultdict(float)
    for (_, before, last), (after, _, following) in pairwise(edges):
        left_s = outside((before, after), away, dark)
        if after - before <= (READ_OUT_GAP_S if last == following else SLEW_GAP_S):
            made.moving_s += left_s
            continue
        if left_s <= 0.0:
            continue
        why = reason(record.told, (before, after))
        causes[why or "unexplained"] += left_s
        made.lost.append((before, after))
        if why:
            made.explained_s += left_s
        else:
            made.unexplained_s += left_s
    made.causes = dict(causes)
    return made


def reason(told: Sequence[tuple[float, str, str]], gap: Span) -> str:
    """Return which kind of event explains a gap; empty if none does."""
    for moment, kind, message in told:
        if not gap[0] - NEAR_S <= moment <= gap[1] + NEAR_S:
            continue
        if kind == "observation" and ": done" not in message:
            return "an exposure was ended"
        if kind in EXPLAINING:
            return kind
    return ""


def merged(spans: Sequence[Span], within: Span) -> list[Span]:
    """Return spans cut to `within`, in order, those that touch made one."""
    made: list[Span] = []
    for begin, end in sorted((max(a, within[0]), min(b, within[1])) for a, b in spans):
        if begin >= end:
            continue
        if made and begin <= made[-1][1]:
            made[-1] = (made[-1][0], max(made[-1][1], end))
        else:
            made.append((begin, end))
    return made


def outside(piece: Span, excused: Sequence[Span], within: Span) -> float:
    """Return how much of a span lies in the night and in none of the excused spans."""
    begin, end = max(piece[0], within[0]), min(piece[1], within[1])
    if end <= begin:
        return 0.0
    overlap = sum(max(min(end, b) - max(begin, a), 0.0) for a, b in excused)
    return end - begin - overlap


def summary(records: Sequence[Record], reaction_s: float) -> str:
    """Return the figures of all nights, in words."""
    each = [figures(record) for record in records]
    total = {
        key: sum(getattr(one, key) for one in each)
        for key in asdict(Figures())
        if key.endswith("_s")
    }
    usable = total["usable_s"]
    used = (total["exposing_s"] + total["moving_s"]) / usable
    shares = [one.used for one in each if one.usable_s > 1800]
    causes: defaultdict[str, float] = defaultdict(float)
    for one in each:
        for why, seconds in one.causes.items():
            causes[why] += seconds
    longest = max((s for record in records for s in record.open_s), default=0.0)
    rate = max(record.rate for record in records)
    lines = [
        f"{len(records)} nights at {rate:g} x; {sum(len(r.lights) for r in records)} lights",
        f"unsafe spells {sum(len(r.unsafe) for r in records)}, "
        f"faults of devices {sum(len(r.faults) for r in records)}, "
        f"alerts {sum(len(r.alerts) for r in records)}, "
        f"deaths of the daemon {sum(len(r.deaths) for r in records)}",
        f"dark {total['dark_s'] / 3600:.1f} h, usable {usable / 3600:.1f} h",
        f"exposing {total['exposing_s'] / usable:.1%} of usable, slewing and read-out "
        f"{total['moving_s'] / usable:.1%}: together {used:.1%} "
        f"(worst night {min(shares, default=0.0):.1%}, "
        f"median {statistics.median(shares) if shares else 0.0:.1%})",
        f"lost: explained by the log {total['explained_s'] / usable:.2%}, "
        f"unexplained {total['unexplained_s'] / usable:.2%}",
        *(
            f"  {why}: {seconds / usable:.2%}"
            for why, seconds in sorted(causes.items(), key=lambda item: -item[1])
        ),
        f"longest time open after it became unsafe: {longest:.0f} s; "
        f"beyond the reaction of {reaction_s:g} s: {max(longest - reaction_s, 0.0):.1f} s of the "
        f"observatory, {max(longest - reaction_s, 0.0) / rate:.2f} s of the machine",
        f"counted lights with the dome in the beam: {sum(r.shadowed for r in records)} "
        f"(not witnessed: {sum(r.unwitnessed for r in records)})",
    ]
    return "\n".join(lines)
