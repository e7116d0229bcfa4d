"""When this process took the orders that it has in hand, by the clock that is never turned back.

The journal has the time of day, for people. What came before what, and how long ago, is told by
these moments: were the machine's time set back or forth, an order would else be older or newer than
it is. Of an order that another process took they say nothing.
"""

from __future__ import annotations

import threading

# Orders that other nodes do are never taken out.
MOST = 10_000


class OrderMoments:
    """The moments of the orders that are not over."""

    def __init__(self) -> None:
        self._moments: dict[str, float] = {}
        self._lock = threading.Lock()

    def put(self, key: str, moment: float) -> None:
        """Keep when an order was taken; the oldest make room."""
        with self._lock:
            self._moments[key] = moment
            while len(self._moments) > MOST:
                del self._moments[next(iter(self._moments))]

    def of(self, key: str) -> float | None:
        """Return when an order was taken; None if it was not by this process."""
        with self._lock:
            return self._moments.get(key)

    def forget(self, key: str) -> None:
        """Forget an order that is over."""
        with self._lock:
            self._moments.pop(key, None)
