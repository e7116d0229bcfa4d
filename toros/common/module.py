"""What a room hands to the daemon that runs it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sqlalchemy.orm import Session, sessionmaker

from toros.common.clock import Clock
from toros.common.config.models import Config
from toros.common.requests import RequestTable
from toros.common.work_order import Json

S = TypeVar("S")

# Longer than any time-out of a device or a peer that a loop may wait for (machine seconds).
PATIENCE_S = 600.0


@dataclass(frozen=True)
class Context:
    """What every module is built from."""

    config: Config
    clock: Clock
    sessions: sessionmaker[Session]


@dataclass(frozen=True)
class Loop:
    """A background thread of a module.

    Parameters
    ----------
    name : str
        For the log and the thread.
    run : callable
        Called once with an event; returns soon after the event is set. If it raises, the daemon
        logs the error and calls it again.
    patience_s : float, optional
        How long, in machine seconds, the loop may go without a look at the event (`is_set` or
        `wait`); a wait on the event itself may be as long as it likes. A loop that is silent for
        longer hangs: the watchdog is not fed, and systemd restarts the module. None: for ever.
    """

    name: str
    run: Callable[[threading.Event], None]
    patience_s: float | None = PATIENCE_S


def _nothing() -> None:
    return None


def _no_keys() -> dict[str, Json]:
    return {}


@dataclass(frozen=True)
class Module(Generic[S]):
    """A module, ready to be served.

    Parameters
    ----------
    name : str
        As in the configuration's `services`.
    state : object
        Passed to every handler.
    table : RequestTable
        Its requests.
    loops : sequence of Loop
        Its background threads.
    close : callable
        Called when the daemon has stopped all threads.
    close_s : float
        How long that may take, machine seconds, where it is longer than a moment.
    describe : callable
        Returns the module's own keys of the answer to `status`.
    """

    name: str
    state: S
    table: RequestTable[S]
    loops: Sequence[Loop] = ()
    close: Callable[[], None] = field(default=_nothing)
    close_s: float = 0.0
    describe: Callable[[], dict[str, Json]] = field(default=_no_keys)
