"""What a simulated night was spent on, from records whose answer is known."""

from __future__ import annotations

import pytest

from benchmarks.month_figures import Record, excused, figures, merged, motion_s, reason

PACE = {"mount": 4.0, "dome": 3.0, "settle": 5.0, "read_out": 1.0}
RATE = 100.0


def night(**rest: object) -> Record:
    """Ten hours; one frame after another, 240 s each, with 20 s between them."""
    record = Record("2017-08-17", RATE, (0.0, 36000.0), 300.0, 300.0, PACE)
    record.lights = [(260.0 * n, 240.0, "field", 10.0, 60.0) for n in range(138)]
    for name, value in rest.items():
        setattr(record, name, value)
    return record


def test_a_night_without_trouble_is_all_used() -> None:
    made = figures(night())
    assert made.usable_s == 36000.0
    assert made.exposing_s == 138 * 240.0
    assert made.moving_s == pytest.approx(137.0)  # one second of read-out between two frames
    assert made.computing_s == pytest.approx(36000.0 - 138 * 240.0 - 137.0)
    assert made.used == pytest.approx((138 * 240 + 137) / 36000)
    assert made.used_at(RATE) == pytest.approx(1.0, abs=1e-3)
    assert made.lost == []


def test_a_long_pause_is_a_loss_and_wants_a_reason() -> None:
    lights = [light for light in night().lights if not 7000 < light[0] < 10000]
    silent = figures(night(lights=lights))
    assert silent.unexplained_s == pytest.approx(3140.0)
    assert silent.used_at(RATE) < 0.95
    told = figures(night(lights=lights, told=[(8000.0, "state", "observing → holding: …")]))
    assert (told.unexplained_s, told.explained_s) == (0.0, pytest.approx(3140.0))
    assert told.used_at(RATE) == silent.used_at(RATE)


def test_a_wait_for_a_target_is_explained_and_not_used() -> None:
    lights = [light for light in night().lights if not 7000 < light[0] < 8700]
    told = [(7050.0, "waiting", "Nothing that is queued fits before 02:25:00 UTC: …")]
    made = figures(night(lights=lights, told=told))
    assert (made.unexplained_s, made.explained_s) == (0.0, pytest.approx(1840.0))
    assert made.causes == {"waiting": made.explained_s}
    assert made.used_at(RATE) < 0.95


def test_what_was_ordered_is_excused_with_the_time_to_resume_and_no_more() -> None:
    lights = [light for light in night().lights if not 7000 < light[0] < 10000]
    made = figures(night(lights=lights, unsafe=[(7100.0, 9000.0)]))
    assert made.usable_s == 36000.0 - (1900.0 + 300.0 + 120.0)
    assert made.unexplained_s == pytest.approx(3140.0 - 2320.0)
    deaths = night(deaths=[(1000.0, 1100.0), (5000.0, 6000.0)])
    assert excused(deaths) == [(1000.0, 1220.0), (5000.0, 6420.0)]


def test_a_fault_in_safe_weather_excuses_the_shorter_wait_that_is_configured() -> None:
    faults = [(1000.0, 1300.0), (5000.0, 5300.0)]
    assert excused(night(faults=faults)) == [(1000.0, 1720.0), (5000.0, 5720.0)]
    made = night(faults=faults, blind=faults[1:], resume_device_s=60.0)
    assert excused(made) == [(1000.0, 1480.0), (5000.0, 5720.0)]


def test_what_an_event_explains() -> None:
    gap = (100.0, 500.0)
    assert reason([(90.0, "state", "a")], gap) == ""
    assert reason([(200.0, "observation", "x: done, 2 of 2 frames")], gap) == ""
    assert reason([(200.0, "observation", "x: stopped, 1 of 2: altitude falls")], gap) == ""
    dropped = [(200.0, "observation", "x: stopped, 1 of 2: dropped for y")]
    assert reason(dropped, gap) == "an exposure was dropped"
    assert reason([(200.0, "problem", "a")], gap) == "problem"


def test_motion_is_the_slower_of_mount_and_dome() -> None:
    here, there = (0.0, 60.0, "a", 350.0, 30.0), (90.0, 60.0, "b", 20.0, 30.0)
    assert motion_s(here, there, PACE) == pytest.approx(1.0 + 5.0 + 30.0 / 3.0)
    assert motion_s(here, (90.0, 60.0, "a", 20.0, 30.0), PACE) == 1.0
    higher = (90.0, 60.0, "b", 350.0, 70.0)
    assert motion_s(here, higher, PACE) == pytest.approx(1.0 + 5.0 + 10.0)


def test_spans_are_merged_and_cut() -> None:
    assert merged([(5, 9), (-3, 2), (8, 12)], (0, 10)) == [(0, 2), (5, 10)]
