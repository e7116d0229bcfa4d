"""Clients that mean no good, on raw sockets, from loopback addresses of their own."""

from __future__ import annotations

import itertools
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from toros.common.client import FrontDeskClient

_NUMBERS = itertools.count()


def new_source() -> str:
    """Return a loopback address that nothing bad has come from yet."""
    number = next(_NUMBERS)
    return f"127.{100 + number // 50_000}.{number // 250 % 200}.{2 + number % 250}"


@dataclass(frozen=True)
class Target:
    """A server under attack."""

    host: str
    port: int
    pid: int

    def connect(self, source: str | None = None, timeout: float = 20.0) -> socket.socket:
        """Return a connection from a loopback address, by default one that was not used yet."""
        origin = (source or new_source(), 0)
        return socket.create_connection((self.host, self.port), timeout, origin)

    def request(self, body: bytes, *headers: str, path: str = "/RPC2") -> bytes:
        """Return a whole request as bytes; `headers` replace those of the same name."""
        lines = {
            "Host": f"{self.host}:{self.port}",
            "Content-Type": "text/xml",
            "Content-Length": str(len(body)),
        }
        lines |= dict(header.split(": ", 1) for header in headers)
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body

    def send(self, raw: bytes, source: str | None = None) -> bytes:
        """Send bytes and return all that comes back until the server closes or falls silent."""
        with self.connect(source, timeout=12.0) as sock:
            answer = b""
            try:
                sock.sendall(raw)
                sock.shutdown(socket.SHUT_WR)
                while chunk := sock.recv(1 << 16):
                    answer += chunk
            except OSError:
                pass  # cut off: what came before is what counts
            return answer

    def resident_mb(self) -> float:
        """Return the server's resident memory."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        raise AssertionError("the server is dead")

    def threads(self) -> int:
        """Return how many threads the server has."""
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))

    def descriptors(self) -> tuple[int, int]:
        """Return how many descriptors the server has open: of all else, and of its database."""
        of_database = [".db" in name for name in self.open_files()]
        return of_database.count(False), of_database.count(True)

    def open_files(self) -> list[str]:
        """Return what the server's descriptors are of."""
        names = []
        for link in Path(f"/proc/{self.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed while we look
                names.append(str(link.readlink()))
        return names


class HonestClient:
    """Asks for the status again and again, and notes how long each answer took."""

    def __init__(self, target: Target) -> None:
        self._client = FrontDeskClient(f"http://{target.host}:{target.port}", timeout_s=10.0)
        self.latencies: list[float] = []

    def ask(self) -> None:
        """Ask once; any error is the server's failure."""
        began = time.monotonic()
        self._client.ask("status", wait=0)
        self.latencies.append(time.monotonic() - began)

    @property
    def worst(self) -> float:
        """The longest that an answer took, in seconds."""
        return max(self.latencies)
