"""One run over a file batch, and what a step is."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from sqlalchemy.orm import Session, sessionmaker

from toros.common.clock import Clock
from toros.common.config.preprocessor import PreprocessorSettings
from toros.common.digests import sha256_of
from toros.common.errors import Cancelled, TorosError
from toros.preprocessor.places import Place, name_within

if TYPE_CHECKING:
    from toros.preprocessor.fetching import Fetcher

Progress = Callable[[str, int, int], None]  # step, units done, units in all


def no_progress(step: str, done: int, total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a step may know of the run that it is part of.

    Parameters
    ----------
    file_batch_id, generation : int
        Whose units are done; each restart of a file batch is a new generation.
    places : tuple of Place
        Its sources, and where the raw files of each are read.
    products : pathlib.Path
        Where masters and calibrated images are written.
    """

    sessions: sessionmaker[Session]
    clock: Clock
    settings: PreprocessorSettings
    file_batch_id: int
    generation: int
    places: tuple[Place, ...]
    products: Path
    threads: int = 1
    retry: bool = False  # do again what failed or was done with less than it wants
    progress: Progress = no_progress
    cancelled: threading.Event = field(default_factory=threading.Event)
    web: Fetcher | None = None  # brings frames that are on the web
    digest_of: Callable[[Path], str] = sha256_of  # of raw frames; may be known ahead

    def key(self, path: Path) -> str:
        """Return the name of a raw file within the batch."""
        return name_within(self.places, path)

    def raise_if_cancelled(self) -> None:
        """Raise `Cancelled` once somebody asked for it."""
        if self.cancelled.is_set():
            raise Cancelled("The reduction was cancelled; it can be resumed.")


I = TypeVar("I")  # noqa: E741 - the inputs of a unit
P = TypeVar("P")  # what its work gives


@dataclass(frozen=True)
class Unit(Generic[I]):
    """One product's worth of a step: one master, one light, one file.

    Parameters
    ----------
    key : str
        Names it within the step.
    exposures : frozenset of int
        Ids of those that its product would be of, where it is a product of exposures.
    """

    key: str
    inputs: I
    exposures: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Problem:
    """Something that a person should know of a unit that is done all the same."""

    code: int
    message: str
    level: int = logging.ERROR  # ERROR mails the admins


@dataclass(frozen=True)
class Outcome:
    """What a unit left in the archive."""

    combination_id: int | None = None
    problem: Problem | None = None


class Step(Protocol[I, P]):
    """One step of the reduction.

    `units` and `record` read and write the archive and run in one thread; `work` touches pixels
    only and may run in several.
    """

    name: str
    makes_products: bool  # a unit that is none any more has left a product that others replace

    def units(self, session: Session, run: Run) -> Sequence[Unit[I]]:
        """Return all units of the step, those done before included."""

    def work(self, run: Run, unit: Unit[I]) -> P:
        """Do one unit: write its product, whole or not at all."""

    def record(self, session: Session, run: Run, unit: Unit[I], product: P) -> Outcome:
        """Record the product in the transaction that marks the unit done."""

    def fail(self, session: Session, run: Run, unit: Unit[I], error: TorosError) -> None:
        """Record what the failure means for the unit's inputs, in the transaction that says so."""
