"""What an operator says about safety: a lock that keeps the dome closed, and an override.

The lock is written into the archive in the transaction of the order that sets it, and holds until
it is taken off, whatever dies meanwhile. An override is kept nowhere: after a restart none holds.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from toros.archive.models import Event
from toros.common.clock import Clock, iso
from toros.common.module import Context
from toros.common.requests import Task
from toros.common.work_order import Json
from toros.dome.safety import Trouble

KIND = "lock"


@dataclass(frozen=True)
class LockState:
    """Whether the dome is locked, by whom, when and why."""

    locked: bool
    user: str = ""
    reason: str = ""
    time: str = ""


class OperatorLock:
    """The operator's lock: a source of safety that only an order changes.

    Parameters
    ----------
    context : Context
        Its archive keeps the lock.
    """

    name = "operator's lock"

    def __init__(self, context: Context) -> None:
        self._context = context
        self._changing = threading.Lock()
        self._state: LockState | None = None
        self._trouble = "was not read yet"
        self.max_age_s = 0.0  # it holds until it is changed

    @property
    def heard(self) -> bool:
        """Whether the archive told."""
        return self._state is not None

    @property
    def age_s(self) -> float | None:
        """It does not age: None until it is known."""
        return None if self._state is None else 0.0

    @property
    def state(self) -> LockState | None:
        """The lock; None if it is not known."""
        return self._state

    def read(self) -> None:
        """Learn from the archive whether the dome was locked; known once, it stays known."""
        newest = (
            select(Event.data, Event.time)
            .where(Event.module == "dome", Event.kind == KIND)
            .where(Event.data["node"].as_string() == self._context.config.node)
            .order_by(Event.id.desc())
            .limit(1)
        )
        with self._changing:
            if self._state is not None:
                return
            try:
                with self._context.sessions() as session:
                    row = session.execute(newest).one_or_none()
            except SQLAlchemyError as error:
                self._trouble = f"cannot be read ({type(error).__name__})"
                return
            self._state = LockState(False) if row is None else _state(*row)

    def set(self, task: Task, *, locked: bool, reason: str) -> LockState:
        """Lock or unlock, by order: in the archive and here, or not at all."""
        user = task.order.user or ""
        now = self._context.clock.now()
        state = LockState(locked, user, reason, iso(now))
        who = user or "an operator"
        text = f"The dome is {'locked' if locked else 'unlocked'} by {who}: {reason or '-'}"
        node = self._context.config.node  # several nodes may share an archive
        data: dict[str, Json] = {"locked": locked, "user": user, "reason": reason, "node": node}
        with self._changing:
            if locked:
                self._state = state  # at once: the archive may be slow
            event = Event(
                time=now, module="dome", kind=KIND, level="warning", message=text, data=data
            )
            with self._context.sessions.begin() as session:
                session.add(event)
                task.complete(session, True)
            self._state = state
        return state

    def trouble(self) -> Trouble | None:
        """Return that it is locked, or not known to be unlocked."""
        state = self._state
        if state is None:
            return Trouble(self.name, "unknown", self._trouble)
        if not state.locked:
            return None
        by = f" by {state.user}" if state.user else ""
        return Trouble(self.name, "unsafe", f"is set{by}: {state.reason or 'no reason given'}")


def _state(data: dict[str, Json], time: datetime) -> LockState:
    return LockState(
        data.get("locked") is not False,
        str(data.get("user", "")),
        str(data.get("reason", "")),
        iso(time),
    )


@dataclass(frozen=True)
class Override:
    """Sources that do not count for a while."""

    sources: frozenset[str]
    until: float  # by the clock that is never turned back
    until_time: str
    user: str
    reason: str


class Overrides:
    """The operator's override, which ends by itself."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._current: Override | None = None

    @property
    def current(self) -> Override | None:
        """The override in force."""
        current = self._current
        return current if current and self._clock.monotonic() < current.until else None

    def sources(self) -> Collection[str]:
        """Return the names of the sources that do not count now."""
        current = self.current
        return current.sources if current else ()

    def set(self, sources: Collection[str], seconds: float, user: str, reason: str) -> Override:
        """Let some sources not count for a while; a former override ends."""
        until = iso(datetime.fromtimestamp(self._clock.unix() + seconds, self._clock.now().tzinfo))
        self._current = Override(
            frozenset(sources), self._clock.monotonic() + seconds, until, user, reason
        )
        return self._current

    def end(self) -> None:
        """Let every source count."""
        self._current = None
