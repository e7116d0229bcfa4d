"""When what failed is tried again: ever later, each for itself. All seconds are the machine's."""

from __future__ import annotations

import time

FIRST_S = 1.0
LONGEST_S = 300.0


class Pauses:
    """The pauses of whatever has a name."""

    def __init__(self) -> None:
        self._pauses: dict[str, tuple[float, float]] = {}  # how long, and until when

    def begin(self, name: str) -> None:
        """Pause, for twice as long as the last time."""
        before = self._pauses.get(name)
        seconds = min(2 * before[0], LONGEST_S) if before else FIRST_S
        self._pauses[name] = seconds, time.monotonic() + seconds

    def forget(self, name: str) -> None:
        """End the pause: it went well."""
        self._pauses.pop(name, None)

    def lasts(self, name: str) -> bool:
        """Return whether a pause has not ended yet."""
        return self.left_s(name) > 0.0

    def length_s(self, name: str) -> float:
        """Return how long the pause is that lasts, or was the last; 0 if nothing failed."""
        return self._pauses.get(name, (0.0, 0.0))[0]

    def left_s(self, name: str) -> float:
        """Return how long a pause lasts still."""
        return max(self._pauses.get(name, (0.0, 0.0))[1] - time.monotonic(), 0.0)

    def next_s(self) -> float | None:
        """Return when the next pause ends; None if none lasts."""
        return min((self.left_s(name) for name in self._pauses if self.lasts(name)), default=None)
