"""TCP connections that can be dropped: a fault that no HTTP framework offers."""

from __future__ import annotations

import asyncio
from typing import cast

from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

_open: dict[tuple[str, int], asyncio.Transport] = {}


class DroppableProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, which remembers its connections by the client's address."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remember the connection."""
        super().connection_made(transport)
        if self.client is not None:
            _open[self.client] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self.client is not None:
            _open.pop(self.client, None)
        super().connection_lost(exc)


async def drop(scope: Scope) -> None:
    """Cut the connection that a request came by, without an answer."""
    client = cast(tuple[str, int] | None, scope.get("client"))
    transport = _open.get(tuple(client)) if client is not None else None  # type: ignore[arg-type]
    if transport is not None:
        transport.abort()
        # uvicorn hears of it now: that there is no answer is then no error to it.
        await asyncio.sleep(0)
