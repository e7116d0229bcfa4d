"""The toy module in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
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
    ) -> None:
        self.port = port or free_port()
        self.client = FrontDeskClient(f"http://127.0.0.1:{self.port}")
        command = [sys.executable, "-m", "tests.support.serve_toy"]
        self.process = subprocess.Popen(
            [*command, database_url, str(self.port), node],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(self._answers, "the toy to answer")

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.process.communicate()[1]
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

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=30)
        assert "Traceback" not in said, said
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
