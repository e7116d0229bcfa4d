"""Who is turned away, for how long, and what the log hears of it."""

from __future__ import annotations

import threading

from tests.support.waiting import wait_until
from toros.common.crew import Crew
from toros.common.penalties import FORGIVEN, Penalties


def strikes(penalties: Penalties, peer: str, count: int) -> list[bool]:
    return [penalties.strike(peer).out for _ in range(count)]


def test_mistakes_are_forgiven_and_a_flood_is_turned_away_for_a_while() -> None:
    penalties = Penalties(60)
    assert not any(strikes(penalties, "a", FORGIVEN))
    assert any(strikes(penalties, "a", FORGIVEN))  # those that time has forgiven come on top
    assert penalties.is_out("a")
    assert not penalties.is_out("b")
    short = Penalties(0.2)
    assert any(strikes(short, "a", 2 * FORGIVEN))
    wait_until(lambda: not short.is_out("a"), "the time to be over")


def test_a_call_that_can_be_read_wipes_everything_out() -> None:
    penalties = Penalties(60)
    strikes(penalties, "a", FORGIVEN)
    penalties.forgive("a")
    assert not any(strikes(penalties, "a", FORGIVEN))


def test_the_log_hears_of_the_first_and_of_the_turning_away() -> None:
    penalties = Penalties(60)
    verdicts = [penalties.strike("a") for _ in range(10 * FORGIVEN)]
    assert [verdict.out for verdict in verdicts if verdict.news] == [False, True]


def test_nobody_is_turned_away_where_it_is_switched_off() -> None:
    penalties = Penalties(0)
    assert not any(strikes(penalties, "a", 10 * FORGIVEN))
    assert not penalties.is_out("a")


def test_only_so_many_addresses_are_remembered() -> None:
    penalties = Penalties(60, room=10)
    for number in range(100):
        penalties.strike(str(number))
    assert len(penalties) == 10
    assert any(strikes(penalties, "99", 2 * FORGIVEN))


def test_a_crew_does_all_jobs_at_once_and_its_threads_end() -> None:
    made = Crew("crew-under-test")
    began, release = threading.Semaphore(0), threading.Event()

    def job() -> None:
        began.release()
        release.wait()

    for _ in range(2):  # the second time with the same threads
        release.clear()
        for _ in range(20):
            made.do(job)
        for _ in range(20):
            assert began.acquire(timeout=30)
        release.set()
    wait_until(
        lambda: not [t for t in threading.enumerate() if t.name == "crew-under-test"],
        "the threads to end",
    )
