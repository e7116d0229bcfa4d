"""The scheduler and the plan, audited with astropy and by brute force."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise, permutations
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import AltAz, SkyCoord, get_body
from astropy.time import Time
from hypothesis import given, settings
from hypothesis import strategies as st

from toros.common.config.telescope import Limits, TelescopeSettings
from toros.sky.site import Site
from toros.sky.visibility import altaz
from toros.telescope.decision import NightTable
from toros.telescope.meanwhile import first_before
from toros.telescope.merits import MERITS, Outlook, value
from toros.telescope.plan import Plan, block_s, dark_times, grid_of, make_plan
from toros.telescope.pointing import why_not_now
from toros.telescope.problem import Pointing, Problem, Windows
from toros.telescope.scheduler import PlanTarget, visibility
from toros.telescope.search import best_order, polish, timed

MACON = Site("Cordon Macon", -24.6226, -67.3218, 4650.0)
NIGHT = date(2017, 8, 17)
SETTINGS = TelescopeSettings()
NGC4993 = PlanTarget(
    name="NGC 4993", ra_deg=197.449, dec_deg=-23.384, exptime_s=60, count=3, weight=10.0
)


def many(number: int, seed: int = 1) -> list[PlanTarget]:
    rng = np.random.default_rng(seed)
    return [
        PlanTarget(
            name=f"target {index}",
            ra_deg=float(rng.uniform(0, 360)),
            dec_deg=float(rng.uniform(-90, 60)),
            exptime_s=60.0,
            count=int(rng.integers(1, 10)),
            weight=float(rng.uniform(0, 9)),
        )
        for index in range(number)
    ]


def reasons(plan: Plan) -> dict[str, str]:
    return {left.target.name: left.reason for left in plan.left_out}


@given(
    st.lists(st.lists(st.booleans(), min_size=12, max_size=12), min_size=1, max_size=4),
    st.floats(1, 700),
    st.floats(0, 660),
)
def test_a_block_begins_where_every_time_of_the_grid_around_it_is_allowed(
    rows: list[list[bool]], length: float, ready: float
) -> None:
    grid = np.arange(12) * 60.0
    windows = Windows.of(grid, np.array(rows), np.full(len(rows), length))
    for index, row in enumerate(rows):

        def holds(start: float, row: list[bool] = row) -> bool:
            last = int(np.ceil((start + length) / 60.0 - 1e-9))
            return last < 12 and all(row[int(start // 60) : last + 1])

        expected = [t for t in [ready, *grid[grid > ready]] if holds(t)]
        begin = float(windows.earliest(np.array(index), np.array(ready)))
        assert begin == pytest.approx(expected[0] if expected else np.inf)
        assert windows.fits[index].tolist() == [holds(t) for t in grid]


def target(name: str = "a", **rest: Any) -> PlanTarget:
    return PlanTarget(**{"name": name, "ra_deg": 300.0, "dec_deg": -40.0, "exptime_s": 60, **rest})


def test_a_step_of_priority_outweighs_any_weight_and_weight_decides_within() -> None:
    worth = value(
        [
            target(priority=5, weight=100),
            target(priority=6, weight=0.001),
            target(priority=6, weight=2.0),
            target(priority=5, weight=50),
        ]
    )
    assert worth[1] >= worth[0]
    assert worth[2] > worth[1]
    assert worth[3] == pytest.approx(worth[0] / 2)


def outlook(targets: list[PlanTarget], night: date = NIGHT) -> Outlook:
    first, last = dark_times(MACON, night, -18.0) or pytest.fail("it grows dark")
    grid = grid_of(first, last, len(targets))
    seen = visibility(MACON, grid, targets, SETTINGS.limits)
    windows = Windows.of(grid, seen.observable, np.full(len(targets), 60.0))
    return Outlook.of(MACON, seen, targets, windows.last_fit_unix, 4 * 3600.0)


def test_each_merit_is_a_fraction_and_says_what_its_name_does() -> None:
    now = datetime(2017, 8, 18, 1, tzinfo=UTC)
    full_moon = date(2017, 8, 7)
    targets = [
        target("alert", alerted=now),
        target("setting", ra_deg=197.449, dec_deg=-23.384),
        target("visited", last_visit=now, interval_s=7200.0),
        target("at the Moon", ra_deg=318.0, dec_deg=-16.0),
        target("far from it", ra_deg=250.0, dec_deg=-60.0),
    ]
    view = outlook(targets, full_moon)
    for name, merit in MERITS.items():
        found = np.broadcast_to(merit(view), view.altitude_deg.shape)
        assert ((found >= 0) & (found <= 1)).all(), name
    moonlit = MERITS["moon"](view)
    up = view.moonlight > 0
    assert (moonlit[3][up] < moonlit[4][up]).all()
    assert view.moonlight.max() > 0.95
    view = outlook(targets)
    later = int(np.searchsorted(view.unix, now.timestamp() + 4 * 3600.0))
    assert MERITS["alert_age"](view)[0, later] == pytest.approx(0.5, abs=0.01)
    assert (MERITS["alert_age"](view)[1] == 1).all()
    hour = int(np.searchsorted(view.unix, now.timestamp() + 3600.0))
    assert MERITS["interval"](view)[2, hour] == pytest.approx(0.5, abs=0.02)
    assert (MERITS["interval"](view)[0] == 1).all()
    soon = MERITS["time_to_set"](view)
    assert soon[1, 0] > soon[0, 0]
    best = int(np.argmax(view.altitude_deg[0]))
    assert int(np.argmax(MERITS["airmass"](view)[0])) == best


def test_the_search_finds_the_best_plan_of_few_targets() -> None:
    rng = np.random.default_rng(7)
    for _ in range(30):
        count, total = 5, 20
        observable = rng.uniform(size=(count, total)) < 0.9
        lengths = rng.choice([60.0, 120.0, 240.0], count)
        windows = Windows.of(np.arange(total) * 60.0, observable, lengths)
        worth = np.repeat(rng.uniform(1, 10, (count, 1)), total, axis=1) * lengths[:, None]
        problem = Problem(windows, worth, rng.uniform(0, 60, (count + 1, count)))
        best = 0.0
        for size in range(count + 1):
            for order in permutations(range(count), size):
                line = timed(problem, order)
                if len(line.order) == size:
                    best = max(best, float(worth[list(order), 0].sum()))
        line = best_order(problem)
        found = float(worth[line.order, 0].sum()) if line.order else 0.0
        assert found >= 0.9 * best
        again = best_order(problem)
        assert again == line


def test_an_exchange_of_neighbours_may_cost_a_block_its_place() -> None:
    """The better order of the first two is long enough to leave no time for the third."""
    observable = np.ones((3, 8), dtype=bool)
    observable[2, 4:] = False
    windows = Windows.of(np.arange(8) * 60.0, observable, np.full(3, 60.0))
    worth = np.array([[1.0, *[100.0] * 7], [100.0, *[1.0] * 7], [1.0] * 8])
    moves = np.zeros((4, 3))
    moves[0, 2] = 60.0
    problem = Problem(windows, worth, moves)
    first = timed(problem, [0, 1, 2])
    assert first.order == [0, 1, 2]
    assert polish(problem, first).order == [1, 0]


def observable_now(targets: list[PlanTarget], moments: list[float]) -> list[list[bool]]:
    """Whether each whole block holds if it begins at each moment, shape (moments, targets)."""
    held = []
    for moment in moments:
        row = []
        for each in targets:
            grid = np.linspace(moment, moment + block_s(each, SETTINGS), 20)
            row.append(bool(visibility(MACON, grid, [each], SETTINGS.limits).observable.all()))
        held.append(row)
    return held


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_plan_does_not_wait_while_a_later_block_fits(seed: int) -> None:
    """Fewer targets than the night has time for: what can be observed is not put off."""
    plan = make_plan(MACON, NIGHT, many(25, seed), SETTINGS)
    waits = 0
    for place, (before, after) in enumerate(pairwise(plan.blocks)):
        begin, end = before.end.timestamp(), after.start.timestamp()
        slew_s = 180.0 / SETTINGS.slew_rate_deg_s
        if end - begin < 2 * slew_s + 120.0:
            continue
        waits += 1
        later = [block.target for block in plan.blocks[place + 2 :]]
        # With the longest slews there and back, and at every minute that leaves the block its time.
        for each in later:
            last = end - slew_s - block_s(each, SETTINGS)
            moments = np.arange(begin + slew_s, last, 60.0).tolist()
            assert not any(map(any, observable_now([each], moments))), (each.name, before.end)
    assert waits  # else this proves nothing


def test_what_does_not_fit_before_the_next_block_is_begun_all_the_same() -> None:
    """An hour is left before a block; two hours on a field that is up, and one that is not."""
    now = datetime(2017, 8, 18, 2, tzinfo=UTC)
    later = now + timedelta(hours=1)
    next_one = target("next", priority=8, not_before=later, expires=later + timedelta(minutes=3))
    long = target("long", ra_deg=290.0, count=110)
    low = target("low", dec_deg=60.0)
    plan = make_plan(MACON, NIGHT, [next_one, long, low], SETTINGS, after=now)
    assert plan.blocks[0].target.name == "next"
    begun = first_before(
        MACON, NIGHT, [next_one, long, low], SETTINGS, plan.blocks[0], now, Pointing()
    )
    assert begun is not None
    assert (begun.target.name, begun.start) == ("long", now)
    way = plan.blocks[0].start - (begun.target.expires or now)
    degrees = way.total_seconds() * SETTINGS.slew_rate_deg_s
    assert degrees == pytest.approx(7.654, abs=0.01)  # from one to the other
    # A minute before that block there is no time for a frame.
    late = later - timedelta(seconds=60)
    assert first_before(MACON, NIGHT, [long], SETTINGS, plan.blocks[0], late, Pointing()) is None


def test_the_heaviest_target_of_gw170817_is_first_and_before_it_sets() -> None:
    plan = make_plan(MACON, NIGHT, [*many(60), NGC4993], SETTINGS)
    block = next(block for block in plan.blocks if block.target == NGC4993)
    assert block.end < datetime(2017, 8, 18, 0, 15, tzinfo=UTC)


def test_an_alert_s_targets_come_first_the_heaviest_foremost() -> None:
    now = datetime(2017, 8, 18, 2, tzinfo=UTC)
    hosts = [
        target(f"host {n}", priority=8, weight=w, alerted=now, dec_deg=-40.0 - n)
        for n, w in enumerate((0.2, 0.5, 0.3))
    ]
    plan = make_plan(MACON, NIGHT, [*many(40), *hosts], SETTINGS, after=now)
    assert [b.target.name for b in plan.blocks[:3]] == ["host 1", "host 2", "host 0"]
    assert plan.blocks[0].start == now


def test_blocks_leave_time_for_slews_and_filters() -> None:
    targets = [replace(t, filter="gr"[i % 2]) for i, t in enumerate(many(60))]
    plan = make_plan(MACON, NIGHT, targets, SETTINGS)
    for before, after in pairwise(plan.blocks):
        first, second = (
            SkyCoord(b.target.ra_deg * u.deg, b.target.dec_deg * u.deg) for b in (before, after)
        )
        slew = first.separation(second).deg / SETTINGS.slew_rate_deg_s
        change = SETTINGS.filter_change_s * (before.target.filter != after.target.filter)
        gap = (after.start - before.end).total_seconds()
        assert gap >= max(slew, change) - 1e-3


def test_the_running_block_stands_when_the_night_is_planned_again() -> None:
    now = datetime(2017, 8, 18, 2, tzinfo=UTC)
    running = replace(many(40)[0], key=77, ra_deg=300.0, dec_deg=-50.0, priority=1.0)
    plan = make_plan(MACON, NIGHT, [*many(40), running], SETTINGS, after=now, running=running)
    first, second = plan.blocks[:2]
    assert (first.target.key, first.start) == (77, now)
    assert second.start > first.end
    assert [b.target.key for b in plan.blocks].count(77) == 1


def test_a_decision_agrees_with_the_limits_and_takes_the_best() -> None:
    targets = many(200)
    table = NightTable.of(MACON, NIGHT, targets, SETTINGS) or pytest.fail("it grows dark")
    now = datetime(2017, 8, 18, 3, tzinfo=UTC)
    worth = table.merits(now)
    for target_, merit in zip(targets, worth, strict=True):
        length = block_s(target_, SETTINGS)
        why = why_not_now(
            MACON, now.timestamp(), now.timestamp() + length,
            target_.ra_deg, target_.dec_deg, SETTINGS.limits,
        )  # fmt: skip
        assert not (merit > 0 and why)
    best = table.decide(now)
    assert best is not None
    assert worth[targets.index(best)] == worth.max()
    near = Pointing(best.ra_deg, best.dec_deg)
    assert table.decide(now, near) == best
    day = datetime(2017, 8, 17, 17, tzinfo=UTC)
    assert table.decide(day) is None


def test_a_plan_is_as_good_as_the_measured_ones() -> None:
    """The benchmark's problem, small: nearly the optimum, and no constraint violated."""
    from benchmarks.scheduler import audit, ours, some_targets

    targets = some_targets(60, 3)
    made = audit(targets, ours(targets))
    assert made.violations == 0
    fits = NightTable.of(
        MACON, NIGHT, targets, SETTINGS.model_copy(update={"overhead_s": 0.0})
    ) or pytest.fail("it grows dark")
    # There is time for all of them.
    assert made.blocks >= 0.97 * fits.windows.ever.sum()


def test_every_block_holds_every_limit_through_its_end_by_astropy() -> None:
    limits = SETTINGS.limits
    plan = make_plan(MACON, NIGHT, many(60), SETTINGS)
    assert len(plan.blocks) > 20
    for block in plan.blocks:
        span = (block.end - block.start).total_seconds()
        times = Time(block.start) + np.linspace(0, span, 5) * u.s
        frame = AltAz(obstime=times, location=MACON.location)
        place = SkyCoord(block.target.ra_deg * u.deg, block.target.dec_deg * u.deg)
        altitude = place.transform_to(frame).alt.deg
        moon = get_body("moon", times, MACON.location)
        sun = get_body("sun", times, MACON.location).transform_to(frame).alt.deg
        # A hundredth of a degree: the plan's ephemerides are good to half an arc minute.
        assert altitude.min() > limits.min_altitude_deg - 0.01
        assert altitude.max() < limits.max_altitude_deg + 0.01
        assert moon.separation(place, origin_mismatch="ignore").deg.min() > (
            limits.min_moon_separation_deg - 0.05
        )
        assert sun.max() < limits.max_sun_altitude_deg + 0.01
        assert span >= block_s(block.target, SETTINGS) - 1e-6


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 40))
def test_blocks_never_overlap_and_no_target_is_lost(seed: int, number: int) -> None:
    targets = many(number, seed)
    plan = make_plan(MACON, NIGHT, targets, SETTINGS)
    for before, after in zip(plan.blocks, plan.blocks[1:], strict=False):
        assert before.end <= after.start
    placed = [block.target.name for block in plan.blocks]
    assert sorted([*placed, *reasons(plan)]) == sorted(target.name for target in targets)
    assert all(reasons(plan).values())


def test_each_left_out_target_has_its_reason() -> None:
    moment = datetime(2017, 8, 17, 12, tzinfo=UTC)
    base = {"ra_deg": 300.0, "dec_deg": -25.0, "exptime_s": 60.0}
    targets = [
        PlanTarget(name="north", ra_deg=37.0, dec_deg=89.0, exptime_s=60.0),
        PlanTarget(name="expired", **base, expires=moment),
        PlanTarget(name="later", **base, not_before=moment + timedelta(days=5)),
        PlanTarget(name="long", **base, count=1000),
        PlanTarget(name="demanding", **base, limits=Limits(max_airmass=1.0)),
    ]
    why = reasons(make_plan(MACON, NIGHT, targets, SETTINGS))
    assert "below 30°" in why["north"]
    assert "expired at 2017-08-17 12:00 UTC" in why["expired"]
    assert "not before 2017-08-22 12:00 UTC" in why["later"]
    assert "less time" in why["long"]
    assert "airmass" in why["demanding"]


def test_a_target_beside_the_full_moon_is_left_out() -> None:
    near = PlanTarget(name="near", ra_deg=315.0, dec_deg=-17.0, exptime_s=60.0)
    why = reasons(make_plan(MACON, date(2017, 8, 7), [near], SETTINGS))
    assert "from the Moon in the time left, within 30°" in why["near"]


def test_a_lighter_target_yields_to_better_ones() -> None:
    rivals = [
        PlanTarget(
            name=name, ra_deg=300, dec_deg=-50, exptime_s=3600, count=5, weight=weight, priority=5
        )
        for name, weight in (("heavy", 2.0), ("light", 1.0))
    ]
    plan = make_plan(MACON, NIGHT, rivals, SETTINGS)
    assert [block.target.name for block in plan.blocks] == ["heavy"]
    assert reasons(plan) == {"light": "better targets take all of its time"}


def test_a_night_without_dark_hours_leaves_all_out() -> None:
    tromso = Site("Tromsø", 69.65, 18.96, 100.0)
    plan = make_plan(tromso, date(2017, 6, 21), [NGC4993], SETTINGS)
    assert plan.blocks == ()
    assert "does not grow dark" in reasons(plan)["NGC 4993"]


def test_planning_again_goes_on_from_now() -> None:
    now = datetime(2017, 8, 17, 23, 40, 12, tzinfo=UTC)
    plan = make_plan(MACON, NIGHT, [NGC4993], SETTINGS, after=now)
    assert plan.blocks[0].start == now
    late = make_plan(MACON, NIGHT, [NGC4993], SETTINGS, after=now + timedelta(hours=1))
    assert "altitude at most" in reasons(late)["NGC 4993"]
    morning = make_plan(MACON, NIGHT, [NGC4993], SETTINGS, after=now + timedelta(hours=11))
    assert "nothing is left of the dark hours" in reasons(morning)["NGC 4993"]


def test_no_targets_make_an_empty_plan() -> None:
    plan = make_plan(MACON, NIGHT, [], SETTINGS)
    assert (plan.blocks, plan.left_out, plan.score) == ((), (), 0.0)


def test_the_plan_in_json_has_the_keys_of_the_contract() -> None:
    answer = make_plan(MACON, NIGHT, [NGC4993, many(1)[0]], SETTINGS).as_json()
    assert set(answer) == {"night", "site", "blocks", "left_out", "score"}
    assert isinstance(answer["blocks"], list)
    assert answer["blocks"][0].keys() >= {
        "target", "start", "end", "ra", "dec", "filter", "airmass_start", "airmass_end",
    }  # fmt: skip


def test_dark_times_are_when_the_sun_is_low() -> None:
    first, last = dark_times(MACON, NIGHT, -15.0) or pytest.fail("it grows dark at Macón")
    for moment, sign in ((first, -1), (last, 1)):
        later = Time(moment + 120 * sign, format="unix")
        frame = AltAz(obstime=later, location=MACON.location)
        sun = get_body("sun", later, MACON.location).transform_to(frame).alt.deg
        assert sun > -15.0


@pytest.mark.parametrize(
    "wrong", [{"min_altitude_deg": 89.0}, {"max_airmass": 0.5}, {"max_sun_altitude_deg": 5.0}]
)
def test_impossible_limits_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Limits(**wrong)


def test_no_block_goes_behind_the_mask_of_the_horizon() -> None:
    targets = many(40)
    east_is_walled = ((0.0, 0.0), (20.0, 70.0), (160.0, 70.0), (180.0, 0.0))
    walled = SETTINGS.model_copy(update={"horizon": east_is_walled})
    free, kept = (make_plan(MACON, NIGHT, targets, each) for each in (SETTINGS, walled))

    def behind(plan: Plan) -> int:
        number = 0
        for block in plan.blocks:
            ends = [block.start.timestamp(), block.end.timestamp()]
            height, azim = altaz(MACON, ends, [block.target.ra_deg], [block.target.dec_deg])
            number += int(np.sum((azim > 20.0) & (azim < 160.0) & (height < 69.9)))
        return number

    assert kept.blocks
    assert behind(free) > 0
    assert behind(kept) == 0
    only = make_plan(
        MACON, NIGHT, [target()], SETTINGS.model_copy(update={"horizon": ((0.0, 89.0),)})
    )
    assert "mask of the horizon" in reasons(only)["a"]
