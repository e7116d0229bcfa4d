"""The life of a daemon, on real processes with real signals."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.ports import free_port
from tests.support.waiting import wait_until
from toros.common.client import FrontDeskClient
from toros.common.errors import PeerError

ROOT = Path(__file__).parents[2]


class Served:
    """The toy module in a process of its own."""

    def __init__(self, database_url: str) -> None:
        port = free_port()
        self.client = FrontDeskClient(f"http://127.0.0.1:{port}")
        command = [sys.executable, "-m", "tests.support.serve_toy", database_url, str(port)]
        self.process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        wait_until(self._answers, "the toy to answer")

    def _answers(self) -> bool:
        try:
            self.client.ask("status")
        except PeerError:
            return False
        return True

    def state(self, key: str) -> str:
        answer: Any = self.client.ask("work_order_status", work_order=key)
        return str(answer["state"])

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=30)
        assert "Traceback" not in said, said
        return self.process.returncode


@pytest.fixture
def serve(database_url: str) -> Iterator[Callable[[], Served]]:
    served: list[Served] = []

    def start() -> Served:
        served.append(Served(database_url))
        return served[-1]

    yield start
    for one in served:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


def test_sigterm_drains_and_exits_0(serve: Callable[[], Served]) -> None:
    toy = serve()
    toy.client.send("hold", id="held", wait=0)
    toy.client.send("hold_again", id="again", wait=0)
    for key in ("held", "again"):
        wait_until(lambda key=key: toy.state(key) == "running", f"{key} to begin")
    assert toy.end(signal.SIGTERM) == 0
    after = serve()
    assert after.state("held") == "interrupted"
    assert wait_until(lambda: after.state("again") == "running", "the repeatable order to resume")


def test_kill_9_interrupts_hardware_orders_and_repeats_the_others(
    serve: Callable[[], Served],
) -> None:
    toy = serve()
    toy.client.send("hold", id="held", wait=0)
    toy.client.send("hold_again", id="again", wait=0)
    toy.client.send("add_later", id="queued", wait=0, a=1)  # waits behind `held`
    for key in ("held", "again"):
        wait_until(lambda key=key: toy.state(key) == "running", f"{key} to begin")
    assert toy.end(signal.SIGKILL) == -signal.SIGKILL
    after = serve()
    reply = after.client.send("hold", id="held", wait=5)
    assert (reply.status, reply.code) == ("interrupted", 17)
    assert wait_until(lambda: after.state("again") == "running", "the repeatable order to resume")
    assert after.client.send("add_later", id="queued", wait=10, a=1).result == 2.0
