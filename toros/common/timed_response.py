"""An HTTP answer with one deadline for all of it, from its first byte to its last.

The time-out of a socket begins anew at each byte. Who sends one now and then, of the headers or of
what stands between two pieces of a body, would hold its reader for hours.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any


class TimedResponse(http.client.HTTPResponse):
    """Reads an answer within the socket's time-out, all of it: the `response_class` of a client.

    A socket without a time-out is read as long as it takes.
    """

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        if sock.gettimeout() is not None:
            self.fp = io.BufferedReader(_Until(sock, self.fp.detach()))


class _Until(io.RawIOBase):
    """What comes out of a socket, each read being given what is left of the time."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase) -> None:
        self._sock = sock
        self._raw = raw
        self._deadline = time.monotonic() + (sock.gettimeout() or 0.0)

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read into `buffer` what is there; raise `TimeoutError` when the time is over."""
        left = self._deadline - time.monotonic()
        if left <= 0.0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """Let go of the socket, which closes with the last who holds it."""
        self._raw.close()
        super().close()
