"""An HTTP answer with one deadline for all of it, from its first byte to its last.

The time-out of a socket begins anew at each byte. Who sends one now and then, of the headers or of
what stands between two pieces of a body, would hold its reader for hours.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
import urllib.request
from functools import partial
from typing import Any, TypeVar

Connection = TypeVar("Connection", bound=http.client.HTTPConnection)


class TimedResponse(http.client.HTTPResponse):
    """Reads an answer within the socket's time-out, all of it: the `response_class` of a client.

    A socket without a time-out is read as long as it takes.

    Parameters
    ----------
    sock : socket.socket
        Where the answer comes from.
    longest_s : float, optional
        How long all of it may take, where that is longer than the socket's time-out, which is then
        for each piece.
    """

    def __init__(
        self, sock: socket.socket, *args: Any, longest_s: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(sock, *args, **kwargs)
        silence_s = sock.gettimeout()
        if silence_s is not None:
            until = _Until(sock, self.fp.detach(), silence_s, longest_s or silence_s)
            self.fp = io.BufferedReader(until)


def timed_handlers(
    longest_s: float, tls: ssl.SSLContext | None
) -> list[urllib.request.BaseHandler]:
    """Return the handlers of a `urllib.request` opener whose answers may take so long in all."""

    def timed(connection: Connection) -> Connection:
        connection.response_class = partial(TimedResponse, longest_s=longest_s)  # type: ignore[assignment]
        return connection

    class Plain(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> Any:
            return self.do_open(lambda *a, **k: timed(http.client.HTTPConnection(*a, **k)), req)

    class Tls(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> Any:
            return self.do_open(
                lambda *a, **k: timed(http.client.HTTPSConnection(*a, **k, context=tls)), req
            )

    return [Plain(), Tls()]


class _Until(io.RawIOBase):
    """What comes out of a socket, each read being given what is left of the time."""

    def __init__(
        self, sock: socket.socket, raw: io.RawIOBase, silence_s: float, longest_s: float
    ) -> None:
        self._sock = sock
        self._raw = raw
        self._silence_s = silence_s
        self._deadline = time.monotonic() + longest_s

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read into `buffer` what is there; raise `TimeoutError` when the time is over."""
        left = self._deadline - time.monotonic()
        if left <= 0.0:
            raise TimeoutError("timed out")
        self._sock.settimeout(min(left, self._silence_s))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """Let go of the socket, which closes with the last who holds it."""
        self._raw.close()
        super().close()
