"""Telling systemd how a daemon is: the protocol of sd_notify(3), which is a few lines.

Without systemd there is no ``NOTIFY_SOCKET`` and every call does nothing.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping

log = logging.getLogger(__name__)

SEND_TIMEOUT_S = 1.0


class Notifier:
    """Sends notifications to the service manager.

    Parameters
    ----------
    address : str, optional
        Path of its datagram socket; a leading ``@`` stands for an abstract one. None: send nothing.
    watchdog_s : float, optional
        The service manager restarts us when it hears nothing for so long (machine seconds).
    """

    def __init__(self, address: str | None = None, watchdog_s: float | None = None) -> None:
        self._address = address
        self.watchdog_s = watchdog_s
        self._failed = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Notifier:
        """Return the notifier that ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID`` say.

        A watchdog that is meant for another process, as its ``WATCHDOG_PID`` says, is not ours.
        """
        found = os.environ if environment is None else environment
        address = found.get("NOTIFY_SOCKET") or None
        for_whom = found.get("WATCHDOG_PID", str(os.getpid()))
        every_us = found.get("WATCHDOG_USEC", "")
        ours = address is not None and for_whom == str(os.getpid())
        if ours and every_us.isascii() and every_us.isdigit() and int(every_us) > 0:
            return cls(address, int(every_us) / 1e6)
        return cls(address)

    def ready(self, status: str) -> None:
        """Say that the daemon answers."""
        self._send("READY=1", _status(status))

    def status(self, text: str) -> None:
        """Say in one line what the daemon does; `systemctl status` shows it."""
        self._send(_status(text))

    def watchdog(self) -> None:
        """Say that the daemon is alive."""
        self._send("WATCHDOG=1")

    def extend(self, seconds: float) -> None:
        """Say that the start or the stop under way may last so long from now, beyond its limit."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def stopping(self, status: str) -> None:
        """Say that the daemon ends."""
        self._send("STOPPING=1", _status(status))

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        address = self._address
        if address.startswith("@"):
            address = "\0" + address[1:]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(SEND_TIMEOUT_S)
                sender.connect(address)
                sender.sendall("\n".join(lines).encode())
        except OSError as error:
            # Once: the watchdog is fed every few seconds, and the module works without.
            level = logging.DEBUG if self._failed else logging.WARNING
            log.log(level, "The service manager cannot be told at %s: %s.", self._address, error)
            self._failed = True
        else:
            self._failed = False


def _status(text: str) -> str:
    return "STATUS=" + " ".join(text.split())
