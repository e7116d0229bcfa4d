"""The threads that strips are worked on in."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from toros.imaging import pool


@pytest.fixture
def interrupted() -> Iterator[threading.Event]:
    """Set once Ctrl-C has reached the main thread."""
    seen = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        seen.set()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, handle)
    yield seen
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(pool.cores() == 1, reason="on one core there is only the calling thread")
def test_ctrl_c_is_not_heard_of_before_all_that_has_begun_has_ended(
    interrupted: threading.Event,
) -> None:
    begun: list[int] = []
    ended: list[int] = []
    left = threading.Event()

    def work(part: int) -> None:
        begun.append(part)
        if part == 0:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            assert interrupted.wait(10)
            # Whoever left now would leave this part at its work.
            left.wait(0.3)
        ended.append(part)

    def parts() -> Iterator[int]:
        yield 0
        for number in range(1, 1000):
            assert interrupted.wait(10)
            yield number

    with pytest.raises(KeyboardInterrupt):
        pool.in_threads(work, parts())
    ended_then = sorted(ended)
    left.set()
    assert ended_then == sorted(begun)
    assert 0 in begun
    assert len(begun) < 1000
