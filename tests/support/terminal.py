"""A command on a terminal of its own, as a person runs it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
from collections.abc import Sequence
from types import TracebackType

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """Runs a command with a terminal for input and output.

    Parameters
    ----------
    command : sequence of str
    rows, columns : int
        Size of the terminal.
    """

    def __init__(self, command: Sequence[str], *, rows: int, columns: int) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._process = subprocess.Popen(
            list(command),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=os.environ | {"TERM": "xterm-256color", "COLUMNS": str(columns)},
            preexec_fn=self._own_terminal,  # noqa: PLW1509 - one call of the kernel, no lock
            start_new_session=True,
        )
        os.close(theirs)
        self._text = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        os.close(self._ours)

    @property
    def pid(self) -> int:
        """The process id of the command."""
        return self._process.pid

    def type(self, keys: str) -> None:
        """Type keys; ``\\x03`` is Ctrl-C."""
        os.write(self._ours, keys.encode())

    def shown(self) -> str:
        """Return all that was written, without its colours and movements."""
        return ESCAPES.sub("", self._text)

    def wait(self, seconds: float) -> int:
        """Return the command's exit status."""
        return self._process.wait(seconds)

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self._ours, 1 << 16)
            except OSError:  # the other end is closed
                return
            if not chunk:
                return
            self._text += chunk.decode(errors="replace")

    @staticmethod
    def _own_terminal() -> None:
        """Make the terminal on standard input the one that Ctrl-C comes from."""
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
