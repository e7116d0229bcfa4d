"""The threads that kernels run in: one for each core, shared by the whole process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import lru_cache
from typing import TypeVar

T = TypeVar("T")

# Some planes of so many float32 are in the third-level cache together, and the interpreter's part
# of the work on a strip is small.
_STRIP_PIXELS = 128 * 1024


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cores(), thread_name_prefix="kernel")


def strips(height: int, width: int) -> list[slice]:
    """Return the rows of an image cut into strips of some hundred thousand pixels."""
    step = max(1, _STRIP_PIXELS // max(width, 1))
    return [slice(at, min(at + step, height)) for at in range(0, height, step)]


def in_threads(work: Callable[[T], None], parts: Iterable[T]) -> None:
    """Do `work` for each of `parts`, in all threads; the first error is raised.

    `work` must not call this function itself.
    """
    if cores() == 1:
        for part in parts:
            work(part)
        return
    futures = [_pool().submit(work, part) for part in parts]
    try:
        wait(futures, return_when=FIRST_EXCEPTION)
    finally:
        for future in futures:
            future.cancel()
        wait(futures)
    for future in futures:
        if not future.cancelled():
            future.result()
