"""Whether it is safe to be open. What is not known is not safe."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from toros.common.clock import Clock
from toros.common.errors import DeviceError, PeerError, TorosError
from toros.common.work_order import Json
from toros.common.workers import run_guarded

# unsafe: it says so. stale: it has not answered lately. unreachable: it cannot be asked.
# unknown: it was not heard yet, or what it says makes no sense.
Kind = Literal["unsafe", "stale", "unreachable", "unknown"]
Ask = Callable[[], str]
# A figure: a number that is no part of a name.
_FIGURE = re.compile(r"(?<![\w.])[-+]?\d+(\.\d+)?(e[-+]?\d+)?")


@dataclass(frozen=True)
class Trouble:
    """Why one source does not call it safe."""

    source: str
    kind: Kind
    text: str

    @property
    def cause(self) -> str:
        """What a source names as unsafe, without the figures; empty where it says nothing.

        In how many ways a source cannot be reached, one after the other, is no news.
        """
        return _FIGURE.sub("", self.text) if self.kind == "unsafe" else ""

    def __str__(self) -> str:
        return f"{self.source} {self.text}"


class SafetySource(Protocol):
    """One thing that must say "safe"."""

    @property
    def name(self) -> str:
        """For people, and for an override: "safety monitor 0"."""
        ...

    @property
    def heard(self) -> bool:
        """Whether it was asked at all, with whatever result."""
        ...

    @property
    def age_s(self) -> float | None:
        """How old its answer is; None if there is none."""
        ...

    @property
    def max_age_s(self) -> float:
        """For how long an answer is believed."""
        ...

    def trouble(self) -> Trouble | None:
        """Return why it is not safe; None if it is."""
        ...


class Source:
    """A source that is asked in a thread of its own, so that none waits for another.

    Parameters
    ----------
    name : str
        For people: "safety monitor 0".
    ask : callable
        Returns why it is not safe, empty if it is; raises `TorosError` when it cannot be asked.
    clock : Clock
        The observatory's clock; what is measured by it is never turned back.
    pause_s, max_age_s : float
        Seconds between two questions, and for which an answer is believed.
    """

    def __init__(self, name: str, ask: Ask, clock: Clock, pause_s: float, max_age_s: float) -> None:
        self.name = name
        self.pause_s = pause_s
        self.max_age_s = max_age_s
        self._ask = ask
        self._clock = clock
        # Replaced as a whole: another thread sees the old answer or the new one.
        self._answer: tuple[float, Trouble | None] | None = None

    def run(self, stop: threading.Event) -> None:
        """Ask until `stop` is set: a module's loop."""
        while not stop.is_set():
            self.ask()
            self._clock.wait(stop, self.pause_s)

    def ask(self) -> None:
        """Ask once. Whatever goes wrong is an answer: it is not safe."""
        asked = self._clock.monotonic()  # the answer is as old as the question
        try:
            said = run_guarded(f"Asking {self.name}", self._ask)
            # Only the empty text says safe, and nothing that merely is no yes and no no.
            trouble = Trouble(self.name, "unsafe", str(said)) if said != "" else None
        except (DeviceError, PeerError) as error:
            trouble = Trouble(self.name, "unreachable", f"cannot be asked ({error.message})")
        except TorosError as error:
            trouble = Trouble(self.name, "unknown", f"does not say ({error.message})")
        self._answer = (asked, trouble)

    @property
    def heard(self) -> bool:
        """Whether it was asked at all, with whatever result."""
        return self._answer is not None

    @property
    def age_s(self) -> float | None:
        """How old its answer is, seconds; None if there is none."""
        answer = self._answer
        return None if answer is None else self._clock.monotonic() - answer[0]

    def trouble(self) -> Trouble | None:
        """Return why this source does not call it safe; None if it does."""
        answer = self._answer
        if answer is None:
            return Trouble(self.name, "unknown", "was not heard yet")
        asked, trouble = answer
        if trouble is None and self._clock.monotonic() - asked > self.max_age_s:
            return Trouble(self.name, "stale", "has not answered lately")
        return trouble


@dataclass(frozen=True)
class Verdict:
    """Whether it is safe; if not, every reason why, and which reasons are overridden."""

    troubles: tuple[Trouble, ...]
    overridden: tuple[Trouble, ...] = ()

    @property
    def safe(self) -> bool:
        """Whether the dome may be open."""
        return not self.troubles

    @property
    def because(self) -> list[str]:
        """Every reason why it is not safe."""
        return [str(trouble) for trouble in self.troubles]

    @property
    def causes(self) -> frozenset[tuple[str, str, str, bool]]:
        """What distinguishes this verdict from another, without the figures in its texts."""
        return frozenset(
            (trouble.source, trouble.kind, trouble.cause, trouble in self.overridden)
            for trouble in (*self.troubles, *self.overridden)
        )

    def __str__(self) -> str:
        return "; ".join(self.because) or "safe"


class Safety:
    """All sources together: safe only if each says so, and there is one.

    Parameters
    ----------
    sources : sequence
        What must say safe.
    overridden : callable
        Returns the names of the sources that an operator overrides now.
    """

    def __init__(
        self,
        sources: Sequence[SafetySource],
        overridden: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        self.sources = tuple(sources)
        self._overridden = overridden

    @property
    def heard(self) -> bool:
        """Whether each source was asked at all."""
        return all(source.heard for source in self.sources)

    @property
    def slowest_s(self) -> float:
        """The longest that any source may take to be noticed when it falls silent, seconds."""
        return max((source.max_age_s for source in self.sources), default=0.0)

    def verdict(self) -> Verdict:
        """Return whether it is safe now."""
        if not self.sources:
            return Verdict((Trouble("the dome", "unknown", "has no source of safety"),))
        names = self._overridden()
        found = [trouble for source in self.sources if (trouble := source.trouble())]
        return Verdict(
            tuple(trouble for trouble in found if trouble.source not in names),
            tuple(trouble for trouble in found if trouble.source in names),
        )

    def describe(self) -> list[Json]:
        """Return what each source says, as JSON."""
        names = self._overridden()
        rows: list[Json] = []
        for source in self.sources:
            trouble = source.trouble()
            rows.append(
                {
                    "name": source.name,
                    "safe": trouble is None,
                    "kind": trouble.kind if trouble else None,
                    "because": trouble.text if trouble else "",
                    "age_s": source.age_s,
                    "max_age_s": source.max_age_s,
                    "overridden": source.name in names,
                }
            )
        return rows
