"""A few places for bodies that are large: memory is bounded however many clients send them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, TimeoutError
from typing import TypeVar

T = TypeVar("T")

LARGE = 64 << 10
PLACES = 2
WAITING = 8
PLACE_S = 2.0


class NoPlace(Exception):
    """Too many large bodies are being read already."""


class LargeBodies:
    """Reads and parses large bodies, few at a time, always in the same threads.

    A body of a mebibyte can be worth twenty when it is parsed. And the C library keeps what a
    thread has freed for the next of its kind: read by ever other threads, large bodies would leave
    megabytes with each of them.
    """

    def __init__(self) -> None:
        self._present = threading.BoundedSemaphore(PLACES + WAITING)
        self._readers = ThreadPoolExecutor(PLACES, thread_name_prefix="large")
        # They start now, as part of the server's size at rest.
        begun = threading.Barrier(PLACES)
        for _ in range(PLACES):
            self._readers.submit(begun.wait)

    def read(self, length: int, work: Callable[[], T]) -> T:
        """Return what `work` returns, which reads and parses a body of `length` bytes.

        Few may wait for a place: who waits holds a thread, even when its connection has made room
        for another.

        Raises
        ------
        NoPlace
            When no place becomes free soon.
        """
        if length <= LARGE:
            return work()
        if not self._present.acquire(blocking=False):
            raise NoPlace
        try:
            return self._result(self._readers.submit(work))
        finally:
            self._present.release()

    @staticmethod
    def _result(reading: Future[T]) -> T:
        try:
            return reading.result(PLACE_S)
        except TimeoutError:
            if reading.cancel():
                raise NoPlace from None
            return reading.result()  # it has begun, and its connection has a deadline
        finally:
            # It holds the error, whose traceback holds this frame: the connection's socket would
            # stay open until the garbage is collected.
            del reading

    def close(self) -> None:
        """Let the threads go once they have nothing to read."""
        self._readers.shutdown(wait=False)
