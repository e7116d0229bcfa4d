"""VOEvent brokers for tests: Comet in a process of its own, and hostile ones."""

from __future__ import annotations

import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

SCRIPT = Path(__file__).with_name("comet_broker.py")


class Comet:
    """Comet on loopback; killed and started again it keeps its ports and its memory of events."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "comet"
        self._ports: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        self.start()

    @property
    def port(self) -> int:
        """Where subscribers connect."""
        return int(self._ports[1])

    def start(self) -> None:
        command = [sys.executable, "-W", "ignore", str(SCRIPT), str(self._folder), *self._ports]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._ports = self._process.stdout.readline().split()
        assert len(self._ports) == 2, "Comet did not start"

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait(10)
            assert process.stdout is not None
            process.stdout.close()

    def submit(self, content: bytes) -> str:
        """Send a VOEvent as its author does; return the broker's answer."""
        with socket.create_connection(("127.0.0.1", int(self._ports[0])), timeout=20) as peer:
            peer.sendall(struct.pack(">I", len(content)) + content)
            return read_frame(peer).decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()


def read_frame(peer: socket.socket) -> bytes:
    (length,) = struct.unpack(">I", _exactly(peer, 4))
    return _exactly(peer, length)


def _exactly(peer: socket.socket, count: int) -> bytes:
    content = b""
    while len(content) < count:
        part = peer.recv(count - len(content))
        if not part:
            raise EOFError
        content += part
    return content


class Hostile:
    """A server that treats every connection the same way, and counts them."""

    def __init__(self, treat: Callable[[socket.socket], None]) -> None:
        self._treat = treat
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self.times: list[float] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._server.accept()
            except OSError:
                return
            self.times.append(time.monotonic())
            with peer:
                try:
                    self._treat(peer)
                except OSError:
                    continue

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(10)


@contextmanager
def hostile(treat: Callable[[socket.socket], None]) -> Iterator[Hostile]:
    server = Hostile(treat)
    try:
        yield server
    finally:
        server.close()
