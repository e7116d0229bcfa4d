"""Wakes those in this process who wait for orders to come, or for one of them to end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class OrderNews:
    """What happened to the orders of one module in this process.

    Lanes wait for any order to come; each client waits for the end of its own. Woken are those
    alone, so that many clients who wait do not all ask the database whenever one order ends.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._arrivals = 0
        self._count = 0
        self._waiting: dict[str, list[threading.Event]] = {}
        self._closed = False

    @property
    def count(self) -> int:
        """A number that grows with each order that comes or ends in this process."""
        with self._changed:
            return self._count

    @property
    def arrivals(self) -> int:
        """A number that grows whenever there may be something to do."""
        with self._changed:
            return self._arrivals

    @property
    def closed(self) -> bool:
        """Whether the module stops: nobody is to wait any more."""
        with self._changed:
            return self._closed

    def arrived(self) -> None:
        """Wake the lanes."""
        with self._changed:
            self._count += 1
            self._arrivals += 1
            self._changed.notify_all()

    def ended(self, key: str) -> None:
        """Wake those who wait for the end of an order."""
        with self._changed:
            self._count += 1
            for event in self._waiting.get(key, ()):
                event.set()

    def close(self) -> None:
        """Wake all: the module stops."""
        with self._changed:
            self._closed = True
            self._arrivals += 1
            self._changed.notify_all()
            for events in self._waiting.values():
                for event in events:
                    event.set()

    def wait_for_arrival(self, seen: int, seconds: float) -> None:
        """Return when `arrivals` is no longer `seen`, or after `seconds` of the machine."""
        with self._changed:
            self._changed.wait_for(lambda: self._arrivals != seen, timeout=seconds)

    @contextmanager
    def waiting_for_end(self, key: str) -> Iterator[threading.Event]:
        """Yield an event that is set when the order has ended, or the module stops."""
        event = threading.Event()
        with self._changed:
            self._waiting.setdefault(key, []).append(event)
            if self._closed:
                event.set()
        try:
            yield event
        finally:
            with self._changed:
                events = self._waiting[key]
                events.remove(event)
                if not events:
                    del self._waiting[key]
