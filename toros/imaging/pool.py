"""The threads that kernels run in: one for each core, shared by the whole process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import lru_cache
from typing import TypeVar, cast

T = TypeVar("T")
R = TypeVar("R")

# Some planes of so many float32 are in the third-level cache together, and the interpreter's part
# of the work on a strip is small.
_STRIP_PIXELS = 512 * 1024
_END = object()


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cores(), thread_name_prefix="kernel")


def strips(height: int, width: int, start: int = 0) -> list[slice]:
    """Return the rows of an image, from `start` on, in strips of some hundred thousand pixels."""
    step = max(1, _STRIP_PIXELS // max(width, 1))
    return [slice(at, min(at + step, height)) for at in range(start, height, step)]


def in_threads(work: Callable[[T], None], parts: Iterable[T], *, alone: bool = False) -> None:
    """Do `work` for each of `parts`, in all threads; the first error is raised.

    `work` must not call this function itself. With `alone` it is done in the calling thread.
    """
    if alone or cores() == 1:
        for part in parts:
            work(part)
        return
    remaining = iter(parts)
    all_there, failed = threading.Event(), threading.Event()
    lock = threading.Lock()

    def take_turns() -> None:
        all_there.wait()
        # One task for each thread, not for each part: a task costs as much as a small part.
        while not failed.is_set():
            with lock:
                part = next(remaining, _END)
            if part is _END:
                return
            try:
                work(cast("T", part))
            except BaseException:
                failed.set()
                raise

    futures: list[Future[None]] = []
    try:
        futures = [_pool().submit(take_turns) for _ in range(cores())]
        all_there.set()
        wait(futures)
    except BaseException:
        # Ctrl-C: whoever catches it closes the files that parts are still written to.
        failed.set()
        all_there.set()
        wait(futures)
        raise
    for future in futures:
        future.result()


@contextmanager
def begun(work: Callable[[], R], *, alone: bool = False) -> Iterator[Callable[[], R]]:
    """Begin `work` in one of the threads; yield what waits for it and returns what it made.

    With `alone` it is done in the calling thread, when it is waited for. It has ended when the
    context ends.
    """
    if alone or cores() == 1:
        yield lru_cache(work)
        return
    future = _pool().submit(work)
    try:
        yield future.result
    finally:
        wait([future])


def mapped(work: Callable[[T], R], parts: Sequence[T]) -> list[R]:
    """Return what `work` makes of each of `parts`, in their order; see `in_threads`."""
    made: dict[int, R] = {}

    def make(index: int) -> None:
        made[index] = work(parts[index])

    in_threads(make, range(len(parts)))
    return [made[index] for index in range(len(parts))]
