"""The toy module, or another that tests serve, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.ports import free_port
from tests.support.waiting import wait_until
from toros.common.client import FrontDeskClient
from toros.common.errors import PeerError

ROOT = Path(__file__).parents[2]


class Served:
    """A running toy, and a client of it."""

    def __init__(
        self,
        database_url: str,
        *,
        port: int | None = None,
        node: str = "macon",
        environment: Mapping[str, str] | None = None,
        program: str = "tests.support.serve_toy",
    ) -> None:
        self.port = port or free_port()
        self.client = FrontDeskClient(f"http://127.0.0.1:{self.port}")
        command = [sys.executable, "-m", program]
        # A file: a pipe that nobody reads fills up, and then holds up who writes to it.
        self._said = tempfile.NamedTemporaryFile("ab")  # noqa: SIM115 - as long as the process
        self.process = subprocess.Popen(
            [*command, database_url, str(self.port), node],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stderr=self._said,
        )
        try:
            wait_until(self._answers, "the toy to answer")
        except AssertionError:
            self.close()
            raise

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.said()
        try:
            self.client.ask("status")
        except PeerError:
            return False
        return True

    def state(self, key: str) -> str:
        answer: Any = self.client.ask("work_order_status", work_order=key)
        return str(answer["state"])

    def wait_until(self, key: str, state: str) -> None:
        wait_until(lambda: self.state(key) == state, f"{key} to be {state}")

    def said(self) -> str:
        """What it has written to standard error."""
        return Path(self._said.name).read_text()

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        code = self.process.wait(30)
        assert "Traceback" not in self.said(), self.said()
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._said.close()
