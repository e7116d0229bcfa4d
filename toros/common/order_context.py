"""Which work order the code at hand works on, so that every log line can say so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class OrderContext:
    """The order that is being worked on."""

    id: str
    request: str
    user: str | None


_CURRENT: ContextVar[OrderContext | None] = ContextVar("order", default=None)


def current_order() -> OrderContext | None:
    """Return the order that this thread works on, None where it works on none."""
    return _CURRENT.get()


@contextmanager
def working_on(id: str, request: str, user: str | None) -> Iterator[None]:
    """Say in every log line within that it is about this order."""
    token = _CURRENT.set(OrderContext(id, request, user))
    try:
        yield
    finally:
        _CURRENT.reset(token)
