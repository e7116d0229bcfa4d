"""Tonight's plan: which target when, and why each other target is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

import numpy as np
from numpy.typing import NDArray

from toros.common.clock import iso
from toros.common.config.telescope import TelescopeSettings
from toros.common.work_order import Json
from toros.sky.night import local_mean_noon
from toros.sky.site import Site
from toros.sky.visibility import sun_altitude
from toros.telescope.merits import Outlook, combined, value
from toros.telescope.packing import packed
from toros.telescope.problem import Pointing, Problem, Windows, transitions
from toros.telescope.scheduler import Floats, PlanTarget, Visibility, visibility, why_not
from toros.telescope.search import Line, best_order

BETTER = "better targets take all of its time"
DAY_S = 86400.0
SUN_STEP_S = 60.0
MAX_CELLS = 200_000  # of targets × times: the grid grows coarser for very long lists
FINEST_STEP_S, COARSEST_STEP_S = 60.0, 300.0
ALL_ARE_SEARCHED = 400  # of longer lists, only the best of each part of the night are searched


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
    here: Pointing | None = None,
    running: PlanTarget | None = None,
) -> Plan:
    """Return a plan of `night` for `targets`.

    Planning again is the same call with a later `after`.

    Parameters
    ----------
    site : Site
    night : datetime.date
        The night that begins at this date's local mean noon.
    targets : sequence of PlanTarget
    settings : TelescopeSettings
        Limits, overheads and merits.
    after : datetime, optional
        Plan only what is left of the night from then on.
    here : Pointing, optional
        Where the telescope is then: the first slew starts there.
    running : PlanTarget, optional
        One of `targets` that is being observed from `after` on, with the frames that are still to
        be taken: its block stands, and the others come after it.
    """
    times = dark_times(site, night, settings.limits.max_sun_altitude_deg, after)
    if times is None:
        why = "nothing is left of the dark hours" if after else "it does not grow dark this night"
        reason = f"{why}: the Sun stays above {settings.limits.max_sun_altitude_deg:g}°"
        left = tuple(LeftOut(target=target, reason=reason) for target in targets)
        return Plan(site=site, night=night, blocks=(), left_out=left, score=0.0)
    usable = [
        target if target.filter else replace(target, filter=settings.filter) for target in targets
    ]
    frozen = None
    if running is not None:
        frozen = _frozen(site, running, times[0], settings)
        usable = [target for target in usable if target.key != running.key]
        here = Pointing(running.ra_deg, running.dec_deg, running.filter or settings.filter)
        times = (min(frozen.end.timestamp(), times[1] - 1.0), times[1])
    blocks, left_out, score = _fill_night(site, times, usable, here or Pointing(), settings)
    first = () if frozen is None else (frozen,)
    return Plan(
        site=site, night=night, blocks=(*first, *blocks), left_out=tuple(left_out), score=score
    )


def _frozen(site: Site, running: PlanTarget, now_unix: float, settings: TelescopeSettings) -> Block:
    """Return the block of what is being observed: the telescope is there already."""
    end = now_unix + block_s(running, settings) - settings.overhead_s
    seen = visibility(site, np.array([now_unix, end]), [running], settings.limits, settings.horizon)
    return Block(
        target=running,
        start=datetime.fromtimestamp(now_unix, UTC),
        end=datetime.fromtimestamp(end, UTC),
        airmass_start=float(seen.airmass[0, 0]),
        airmass_end=float(seen.airmass[0, 1]),
    )


def _fill_night(
    site: Site,
    times: tuple[float, float],
    targets: Sequence[PlanTarget],
    here: Pointing,
    settings: TelescopeSettings,
) -> tuple[list[Block], list[LeftOut], float]:
    """Return the blocks in order of time, the targets left out, and Σ merit · minutes."""
    if not targets:
        return [], [], 0.0
    grid = grid_of(*times, len(targets))
    seen = visibility(site, grid, targets, settings.limits, settings.horizon)
    lengths = np.array([block_s(target, settings) for target in targets])
    windows = Windows.of(grid, seen.observable, lengths)
    view = Outlook.of(
        site, seen, targets, windows.last_fit_unix, settings.merits.alert_half_life_h * 3600.0
    )
    merits = value(targets)[:, None] * combined(view, settings.merits.importance())
    chosen = _candidates(windows, merits)
    problem = Problem(
        windows.taken(chosen),
        _worth(merits[chosen], lengths[chosen], windows.step_s),
        transitions([targets[i] for i in chosen], here, settings),
    )
    line = packed(problem, best_order(problem)) if chosen.size else Line([], [])
    order = chosen[np.array(line.order, dtype=np.int64)]
    blocks = [
        _block(seen, int(index), targets[index], start, lengths[index])
        for index, start in zip(order, line.starts, strict=True)
    ]
    worth = problem.worth_at(np.array(line.order, dtype=np.int64), np.array(line.starts))
    left_out = _left_out(seen, windows, targets, order, settings)
    return blocks, left_out, float(worth.sum()) / 60.0


def _worth(merits: Floats, lengths_s: Floats, step_s: float) -> Floats:
    """Return what each block gives if it begins at each time: its merit at mid-block · seconds."""
    half = np.rint(lengths_s / 2 / step_s).astype(np.int64)
    middle = np.minimum(np.arange(merits.shape[1]) + half[:, None], merits.shape[1] - 1)
    return np.asarray(np.take_along_axis(merits, middle, axis=1) * lengths_s[:, None])


def _candidates(windows: Windows, merits: Floats) -> NDArray[np.int64]:
    """Return the indices of the targets that may be in the best plan.

    No plan has more blocks than the shortest would fill the night with. Of what can begin in one
    part of the night, only so many of the densest can be in it at all.
    """
    ever = np.flatnonzero(windows.ever)
    if ever.size <= ALL_ARE_SEARCHED:
        return ever
    span = windows.unix[-1] - windows.unix[0]
    length = float(windows.duration_s[ever].min())
    most = min(int(span / length) + 1, ALL_ARE_SEARCHED)
    every = max(int(length / windows.step_s), 1)
    fits = windows.fits[ever][:, ::every]
    density = np.where(fits, merits[ever][:, ::every], -1.0)
    # Each part of the night needs its own best, and some to spare for short slews.
    best = min(max(most // 2, 2 * ALL_ARE_SEARCHED // fits.shape[1]), ever.size - 1)
    top = np.argpartition(-density, best, axis=0)[:best]
    kept = np.unique(top[np.take_along_axis(density, top, axis=0) > 0])
    return np.asarray(ever[kept], dtype=np.int64)


def _left_out(
    seen: Visibility,
    windows: Windows,
    targets: Sequence[PlanTarget],
    order: NDArray[np.int64],
    settings: TelescopeSettings,
) -> list[LeftOut]:
    """Return why each target that is not in the plan is left out."""
    reasons = why_not(seen, targets, settings.limits, np.flatnonzero(~windows.ever))
    placed = set(order.tolist())
    return [
        LeftOut(target=target, reason=reasons.get(index, BETTER))
        for index, target in enumerate(targets)
        if index not in placed
    ]


def dark_times(
    site: Site, night: date, max_sun_altitude_deg: float, after: datetime | None = None
) -> tuple[float, float] | None:
    """Return when (unix seconds) the Sun is first and last low enough in `night`, from `after` on.

    None when it is not low enough at any time that is left.
    """
    start = local_mean_noon(site, night).timestamp()
    times = np.arange(start, start + DAY_S, SUN_STEP_S)
    low = times[sun_altitude(site, times) <= max_sun_altitude_deg]
    if low.size == 0:
        return None
    first, last = float(low[0]), float(low[-1])
    if after is not None:
        first = max(first, after.timestamp())
    return (first, last) if first < last else None


def grid_of(first: float, last: float, targets: int) -> Floats:
    """Return the times of the night's grid; first and last are exact, so a block can begin now."""
    step = np.clip((last - first) * targets / MAX_CELLS, FINEST_STEP_S, COARSEST_STEP_S)
    return np.linspace(first, last, max(int((last - first) / step), 1) + 1)


def _block(
    seen: Visibility, index: int, target: PlanTarget, start: float, length_s: float
) -> Block:
    mass = np.interp([start, start + length_s], seen.unix, seen.airmass[index])
    return Block(
        target=target,
        start=datetime.fromtimestamp(start, UTC),
        end=datetime.fromtimestamp(start + length_s, UTC),
        airmass_start=float(mass[0]),
        airmass_end=float(mass[1]),
    )
