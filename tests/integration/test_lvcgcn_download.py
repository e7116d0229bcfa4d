"""Sky maps over real HTTP: allowed hosts, redirections, size and time."""

from __future__ import annotations

import gc
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from toros.common.config.lvcgcn import LvcgcnSettings
from toros.common.errors import UnusableSkyMap
from toros.lvcgcn.maps import download
from toros.simulator.replay import make_gw170817

SKY_MAP = make_gw170817().sky_map


class Handler(BaseHTTPRequestHandler):
    """A file server with bad habits."""

    protocol_version = "HTTP/1.1"
    leave: threading.Event
    refusals: list[int]

    def do_GET(self) -> None:
        getattr(self, f"_{self.path.strip('/').split(',', maxsplit=1)[0]}")()

    def _map(self) -> None:
        self._answer(200, SKY_MAP)

    def _missing(self) -> None:
        self._answer(404, b"no such map")

    def _moved(self) -> None:
        self._answer(302, b"", Location="/map")

    def _elsewhere(self) -> None:
        self._answer(302, b"", Location="http://localhost.invalid/map")

    def _tofile(self) -> None:
        self._answer(302, b"", Location="file:///etc/passwd")

    def _later(self) -> None:
        self._answer(*((self.refusals.pop(), b"") if self.refusals else (200, SKY_MAP)))

    def _short(self) -> None:
        self._answer(200, SKY_MAP[:1000], length=len(SKY_MAP))
        self.close_connection = True

    def _endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while not self.leave.is_set():
                self.wfile.write(bytes(65536))
        except OSError:
            self.close_connection = True

    def _silent(self) -> None:
        self.leave.wait(30)
        self.close_connection = True

    def _answer(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        del format, args


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    leave = threading.Event()
    handler = type("Served", (Handler,), {"leave": leave, "refusals": [503, 404]})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        leave.set()
        server.shutdown()
        thread.join()


def settings(**changes: Any) -> LvcgcnSettings:
    return LvcgcnSettings.model_validate(
        {"allowed_hosts": ["127.0.0.1"], "download_pause_s": 0, **changes}
    )


@pytest.mark.parametrize("path", ["map", "map,0", "moved", "later"])
def test_a_map_is_downloaded(address: str, path: str) -> None:
    assert download(f"{address}/{path}", settings()) == SKY_MAP


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("missing", "cannot be had"),
        ("elsewhere", r"localhost\.invalid, which lvcgcn\.allowed_hosts does not name"),
        ("tofile", "not http|not allowed"),
        ("short", "broke off|cannot be had"),
        ("endless", "has over"),
    ],
)
def test_what_does_not_come_whole_from_an_allowed_host_is_refused(
    address: str, path: str, says: str
) -> None:
    with pytest.raises(UnusableSkyMap, match=says) as caught:
        download(f"{address}/{path}", settings(max_map_bytes=2**20))
    assert connections_to(address) == [], f"held by {caught!r}"


def connections_to(address: str) -> list[socket.socket]:
    """This process's open connections to the server; also those that only an error still holds."""
    port, found = int(address.rpartition(":")[2]), []
    for one in gc.get_objects():
        if isinstance(one, socket.socket) and one.family == socket.AF_INET:
            with suppress(OSError):  # one that listens, or is closed, has no peer
                if one.getpeername()[1] == port:
                    found.append(one)
    return found


def test_a_silent_server_is_not_waited_for_long(address: str) -> None:
    with pytest.raises(UnusableSkyMap, match=r"in time|timed out"):
        download(f"{address}/silent", settings(download_timeout_s=0.2))


def test_a_slow_endless_server_is_not_waited_for_long(address: str) -> None:
    with pytest.raises(UnusableSkyMap, match=r"in time|has over"):
        download(f"{address}/endless", settings(download_timeout_s=0.05))


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/map",
        "http://",
        "http://[::1",
        "map.fits",
        "https://example.org/map.fits",
        "http://127.0.0.1@example.org/",
    ],
)
def test_only_allowed_hosts_are_asked(url: str) -> None:
    with pytest.raises(UnusableSkyMap):
        download(url, settings())


def test_a_server_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(UnusableSkyMap, match="cannot be had"):
        download("http://127.0.0.1:9/map", settings())
