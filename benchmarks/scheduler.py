"""The plan of a night beside astroplan's, in one run, audited with astropy.

   pip install --group bench
   python -m benchmarks.scheduler                    300 targets, about two minutes
   python -m benchmarks.scheduler --targets 50 100 300 --long

The problem: Cordón Macón, the Sun below −18°, blocks of 6 minutes, weights 1–10, slews at 3°/s;
altitude 30–88°, airmass ≤ 2, Moon farther than 30°, through the whole of each block. Both get
the same targets and limits. Q = Σ weight · minutes; Qa = the same over each block's mean airmass.
The upper bound is of a telescope that slews in no time (proven by CP-SAT, windows a little wider).
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np

from toros.common.config.telescope import TelescopeSettings
from toros.sky.site import Site
from toros.sky.visibility import altitude
from toros.telescope.decision import NightTable
from toros.telescope.plan import dark_times, make_plan
from toros.telescope.problem import Windows
from toros.telescope.scheduler import PlanTarget, visibility

SITE = Site("Cordon Macon", -24.6226, -67.3218, 4650.0)
NIGHT = date(2017, 8, 17)
BLOCK_S = 360.0
SLEW_DEG_S = 3.0
SETTINGS = TelescopeSettings.model_validate(
    {
        "overhead_s": 0.0,
        "frame_overhead_s": 0.0,
        "slew_rate_deg_s": SLEW_DEG_S,
        "limits": {"max_sun_altitude_deg": -18.0},
    }
)
LIMITS = SETTINGS.limits
# The ephemerides of the plan are good to half a minute of arc.
TOLERANCE_DEG = 0.01
MOON_TOLERANCE_DEG = 0.05
BOUND_S = 60.0


@dataclass(frozen=True)
class Placed:
    """One block of any scheduler's plan: index of the target, unix seconds."""

    target: int
    start: float
    end: float


@dataclass(frozen=True)
class Audit:
    """What astropy says of a plan."""

    quality: float
    by_airmass: float
    violations: int
    blocks: int


def some_targets(number: int, seed: int) -> list[PlanTarget]:
    """Return targets all over the sky that the site sees, with weights 1 to 10."""
    rng = np.random.default_rng(seed)
    highest = np.sin(np.radians(35.0))
    return [
        PlanTarget(
            name=f"target {index}",
            key=index,
            ra_deg=float(rng.uniform(0, 360)),
            dec_deg=float(np.degrees(np.arcsin(rng.uniform(-1, highest)))),
            exptime_s=BLOCK_S,
            weight=float(rng.integers(1, 11)),
        )
        for index in range(number)
    ]


def ours(targets: Sequence[PlanTarget]) -> list[Placed]:
    """Plan with TOROS, with its shipped merits."""
    plan = make_plan(SITE, NIGHT, targets, SETTINGS)
    return [
        Placed(block.target.key, block.start.timestamp(), block.end.timestamp())
        for block in plan.blocks
    ]


def astroplans(targets: Sequence[PlanTarget], scheduler: str) -> list[Placed]:
    """Plan with a scheduler of astroplan."""
    import astroplan
    from astropy import units as u
    from astropy.coordinates import SkyCoord
    from astropy.time import Time

    first, last = _dark()
    observer = astroplan.Observer(location=SITE.location, name=SITE.name)
    constraints = [
        astroplan.AltitudeConstraint(
            LIMITS.min_altitude_deg * u.deg, LIMITS.max_altitude_deg * u.deg
        ),
        astroplan.AirmassConstraint(LIMITS.max_airmass, boolean_constraint=False),
        astroplan.MoonSeparationConstraint(LIMITS.min_moon_separation_deg * u.deg),
        astroplan.AtNightConstraint(LIMITS.max_sun_altitude_deg * u.deg),
    ]
    blocks = [
        astroplan.ObservingBlock(
            astroplan.FixedTarget(SkyCoord(t.ra_deg * u.deg, t.dec_deg * u.deg), t.name),
            BLOCK_S * u.s,
            priority=11 - t.weight,  # the least number goes first
        )
        for t in targets
    ]
    made = getattr(astroplan, scheduler)(
        constraints=constraints,
        observer=observer,
        transitioner=astroplan.Transitioner(SLEW_DEG_S * u.deg / u.s),
        time_resolution=1 * u.min,
    )
    schedule = astroplan.Schedule(Time(first, format="unix"), Time(last, format="unix"))
    made(blocks, schedule)
    index = {target.name: number for number, target in enumerate(targets)}
    return [
        Placed(index[block.target.name], block.start_time.unix, block.end_time.unix)
        for block in schedule.observing_blocks
    ]


def _dark() -> tuple[float, float]:
    times = dark_times(SITE, NIGHT, LIMITS.max_sun_altitude_deg)
    if times is None:
        raise SystemExit("It does not grow dark.")
    return times


def audit(targets: Sequence[PlanTarget], plan: Sequence[Placed]) -> Audit:
    """Return the sums of a plan and its violations, by exact astropy, at 7 times of each block."""
    from astropy import units as u
    from astropy.coordinates import AltAz, SkyCoord, get_body
    from astropy.time import Time

    blocks = sorted(plan, key=lambda block: block.start)
    if not blocks:
        return Audit(0.0, 0.0, 0, 0)
    places = SkyCoord(
        [targets[b.target].ra_deg for b in blocks] * u.deg,
        [targets[b.target].dec_deg for b in blocks] * u.deg,
    )
    unix = np.linspace([b.start for b in blocks], [b.end for b in blocks], 7)
    times = Time(unix, format="unix")
    frame = AltAz(obstime=times, location=SITE.location)
    altitude = places[None, :].transform_to(frame).alt.deg
    moon = get_body("moon", times, SITE.location)
    away = moon.separation(places[None, :], origin_mismatch="ignore").deg
    sun = get_body("sun", times, SITE.location).transform_to(frame).alt.deg
    mass = 1.0 / np.sin(np.radians(altitude))
    bad = (
        (altitude < LIMITS.min_altitude_deg - TOLERANCE_DEG)
        | (altitude > LIMITS.max_altitude_deg + TOLERANCE_DEG)
        | (mass > LIMITS.max_airmass * (1 + 1e-3))
        | (away < LIMITS.min_moon_separation_deg - MOON_TOLERANCE_DEG)
        | (sun > LIMITS.max_sun_altitude_deg + TOLERANCE_DEG)
    ).any(axis=0)
    slews = places[:-1].separation(places[1:]).deg / SLEW_DEG_S
    hurried = [
        after.start < before.end + slew - 0.5
        for before, after, slew in zip(blocks[:-1], blocks[1:], slews, strict=True)
    ]
    twice = len(blocks) - len({b.target for b in blocks})
    short = sum(b.end - b.start < BLOCK_S - 0.5 for b in blocks)
    weights = np.array([targets[b.target].weight for b in blocks])
    minutes = np.array([(b.end - b.start) / 60.0 for b in blocks])
    return Audit(
        quality=float((weights * minutes).sum()),
        by_airmass=float((weights * minutes / mass.mean(axis=0)).sum()),
        violations=int(bad.sum()) + sum(hurried) + twice + short,
        blocks=len(blocks),
    )


def upper_bound(targets: Sequence[PlanTarget], seconds: float) -> tuple[float, str]:
    """Return a proven upper bound of Q for a telescope that slews in no time, and how it ended."""
    from ortools.sat.python import cp_model

    first, last = _dark()
    grid = np.linspace(first, last, int((last - first) / 30.0) + 1)
    seen = visibility(SITE, grid, targets, LIMITS)
    step = grid[1] - grid[0]
    # Two steps shorter and one step wider on both sides: no start that is allowed is lost.
    windows = Windows.of(grid, seen.observable, np.full(len(targets), BLOCK_S - 2 * step))
    latest = int(last - first - BLOCK_S) + 1
    model = cp_model.CpModel()
    intervals, terms = [], []
    for target, fits in zip(targets, windows.fits, strict=True):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], fits.astype(int), [0]])))
        spans = [
            [max(int((a - 1) * step), 0), min(int(b * step) + 1, latest)]
            for a, b in zip(edges[::2], edges[1::2], strict=True)
        ]
        spans = [span for span in spans if span[0] <= span[1]]
        if spans:
            done = model.new_bool_var("")
            start = model.new_int_var_from_domain(cp_model.Domain.from_intervals(spans), "")
            length = int(BLOCK_S)
            intervals.append(
                model.new_optional_interval_var(start, length, start + length, done, "")
            )
            terms.append(int(target.weight * BLOCK_S / 60.0) * done)
    model.add_no_overlap(intervals)
    model.maximize(sum(terms))
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = seconds
    status = solver.status_name(solver.solve(model))
    return float(solver.best_objective_bound), status


def timed(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Return the median of the times that `work` takes, and what it returns."""
    taken, result = [], None
    for _ in range(repeats):
        began = time.perf_counter()
        result = work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken), result


def compare(number: int, seed: int, schedulers: Sequence[str]) -> None:
    """Plan the same targets with all, and print what came of it."""
    targets = some_targets(number, seed)
    make_plan(SITE, NIGHT, targets, SETTINGS)  # imports and tables are loaded once
    seconds, plan = timed(lambda: ours(targets), 9)
    mine = audit(targets, plan)
    bound, status = upper_bound(targets, BOUND_S)
    print(f"\n{number} targets, seed {seed}; upper bound of Q {bound:.0f} ({status.lower()})")
    print(f"{'':24}{'s':>9}{'Q':>8}{'Qa':>8}{'blocks':>8}{'violations':>12}")
    _row("TOROS", seconds, mine)
    print(f"{'':24}{mine.quality / bound:.1%} of the bound")
    for name in schedulers:
        took, other = timed(lambda name=name: astroplans(targets, name), 1)  # type: ignore[misc]
        theirs = audit(targets, other)
        _row(f"astroplan {name[:12]}", took, theirs)
        print(
            f"{'':24}TOROS: {took / seconds:.0f} x as fast, Q x "
            f"{mine.quality / theirs.quality:.3f}, Qa x {mine.by_airmass / theirs.by_airmass:.3f}"
        )


def _row(name: str, seconds: float, made: Audit) -> None:
    print(
        f"{name:24}{seconds:9.3f}{made.quality:8.0f}{made.by_airmass:8.0f}"
        f"{made.blocks:8d}{made.violations:12d}"
    )


def many(number: int) -> None:
    """Print the time of a plan and of a decision for a very long list."""
    targets = some_targets(number, 1)
    seconds, plan = timed(lambda: ours(targets), 5)
    made = audit(targets, plan)
    began = time.process_time()
    ours(targets)
    worked_s = time.process_time() - began
    print(
        f"\n{number} targets: plan {seconds:.3f} s, {worked_s:.3f} s of the processor, "
        f"{made.violations} violations"
    )
    first, last = _dark()
    every = np.arange(first, last, 300.0)
    ra, dec = (np.array([getattr(t, name) for t in targets]) for name in ("ra_deg", "dec_deg"))
    seconds, _ = timed(lambda: altitude(SITE, every, ra, dec), 5)
    print(f"altitudes every 5 minutes of {(last - first) / 3600:.1f} hours: {seconds:.3f} s")
    table = NightTable.of(SITE, NIGHT, targets, SETTINGS)
    if table is None:
        raise SystemExit("It does not grow dark.")
    moments = [datetime.fromtimestamp(t, UTC) for t in np.linspace(first, last - 3600, 101)]
    began = time.thread_time()
    table.decide(moments[0])
    first_s = time.thread_time() - began
    took, worked = [], []
    for moment in moments:
        began = time.thread_time()
        took.append(timed(lambda m=moment: table.decide(m), 1)[0])  # type: ignore[misc]
        worked.append(time.thread_time() - began)
    for name, times in (("on the wall's clock", took), ("of the processor", worked)):
        median, slowest = 1e3 * statistics.median(times), 1e3 * max(times)
        print(f"one decision, {name}: median {median:.2f} ms, slowest {slowest:.2f} ms", end="; ")
    print(f"the first {1e3 * first_s:.2f} ms of the processor")


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--targets", type=int, nargs="+", default=[300])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--alone", action="store_true", help="without astroplan")
    parser.add_argument("--long", action="store_true", help="SequentialScheduler too: minutes")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    schedulers = [] if arguments.alone else ["PriorityScheduler"]
    if arguments.long:
        schedulers.append("SequentialScheduler")
    for number in arguments.targets:
        for seed in arguments.seeds:
            compare(number, seed, schedulers)
    many(10_000)


if __name__ == "__main__":
    main()
