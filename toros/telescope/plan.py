"""Tonight's plan: which target when, and why each other target is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

import numpy as np

from toros.common.clock import iso
from toros.common.config.telescope import TelescopeSettings
from toros.common.work_order import Json
from toros.sky.night import local_mean_noon
from toros.sky.site import Site
from toros.telescope.scheduler import (
    Bools,
    Floats,
    PlanTarget,
    Visibility,
    merit,
    order_of_choice,
    possible_starts,
    steps_of,
    visibility,
    why_not,
)

DAY_S = 86400.0
SUN_STEP_S = 60.0
MAX_CELLS = 2_000_000  # of targets × times: the grid grows coarser for very long lists
FINEST_STEP_S, COARSEST_STEP_S = 30.0, 300.0


@dataclass(frozen=True, kw_only=True)
class Block:
    """One target in the plan, from the slew to the last frame's read-out."""

    target: PlanTarget
    start: datetime
    end: datetime
    airmass_start: float
    airmass_end: float

    def as_json(self) -> dict[str, Json]:
        """Return the block as CONTRACT gives it."""
        return {
            "target": self.target.name,
            "start": iso(self.start),
            "end": iso(self.end),
            "ra": self.target.ra_deg,
            "dec": self.target.dec_deg,
            "filter": self.target.filter,
            "exptime": self.target.exptime_s,
            "count": self.target.count,
            "airmass_start": round(self.airmass_start, 3),
            "airmass_end": round(self.airmass_end, 3),
        }


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A target that the plan has no place for, and why."""

    target: PlanTarget
    reason: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A plan of one night.

    Attributes
    ----------
    blocks : tuple of Block
        In order of time; they do not overlap.
    left_out : tuple of LeftOut
    score : float
        Σ merit · minutes over the blocks.
    """

    site: Site
    night: date
    blocks: tuple[Block, ...]
    left_out: tuple[LeftOut, ...]
    score: float

    def as_json(self) -> dict[str, Json]:
        """Return the plan as CONTRACT gives it."""
        return {
            "night": self.night.isoformat(),
            "site": {
                "name": self.site.name,
                "latitude": self.site.latitude_deg,
                "longitude": self.site.longitude_deg,
                "elevation": self.site.elevation_m,
            },
            "blocks": [block.as_json() for block in self.blocks],
            "left_out": [
                {"target": left.target.name, "reason": left.reason} for left in self.left_out
            ],
            "score": round(self.score, 3),
        }


def block_s(target: PlanTarget, settings: TelescopeSettings) -> float:
    """Return how long the block of `target` lasts, in seconds, overheads included."""
    return settings.overhead_s + target.count * (target.exptime_s + settings.frame_overhead_s)


def make_plan(
    site: Site,
    night: date,
    targets: Sequence[PlanTarget],
    settings: TelescopeSettings,
    *,
    after: datetime | None = None,
) -> Plan:
    """Return a plan of `night` for `targets`.

    The best target (by priority, then weight, then what sets soonest) gets the earliest place in
    which its block fits, with every constraint met from its start to its end; then the next best
    the earliest that is left, and so on.

    Parameters
    ----------
    site : Site
    night : datetime.date
        The night that begins at this date's local mean noon.
    targets : sequence of PlanTarget
    settings : TelescopeSettings
        Limits and overheads.
    after : datetime, optional
        Plan only what is left of the night from then on.
    """
    times = dark_times(site, night, settings.limits.max_sun_altitude_deg, after)
    if times is None:
        why = "nothing is left of the dark hours" if after else "it does not grow dark this night"
        reason = f"{why}: the Sun stays above {settings.limits.max_sun_altitude_deg:g}°"
        left = tuple(LeftOut(target=target, reason=reason) for target in targets)
        return Plan(site=site, night=night, blocks=(), left_out=left, score=0.0)
    usable = [replace(target, filter=target.filter or settings.filter) for target in targets]
    grid = _grid(*times, len(usable))
    seen = visibility(site, grid, usable, settings.limits)
    blocks, left_out = _insert(seen, usable, settings)
    merits = merit(usable)
    minutes = {id(block.target): (block.end - block.start).total_seconds() / 60 for block in blocks}
    score = sum(merits[i] * minutes.get(id(target), 0.0) for i, target in enumerate(usable))
    return Plan(
        site=site, night=night, blocks=tuple(blocks), left_out=tuple(left_out), score=float(score)
    )


def dark_times(
    site: Site, night: date, max_sun_altitude_deg: float, after: datetime | None = None
) -> tuple[float, float] | None:
    """Return when (unix seconds) the Sun is first and last low enough in `night`, from `after` on.

    None when it is not low enough at any time that is left.
    """
    from toros.sky.visibility import sun_altitude

    start = local_mean_noon(site, night).timestamp()
    times = np.arange(start, start + DAY_S, SUN_STEP_S)
    low = times[sun_altitude(site, times) <= max_sun_altitude_deg]
    if low.size == 0:
        return None
    first, last = float(low[0]), float(low[-1])
    if after is not None:
        first = max(first, after.timestamp())
    return (first, last) if first < last else None


def _grid(first: float, last: float, targets: int) -> Floats:
    """Return the times of the night's grid; the first is exact, so that a block can begin now."""
    step = np.clip((last - first) * targets / MAX_CELLS, FINEST_STEP_S, COARSEST_STEP_S)
    return np.arange(first, last + 1e-3, step)


def _insert(
    seen: Visibility, targets: Sequence[PlanTarget], settings: TelescopeSettings
) -> tuple[list[Block], list[LeftOut]]:
    """Give each target, best first, the earliest free place; return blocks in order of time."""
    total = seen.unix.size
    step = float(seen.unix[1] - seen.unix[0]) if total > 1 else FINEST_STEP_S
    steps = steps_of(np.array([block_s(target, settings) for target in targets]), step)
    starts = possible_starts(seen.observable, steps)
    # The last block of a night is cut off by the Sun, so the grid has no cell after `total - 1`.
    busy = np.zeros(total, dtype=np.bool_)
    blocks: list[Block] = []
    left_out: list[LeftOut] = []
    for index in order_of_choice(targets, starts):
        target = targets[index]
        length = int(steps[index])
        place = _first_free(starts[index], busy, length)
        if place is not None:
            busy[place : place + length] = True
            blocks.append(_block(seen, int(index), target, place, place + length))
        elif starts[index].any():
            left_out.append(LeftOut(target=target, reason="better targets take all of its time"))
        else:
            reason = why_not(seen, int(index), target, settings.limits)
            left_out.append(LeftOut(target=target, reason=reason))
    blocks.sort(key=lambda block: block.start)
    return blocks, left_out


def _first_free(starts: Bools, busy: Bools, length: int) -> int | None:
    """Return the first start of a block of `length` steps that meets no busy one."""
    free = possible_starts(~busy[np.newaxis], np.array([max(length - 1, 0)]))[0]
    places = np.flatnonzero(starts & free)
    return int(places[0]) if places.size else None


def _block(seen: Visibility, index: int, target: PlanTarget, first: int, last: int) -> Block:
    return Block(
        target=target,
        start=datetime.fromtimestamp(float(seen.unix[first]), UTC),
        end=datetime.fromtimestamp(float(seen.unix[last]), UTC),
        airmass_start=float(seen.airmass[index, first]),
        airmass_end=float(seen.airmass[index, last]),
    )
