"""Threads that serve the eldest first, so that what is worked on side by side ends one by one.

Two lights whose rows are written in turn end together, and the disk has nothing to do until the
next two have begun. Where the rows of the elder go first, the younger is on its way meanwhile.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count


class EldestFirst:
    """Some threads, and what waits for them.

    Parameters
    ----------
    threads : int
        How many.
    name : str
        What their names begin with.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._waiting: list[tuple[int, int, Callable[[], None], Future[None]]] = []
        self._lock = threading.Lock()
        self._numbers = count()

    def submit(self, born: int, work: Callable[[], None]) -> Future[None]:
        """Have `work` done, before all that waits and was born later."""
        future: Future[None] = Future()
        with self._lock:
            # The number keeps the order among those of one age, and is never the same.
            heapq.heappush(self._waiting, (born, next(self._numbers), work, future))
        self._pool.submit(self._serve)
        return future

    def _serve(self) -> None:
        with self._lock:
            _born, _number, work, future = heapq.heappop(self._waiting)
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - who waits for it is told
            future.set_exception(error)
        else:
            future.set_result(None)
