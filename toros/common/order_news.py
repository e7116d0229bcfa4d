"""Wakes those in this process who wait for orders to come, or for one of them to end."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class OrderNews:
    """What happened to the orders of one module in this process.

    Each lane waits for an order of its own to come, each client for the end of its own. Woken are
    those alone: a lane, or many clients who wait, would else ask the database for nothing.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._arrivals: Counter[str] = Counter()
        self._wakings = 0  # of all lanes
        self._count = 0
        self._waiting: dict[str, list[threading.Event]] = {}
        self._closed = False

    @property
    def count(self) -> int:
        """A number that grows with each order that comes or ends in this process."""
        with self._changed:
            return self._count

    def arrivals(self, lane: str) -> int:
        """Return a number that grows whenever there may be something to do in a lane."""
        with self._changed:
            return self._wakings + self._arrivals[lane]

    @property
    def closed(self) -> bool:
        """Whether the module stops: nobody is to wait any more."""
        with self._changed:
            return self._closed

    def arrived(self, lane: str) -> None:
        """Wake the lane in which an order came."""
        with self._changed:
            self._count += 1
            self._arrivals[lane] += 1
            self._changed.notify_all()

    def wake_lanes(self) -> None:
        """Wake every lane: there may be something to do in any."""
        with self._changed:
            self._count += 1
            self._wakings += 1
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
            self._wakings += 1
            self._changed.notify_all()
            for events in self._waiting.values():
                for event in events:
                    event.set()

    def wait_for_arrival(self, lane: str, seen: int, seconds: float) -> None:
        """Return when `arrivals` of a lane is not `seen` any more, or after machine `seconds`."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._wakings + self._arrivals[lane] != seen, timeout=seconds
            )

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
