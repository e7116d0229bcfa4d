"""The other end of sd_notify: a socket that keeps what a daemon tells its service manager."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.waiting import wait_until


class ServiceManager:
    """Listens at a path, or at an abstract address where the name begins with ``@``."""

    def __init__(self, address: str | Path) -> None:
        self.address = str(address)
        self.told: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + self.address[1:] if self.address[0] == "@" else self.address)
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ender:
            ender.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def environment(self, watchdog_s: float | None = None) -> dict[str, str]:
        """What systemd puts into a unit's environment."""
        watchdog = {} if watchdog_s is None else {"WATCHDOG_USEC": str(int(watchdog_s * 1e6))}
        return {"NOTIFY_SOCKET": self.address, **watchdog}

    def wait_for(self, text: str, after: int = 0) -> int:
        """Return the index of the first message from `after` on that holds `text`."""

        def found() -> list[int]:
            return [i for i, line in enumerate(self.told) if i >= after and text in line]

        return wait_until(found, f"{text!r} among {self.told[-5:]}")[0]

    def _listen(self) -> None:
        while message := self._socket.recv(4096):
            self.told.append(message.decode())
