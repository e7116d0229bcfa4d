"""Whether it is safe to be open. What is not known is not safe."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from toros.common.errors import DeviceError


@dataclass(frozen=True)
class Verdict:
    """Whether it is safe, and if not, every reason why."""

    because: tuple[str, ...]

    @property
    def safe(self) -> bool:
        """Whether the dome may be open."""
        return not self.because

    def __str__(self) -> str:
        return "; ".join(self.because) or "safe"


class Source:
    """One thing that must say "safe", asked in a thread of its own so that none waits for another.

    Parameters
    ----------
    name : str
        For people: "safety monitor 0".
    ask : callable
        Returns whether it is safe; raises `DeviceError` when it cannot be asked.
    pause_s, max_age_s : float
        Machine seconds between two questions, and for which an answer is believed.
    """

    def __init__(
        self, name: str, ask: Callable[[], bool], pause_s: float, max_age_s: float
    ) -> None:
        self.name = name
        self._ask = ask
        self._pause_s = pause_s
        self._max_age_s = max_age_s
        # Replaced as a whole: another thread sees the old answer or the new one.
        self._answer = (float("-inf"), "was not heard yet")

    def run(self, stop: threading.Event) -> None:
        """Ask until `stop` is set: a module's loop."""
        while not stop.is_set():
            self.ask()
            stop.wait(self._pause_s)

    def ask(self) -> None:
        """Ask once."""
        asked = time.monotonic()  # the answer is as old as the question
        try:
            trouble = "" if self._ask() is True else "says that it is unsafe"
        except DeviceError as error:
            trouble = f"cannot be asked ({error.message})"
        self._answer = (asked, trouble)

    @property
    def heard(self) -> bool:
        """Whether it was asked at all, with whatever result."""
        return self._answer[0] > float("-inf")

    def trouble(self) -> str:
        """Return why this source does not call it safe; empty if it does."""
        asked, trouble = self._answer
        if not trouble and time.monotonic() - asked > self._max_age_s:
            trouble = "has not answered lately"
        return f"{self.name} {trouble}" if trouble else ""


class Safety:
    """All sources together: safe only if each says so, and there is one."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = tuple(sources)

    @property
    def heard(self) -> bool:
        """Whether each source was asked at all."""
        return all(source.heard for source in self.sources)

    def verdict(self) -> Verdict:
        """Return whether it is safe now."""
        if not self.sources:
            return Verdict(("there is no safety monitor",))
        return Verdict(tuple(filter(None, (source.trouble() for source in self.sources))))
