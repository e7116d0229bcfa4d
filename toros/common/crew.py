"""Threads for connections: one each, and used again.

Starting a thread makes the one that starts it wait for its first sign of life, and that is the one
that accepts connections: under a flood the queue of those who knock would overflow meanwhile, and
who is dropped there knocks again only after a second.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

# How long a thread waits for another connection before it ends (machine seconds).
IDLE_S = 2.0

Job = Callable[[], None]


class Crew:
    """As many threads as there are jobs at a time.

    Parameters
    ----------
    name : str
        What the threads are called.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        # Threads that wait, and for which no job in the queue is meant.
        self._free = 0
        self._lock = threading.Lock()

    def do(self, job: Job) -> None:
        """Have a job done at once, by a thread that is free or by a new one.

        A job must not raise.
        """
        with self._lock:
            if self._free:
                self._free -= 1
                self._jobs.put(job)
                return
        threading.Thread(target=self._work, args=(job,), name=self._name, daemon=True).start()

    def _work(self, job: Job | None) -> None:
        while job is not None:
            job()
            with self._lock:
                self._free += 1
            job = None  # what it holds need not wait for the next
            job = self._next()

    def _next(self) -> Job | None:
        """Return the next job, or None when there is none for a while."""
        while True:
            try:
                return self._jobs.get(timeout=IDLE_S)
            except queue.Empty:
                with self._lock:
                    if self._free:
                        self._free -= 1
                        return None
                # All who wait are meant: there is a job, for one of us or for another.
