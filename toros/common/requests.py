"""The table of a module's requests: one typed row each, from which all else is derived."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy.orm import Session

from toros.common.errors import Cancelled, InvalidField, UnknownRequest
from toros.common.nearest import nearest
from toros.common.request_names import canonical
from toros.common.work_order import Json, WorkOrder, explain


class Fields(BaseModel):
    """Base of a request's own fields. Unknown ones are refused by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoFields(Fields):
    """The fields of a request that has none."""


# Marks an order done, with its result, in the transaction of the session.
Completion = Callable[[Session, Json], None]


@dataclass
class Task:
    """What a handler knows of the order that it works on."""

    order: WorkOrder
    cancelled: threading.Event = field(default_factory=threading.Event)
    _complete: Completion | None = None
    # When this process took it, by the clock that is never turned back; None: not journaled, or
    # inherited, that is, taken by a process that is no more, or by another.
    taken: float | None = None
    inherited: bool = False
    completed: bool = False
    # Set with `cancelled` when the order belongs to another worker by now.
    lost: bool = False

    @property
    def id(self) -> str:
        """The order's id."""
        return self.order.key

    def raise_if_cancelled(self) -> None:
        """Raise `Cancelled` once somebody asked for it."""
        if self.cancelled.is_set():
            raise Cancelled(f"Work order {self.id} was cancelled.")

    def complete(self, session: Session, result: Json) -> None:
        """Mark the order done in the transaction of `session`, so that both commit or neither.

        Raises
        ------
        LostOwnership
            When another worker took the order over: the caller's transaction must not commit.
        """
        if self._complete is not None:
            self._complete(session, result)
            self.completed = True


S = TypeVar("S")
F = TypeVar("F", bound=Fields)


@dataclass(frozen=True, kw_only=True)
class Request(Generic[S, F]):
    """One request of a module.

    Parameters
    ----------
    name : str
        The canonical name, in lower case with underscores.
    fields : type
        The model of its own fields.
    handler : callable
        Called with the module's state, the fields and the task; returns the result.
    summary : str
        One line for people.
    aliases : tuple of str
        Other spellings. Case and underscores never matter.
    journaled : bool
        Whether the order is committed to the journal and done by a worker; else it is answered at
        once and leaves no trace.
    lane : str
        The worker that does it. Orders of one lane are done one after another.
    wait_s : float
        How long a reply is held when the client does not say.
    restart : str
        What becomes of it when the module dies under it: done again, or marked interrupted.
    anywhere : bool
        Whether any node whose module uses the same database may do it; else only the node whose
        front desk took it, as it is with all that moves hardware or reads local files.
    """

    name: str
    fields: type[F]
    handler: Callable[[S, F, Task], Json]
    summary: str
    aliases: tuple[str, ...] = ()
    journaled: bool = False
    lane: str = "main"
    wait_s: float = 0.0
    restart: Literal["repeat", "interrupt"] = "interrupt"
    anywhere: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Its name and its other names."""
        return (self.name, *self.aliases)

    def read_fields(self, order: WorkOrder) -> F:
        """Return the order's own fields, checked.

        Raises
        ------
        InvalidField
            Naming each field that is missing, unknown or of the wrong kind.
        """
        try:
            return self.fields.model_validate(order.fields)
        except ValidationError as error:
            known = ", ".join(self.fields.model_fields) or "none"
            text = explain(error, f"Request '{self.name}'")
            raise InvalidField(f"{text} Its fields are: {known}.") from error


class RequestTable(Generic[S]):
    """The requests of a module, found by any spelling of their names."""

    def __init__(self, requests: Iterable[Request[S, Any]]) -> None:
        self._requests = list(requests)
        self._by_name: dict[str, Request[S, Any]] = {}
        for request in self._requests:
            for name in request.names:
                if self._by_name.setdefault(canonical(name), request) is not request:
                    raise ValueError(f"Two requests are called {name!r}.")

    def __iter__(self) -> Iterator[Request[S, Any]]:
        return iter(self._requests)

    def find(self, name: str) -> Request[S, Any]:
        """Return the request called `name`.

        Raises
        ------
        UnknownRequest
            Naming the nearest request that there is, or all.
        """
        found = self._by_name.get(canonical(name))
        if found is None:
            names = [request.name for request in self._requests]
            hint = nearest(name, names) or f"; there are: {', '.join(names)}"
            raise UnknownRequest(f"There is no request {name!r} here{hint}.")
        return found

    def lanes(self) -> dict[str, list[str]]:
        """Return the names of the journaled requests of each lane."""
        lanes: dict[str, list[str]] = {}
        for request in self._requests:
            if request.journaled:
                lanes.setdefault(request.lane, []).append(request.name)
        return lanes
