"""What waits is served by age, and what fails says so to who waits for it."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from toros.imaging.eldest_first import EldestFirst

PATIENCE_S = 30


def test_the_eldest_is_served_first() -> None:
    threads, free = EldestFirst(1, "test"), threading.Event()
    order: list[str] = []

    def hold() -> None:
        assert free.wait(PATIENCE_S)

    asked = ((2, "young"), (1, "old"), (2, "young too"), (1, "old too"))
    waiting = [threads.submit(0, hold)]
    waiting += [threads.submit(born, partial(order.append, name)) for born, name in asked]
    free.set()
    for future in waiting:
        future.result(PATIENCE_S)
    assert order == ["old", "old too", "young", "young too"]


def test_an_error_reaches_who_waits_and_the_others_go_on() -> None:
    def fail() -> None:
        raise OSError(28, "No space left on device")

    threads = EldestFirst(1, "test")
    failed, after = threads.submit(1, fail), threads.submit(2, lambda: None)
    with pytest.raises(OSError, match="No space"):
        failed.result(PATIENCE_S)
    after.result(PATIENCE_S)
