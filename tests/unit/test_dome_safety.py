"""What is not known is not safe."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.stepped import SteppedClock
from tests.support.waiting import wait_until
from toros.alpaca import DomeState
from toros.common.clock import Clock
from toros.common.errors import DeviceTimeout, DeviceUnreachable
from toros.dome.mount_guard import MountGuard
from toros.dome.reading import Reader
from toros.dome.safety import Safety, Source, Trouble, Verdict

SHUT = DomeState(azim_deg=10.0, shutter="closed", slewing=False, at_park=True, at_home=False)


CLOCK = Clock()


def _unreachable() -> str:
    raise DeviceUnreachable("nobody is there.")


def _source(ask: Callable[[], str], max_age_s: float = 60.0) -> Source:
    return Source("monitor", ask, CLOCK, 0.01, max_age_s)


def _said(source: Source) -> str:
    return str(source.trouble() or "")


def test_no_source_and_no_answer_are_unsafe() -> None:
    assert not Safety([]).verdict().safe
    silent = Safety([_source(lambda: "")])
    assert not silent.verdict().safe
    assert "not heard yet" in str(silent.verdict())


def test_an_old_answer_is_unsafe() -> None:
    source = _source(lambda: "", max_age_s=0.0)
    source.ask()
    trouble = source.trouble()
    assert trouble is not None
    assert trouble.kind == "stale"


def _broken() -> str:
    raise ZeroDivisionError("a fault of ours")


ANSWERS: dict[str, tuple[Callable[[], str], str]] = {
    "yes": (lambda: "", ""),
    "no": (lambda: "says that it is unsafe", "unsafe"),
    "gone": (_unreachable, "unreachable"),
    "broken": (_broken, "unknown"),
}


@given(names=st.lists(st.sampled_from(sorted(ANSWERS)), min_size=1, max_size=5))
def test_safe_only_if_each_says_so(names: list[str]) -> None:
    sources = [_source(ANSWERS[name][0]) for name in names]
    for source in sources:
        source.ask()
    verdict = Safety(sources).verdict()
    assert verdict.safe is all(name == "yes" for name in names)
    kinds = [trouble.kind for trouble in verdict.troubles]
    assert kinds == [ANSWERS[name][1] for name in names if name != "yes"]


def test_an_override_takes_only_what_it_names() -> None:
    names: set[str] = set()
    wet = Source("wet", lambda: "rains", CLOCK, 1, 60)
    dark = Source("dark", lambda: "is up", CLOCK, 1, 60)
    safety = Safety([wet, dark], lambda: names)
    for source in (wet, dark):
        source.ask()
    assert len(safety.verdict().troubles) == 2
    names.add("dark")
    verdict = safety.verdict()
    assert not verdict.safe
    assert [trouble.source for trouble in verdict.overridden] == ["dark"]
    names.add("wet")
    assert safety.verdict().safe


@pytest.mark.parametrize(
    ("before", "after", "news"),
    [
        ("reads wind_gust_m_s 17.2, above 15", "reads wind_gust_m_s -8e-2, above 15", False),
        ("reads wind_gust_m_s 17.2, above 15", "reads rain_rate_mm_h 17.2, above 0", True),
        ("reads humidity_percent 93, above 90", "reads humidity_percent 93, still above 85", True),
        ("is set by ana: somebody is inside", "is set by bob: somebody is inside", True),
    ],
)
def test_another_cause_is_news_and_another_figure_is_not(before, after, news) -> None:
    first, second = (Verdict((Trouble("station", "unsafe", text),)) for text in (before, after))
    assert (first.causes != second.causes) is news


def test_how_a_source_cannot_be_reached_is_no_news() -> None:
    first, second = (
        Verdict((Trouble("station", "unreachable", text),)) for text in ("no answer", "refused")
    )
    assert first.causes == second.causes


def test_a_hung_monitor_goes_stale_and_holds_up_no_other() -> None:
    release = threading.Event()
    stop = threading.Event()
    calls = iter([""])

    def hangs() -> str:
        try:
            return next(calls)
        except StopIteration:
            release.wait(30)
            return ""

    hung, well = _source(hangs, max_age_s=0.2), _source(lambda: "", max_age_s=20)
    threads = [threading.Thread(target=each.run, args=(stop,)) for each in (hung, well)]
    for thread in threads:
        thread.start()
    wait_until(lambda: "lately" in _said(hung), "the hung monitor to go stale")
    assert well.trouble() is None
    stop.set()
    release.set()
    for thread in threads:
        thread.join()


def test_a_reading_is_answered_though_the_hardware_hangs() -> None:
    release = threading.Event()
    stop = threading.Event()

    def hangs() -> DomeState:
        release.wait(30)
        return SHUT

    reader = Reader(hangs, CLOCK, pause_s=0.01)
    thread = threading.Thread(target=reader.run, args=(stop,))
    thread.start()
    reading = reader.latest(patience_s=0.05)
    assert reading.state is None
    assert not reading.closed
    release.set()
    assert wait_until(lambda: reader.latest().closed, "the hardware to be read")
    stop.set()
    thread.join()


def test_a_reading_that_fails_says_why() -> None:
    def fails() -> DomeState:
        raise DeviceTimeout("no answer in time.")

    reader = Reader(fails, CLOCK, pause_s=1.0)
    assert reader.refresh().trouble == "no answer in time."
    assert not reader.ever_read


@pytest.mark.parametrize("shutter", ["open", "opening", "closing", "error", "unknown"])
def test_only_closed_is_closed(shutter) -> None:
    state = DomeState(azim_deg=None, shutter=shutter, slewing=False, at_park=False, at_home=False)
    assert not Reader(lambda: state, CLOCK, pause_s=1.0).refresh().closed


def test_a_reading_that_fails_unexpectedly_is_no_reading() -> None:
    def broken() -> DomeState:
        raise ZeroDivisionError("a fault of ours")

    reading = Reader(broken, CLOCK, pause_s=1.0).refresh()
    assert reading.state is None
    assert "ZeroDivisionError" in reading.trouble


def test_a_late_answer_to_an_early_question_is_no_news() -> None:
    clock, late = SteppedClock(0.0), threading.Event()
    answers = [replace(SHUT, shutter="open"), SHUT]

    def read() -> DomeState:
        answer = answers.pop()
        if answer is SHUT:  # asked first, while it was shut; meanwhile somebody else asks
            late.set()
            clock.skip(1.0)
            assert reader.refresh().state == replace(SHUT, shutter="open")
        return answer

    reader = Reader(read, clock, pause_s=1.0)
    reader.refresh()
    assert late.is_set()
    assert not reader.latest().closed
    assert reader.maybe_open
    assert reader.age_s == 0.0


def test_no_answer_at_all_is_not_the_answer_that_says_safe() -> None:
    source = _source(lambda: None)  # type: ignore[arg-type, return-value]
    source.ask()
    assert source.trouble() is not None


class _BrokenMount:
    def parked(self) -> bool:
        raise ZeroDivisionError("a fault of ours")


def test_no_fault_of_the_mount_stands_in_the_way_of_the_shutter() -> None:
    clock = SteppedClock(0.0)
    guard = MountGuard(_BrokenMount(), clock, wait_s=60.0)  # type: ignore[arg-type]
    assert "ZeroDivisionError" in guard.clear_way()
    assert 60.0 <= clock.monotonic() <= 62.0
    assert guard.clear_way()
    assert clock.monotonic() <= 62.0
