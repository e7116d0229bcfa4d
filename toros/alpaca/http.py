"""HTTP with a deadline: what passes between us and an Alpaca server."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import requests
from numpy.typing import NDArray
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, ProtocolError

from toros.common.errors import DeviceError, DeviceTimeout, DeviceUnreachable
from toros.common.timed_response import TimedResponse

_CHUNK = 1 << 16
_MOST_JSON = 8 << 20
_MOST_IMAGE = 2 << 30

_client_id = os.getpid() & 0xFFFF
_transactions = itertools.count(1)


@dataclass(frozen=True)
class Limits:
    """How long we wait for a server, in machine seconds, and how often a read is tried."""

    connect_s: float = 3.0
    read_s: float = 5.0
    write_s: float = 10.0
    device_connect_s: float = 30.0
    image_s: float = 60.0
    tries: int = 3
    pause_s: float = 0.1


class Http:
    """A pool of connections to one server, safe to use from several threads at once.

    Reads share kept-alive connections. A write gets a connection of its own, so that one which
    the server closed meanwhile can never leave us in doubt whether the device was told.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._session = _session()

    def close(self) -> None:
        """Close the idle connections."""
        self._session.close()

    def read(
        self, url: str, params: Mapping[str, Any], *, what: str, timeout_s: float | None = None
    ) -> tuple[int, bytes]:
        """Return the HTTP status and body of a GET."""
        limit = timeout_s or self.limits.read_s
        return _exchange(
            self._session, "GET", url, what, (self.limits.connect_s, limit), params=_ids(params)
        )

    def write(
        self, url: str, form: Mapping[str, Any], *, what: str, timeout_s: float | None = None
    ) -> tuple[int, bytes]:
        """Return the HTTP status and body of a PUT, sent once."""
        limit = timeout_s or self.limits.write_s
        with _session() as session:
            return _exchange(
                session, "PUT", url, what, (self.limits.connect_s, limit), data=_ids(form)
            )

    def image(self, url: str, *, what: str) -> tuple[int, str, NDArray[np.uint8]]:
        """Return the HTTP status, content type and bytes of an image, streamed into numpy."""
        deadline = time.monotonic() + self.limits.image_s
        headers = {
            "Accept": "application/imagebytes, application/json;q=0.5",
            "Accept-Encoding": "identity",
        }
        with (
            _translated(what),
            _session() as session,
            session.get(
                url,
                params=_ids({}),
                headers=headers,
                stream=True,
                # The server may read out and pack the whole frame before its first byte.
                timeout=(self.limits.connect_s, self.limits.image_s),
                allow_redirects=False,
            ) as response,
        ):
            content_type = response.headers.get("Content-Type", "")
            return response.status_code, content_type, _stream(response, deadline, what)


def _session() -> requests.Session:
    session = requests.Session()
    # Devices are neighbours: a proxy or a .netrc of the environment must not come between.
    session.trust_env = False
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter())
    return session


class _Connection(HTTPConnection):
    response_class = TimedResponse


class _TlsConnection(HTTPSConnection):
    response_class = TimedResponse


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _Adapter(HTTPAdapter):
    """Connections whose read time-out is for the whole answer, headers and body."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}


def _ids(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **fields,
        "ClientID": str(_client_id),
        "ClientTransactionID": str(next(_transactions) & 0x7FFFFFFF),
    }


def _exchange(
    session: requests.Session,
    method: str,
    url: str,
    what: str,
    timeout: tuple[float, float],
    **content: Any,
) -> tuple[int, bytes]:
    deadline = time.monotonic() + sum(timeout)
    with (
        _translated(what),
        session.request(
            method, url, timeout=timeout, stream=True, allow_redirects=False, **content
        ) as response,
    ):
        body = bytearray()
        for chunk in _chunks(response, _CHUNK):
            body += chunk
            if time.monotonic() > deadline:
                raise DeviceTimeout(f"{what}: no whole answer within {sum(timeout):.0f} s.")
            if len(body) > _MOST_JSON:
                raise DeviceError(f"{what}: the answer is larger than {_MOST_JSON} bytes.")
        return response.status_code, bytes(body)


def _chunks(response: requests.Response, size: int) -> Iterator[bytes]:
    """Yield the body as it comes in, at most `size` bytes at once.

    Reading a full `size` would wait for it, and the time-out of a socket starts anew at each
    byte: a trickling server could hold us for hours. So each piece is handed on at once, for the
    caller to look at its deadline.
    """
    while chunk := response.raw.read1(size):
        yield chunk


def _stream(response: requests.Response, deadline: float, what: str) -> NDArray[np.uint8]:
    """Return the body, read straight into one array when its length is known."""
    told = response.headers.get("Content-Length", "")
    length = int(told) if told.isascii() and told.isdigit() else 0
    if length > _MOST_IMAGE:
        raise DeviceError(f"{what}: the image is larger than {_MOST_IMAGE} bytes.")
    if not length or response.headers.get("Content-Encoding", "identity") != "identity":
        return _stream_unknown(response, deadline, what)
    content = np.empty(length, dtype=np.uint8)
    filled = 0
    for chunk in _chunks(response, 1 << 20):
        if filled + len(chunk) > length:
            break
        content[filled : filled + len(chunk)] = np.frombuffer(chunk, dtype=np.uint8)
        filled += len(chunk)
        _check(deadline, what)
    if filled != length:
        raise DeviceUnreachable(f"{what}: the image ended after {filled} of {length} bytes.")
    return content


def _stream_unknown(response: requests.Response, deadline: float, what: str) -> NDArray[np.uint8]:
    content = bytearray()
    for chunk in _chunks(response, 1 << 20):
        content += chunk
        _check(deadline, what)
        if len(content) > _MOST_IMAGE:
            raise DeviceError(f"{what}: the image is larger than {_MOST_IMAGE} bytes.")
    return np.frombuffer(content, dtype=np.uint8)


def _check(deadline: float, what: str) -> None:
    if time.monotonic() > deadline:
        raise DeviceTimeout(f"{what}: the image did not come in time.")


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turn what requests and urllib3 raise into our errors."""
    try:
        yield
    except (requests.RequestException, HTTPError) as error:
        if isinstance(error, requests.ReadTimeout) or "Read timed out" in str(error):
            raise DeviceTimeout(f"{what}: no answer in time.") from error
        # requests calls a body that breaks off a chunked-encoding error, urllib3 a protocol error.
        if isinstance(
            error,
            requests.ConnectionError | requests.exceptions.ChunkedEncodingError | ProtocolError,
        ):
            raise DeviceUnreachable(
                f"{what}: the server cannot be reached ({_innermost(error)})."
            ) from error
        raise DeviceError(f"{what}: {_innermost(error)}.") from error


def _innermost(error: BaseException) -> str:
    """Return the plainest of the messages that urllib3 wraps in each other."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        inner = getattr(cause, "reason", None) or (cause.args[0] if cause.args else None)
        cause = inner if isinstance(inner, BaseException) else cause.__context__
    return type(error).__name__
