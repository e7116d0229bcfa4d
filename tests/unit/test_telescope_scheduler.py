"""The scheduler and the plan, audited with astropy and by brute force."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import AltAz, SkyCoord, get_body
from astropy.time import Time
from hypothesis import given, settings
from hypothesis import strategies as st

from toros.common.config.telescope import Limits, TelescopeSettings
from toros.sky.site import Site
from toros.telescope.plan import Plan, block_s, dark_times, make_plan
from toros.telescope.scheduler import (
    PlanTarget,
    merit,
    order_of_choice,
    possible_starts,
    steps_of,
)

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
    st.integers(1, 12),
)
def test_a_block_may_begin_where_every_step_of_it_is_allowed(
    rows: list[list[bool]], steps: int
) -> None:
    allowed = np.array(rows)
    starts = possible_starts(allowed, np.full(len(rows), steps))
    for row, begin in np.ndindex(allowed.shape):
        inside = begin + steps < allowed.shape[1]
        assert starts[row, begin] == (inside and allowed[row, begin : begin + steps + 1].all())


def test_steps_cover_the_whole_block() -> None:
    assert steps_of(np.array([1.0, 30.0, 30.1, 61.0]), 30.0).tolist() == [1, 1, 2, 3]


def test_priority_outweighs_weight_and_weight_decides_within_a_priority() -> None:
    targets = [
        PlanTarget(name="a", ra_deg=0, dec_deg=0, exptime_s=1, priority=5, weight=100),
        PlanTarget(name="b", ra_deg=0, dec_deg=0, exptime_s=1, priority=8, weight=0.1),
        PlanTarget(name="c", ra_deg=0, dec_deg=0, exptime_s=1, priority=8, weight=0.2),
    ]
    starts = np.ones((3, 4), dtype=bool)
    assert [targets[i].name for i in order_of_choice(targets, starts)] == ["c", "b", "a"]
    assert merit(targets)[1] < 8.01


def test_of_equals_the_one_that_sets_first_goes_first() -> None:
    targets = [PlanTarget(name=name, ra_deg=0, dec_deg=0, exptime_s=1) for name in "ab"]
    starts = np.array([[True, True, True], [True, False, False]])
    assert order_of_choice(targets, starts).tolist() == [1, 0]


def test_the_heaviest_target_of_gw170817_is_first_and_before_it_sets() -> None:
    plan = make_plan(MACON, NIGHT, [*many(60), NGC4993], SETTINGS)
    assert plan.blocks[0].target == NGC4993
    assert plan.blocks[0].end < datetime(2017, 8, 18, 0, 15, tzinfo=UTC)


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


@settings(max_examples=20, deadline=None)
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
