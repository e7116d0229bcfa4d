"""What a simulated night was spent on, from what was ordered, recorded and seen. Pure.

A night's dark time falls into

- *excused*: it was unsafe, a device was made to fail or the daemon was dead, and then the time that
  the configuration asks for before a night resumes. The rest is *usable*;
- *exposing*: frames that were kept;
- *moving*: from one frame to the next. What mount, dome and read-out need of it follows from where
  the two frames are; the rest is the machine's, which computes at its own pace while the clock runs
  many times as fast. It must be short, in seconds of the machine;
- *lost*: all other gaps; *explained* where the night's log says why nothing is exposed.

A fast clock makes each second of computing a minute. The share that was used is therefore given
twice: as the clock has it, and with the machine's seconds counted once, as on a real clock.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise

Span = tuple[float, float]
Frame = tuple[float, float, str, float, float]

# More of the machine's time than this between two frames is a loss. The shortest and the longest
# pause of the telescope's night are 0.05 and 1 s; a busy machine adds its own.
LONGEST_COMPUTING_S = 3.0
RETRY_S = 120.0  # after a fault has gone: the longest pause before it is tried again
NEAR_S = 5.0
# How an observation says that it lost a frame. That it is done, or that its target sets, explains
# nothing.
ENDED = ("not safe", "dropped for", ": again", ": failed", "meanwhile")
DAWN = "the Sun is above"
# Events that say why nothing is exposed.
EXPLAINING = (
    "state",
    "problem",
    "focus",
    "flats",
    "recovered",
    "meridian",
    "dome",
    "alert",
    "waiting",
)


@dataclass
class Record:
    """One night as it went; times are unix seconds of the observatory's clock.

    Attributes
    ----------
    pace : dict
        Of the simulator: mount and dome in degrees a second, settling and read-out in seconds.
    lights : list of (start, length, target, azimuth, altitude)
    told : list of (time, kind, message)
        The night's log.
    blind : list of (begin, end)
        Those of the faults in which the dome cannot say that it is safe.
    resume_device_s : float or None
        What is waited for after a fault in safe weather; None where it was `resume_s`.
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
    pace: dict[str, float]
    lights: list[Frame] = field(default_factory=list)
    told: list[tuple[float, str, str]] = field(default_factory=list)
    unsafe: list[Span] = field(default_factory=list)
    faults: list[Span] = field(default_factory=list)
    blind: list[Span] = field(default_factory=list)
    resume_device_s: float | None = None
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
    computing_s: float = 0.0
    explained_s: float = 0.0
    unexplained_s: float = 0.0
    causes: dict[str, float] = field(default_factory=dict)
    lost: list[Span] = field(default_factory=list)

    @property
    def used(self) -> float:
        """The share of the usable time spent exposing or moving, on the fast clock."""
        return (self.exposing_s + self.moving_s) / self.usable_s if self.usable_s else 0.0

    def used_at(self, rate: float) -> float:
        """The same with the machine's own seconds counted once, as on a real clock."""
        once_s = self.computing_s / rate
        total_s = self.usable_s - self.computing_s + once_s
        return (self.exposing_s + self.moving_s + once_s) / total_s if total_s else 0.0


def excused(record: Record) -> list[Span]:
    """Return the spans of a night in which nothing could be observed, without overlaps."""
    again_s, device_s = record.resume_s + RETRY_S, record.resume_device_s
    repaired_s = again_s if device_s is None else device_s + RETRY_S
    spans = [(a, b + again_s) for a, b in (*record.unsafe, *record.blind)]
    spans += [(a, b + repaired_s) for a, b in record.faults]
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
    frames = sorted(record.lights)
    made.exposing_s = sum(outside((a, a + length), away, dark) for a, length, *_ in frames)
    edges: list[Frame | None] = [None, *frames, None]
    causes: defaultdict[str, float] = defaultdict(float)
    for first, second in pairwise(edges):
        gap = (first[0] + first[1] if first else dark[0], second[0] if second else dark[1])
        left_s = outside(gap, away, dark)
        why = reason(record.told, gap)
        needed_s = min(motion_s(first, second, record.pace), left_s)
        if not why and (left_s - needed_s) / record.rate <= LONGEST_COMPUTING_S:
            made.moving_s += needed_s
            made.computing_s += left_s - needed_s
            continue
        if left_s <= 0.0:
            continue
        causes[why or "unexplained"] += left_s
        made.lost.append(gap)
        if why:
            made.explained_s += left_s
        else:
            made.unexplained_s += left_s
    made.causes = dict(causes)
    return made


def motion_s(first: Frame | None, second: Frame | None, pace: dict[str, float]) -> float:
    """Return how long mount, dome and read-out need between two frames."""
    if first is None or second is None:
        return 0.0
    azimuth = abs((second[3] - first[3] + 180.0) % 360.0 - 180.0)
    low, high = math.radians(first[4]), math.radians(second[4])
    cosine = math.sin(low) * math.sin(high)
    cosine += math.cos(low) * math.cos(high) * math.cos(math.radians(azimuth))
    angle = math.degrees(math.acos(min(max(cosine, -1.0), 1.0)))
    moved = first[2] != second[2]
    turning_s = max(angle / pace["mount"], azimuth / pace["dome"]) + pace["settle"] if moved else 0
    return pace["read_out"] + turning_s


def reason(told: Sequence[tuple[float, str, str]], gap: Span) -> str:
    """Return which kind of event explains a gap; empty if none does."""
    for moment, kind, message in told:
        if not gap[0] - NEAR_S <= moment <= gap[1] + NEAR_S:
            continue
        if kind == "observation" and any(words in message for words in ENDED):
            return "an exposure was dropped"
        if kind == "observation" and DAWN in message:
            return "less than a frame is left before dawn"
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
    once_s = total["computing_s"] / max(record.rate for record in records)
    real = total["exposing_s"] + total["moving_s"] + once_s
    real /= usable - total["computing_s"] + once_s
    pairs = zip(each, records, strict=True)
    shares = [one.used_at(record.rate) for one, record in pairs if one.usable_s > 1800]
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
        f"exposing {total['exposing_s'] / usable:.1%} of usable, moving "
        f"{total['moving_s'] / usable:.1%}, the machine's computing, {rate:g} times as long as on "
        f"a real clock, {total['computing_s'] / usable:.1%}",
        f"used: {used:.1%} on the fast clock; {real:.1%} with the machine's seconds counted once "
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
