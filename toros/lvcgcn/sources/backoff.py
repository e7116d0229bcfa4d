"""How long to wait before a connection is tried again."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field

#: Never more than one connection a second, whatever happens (machine seconds).
LEAST_S = 1.0
MOST_S = 60.0
#: A connection has done well when it lasted so long and something sensible came over it.
HEALTHY_S = 30.0


@dataclass
class Backoff:
    """Pauses that double from one second to a minute, with jitter.

    A connection that is accepted and closed at once is no success: only one that was healthy for
    a while begins the series anew.
    """

    attempts: int = 0
    _connected: float | None = None
    _random: random.Random = field(default_factory=random.Random)

    def connected(self) -> None:
        """Note that a connection stands."""
        self._connected = time.monotonic()

    def healthy(self) -> None:
        """Note that something sensible came over the connection."""
        if self._connected is not None and time.monotonic() - self._connected >= HEALTHY_S:
            self.attempts = 0

    def pause_s(self) -> float:
        """Return how long to wait now, at least `LEAST_S`."""
        self._connected = None
        most = min(LEAST_S * 2.0**self.attempts, MOST_S)
        self.attempts += 1
        # Many robots lose one broker at the same moment: they must not come back in step.
        return LEAST_S + self._random.uniform(0.0, most)
