"""A preprocessor in a process of its own, that tests kill."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.support.ports import free_port
from tests.support.waiting import wait_until
from toros.common.client import FrontDeskClient
from toros.common.errors import PeerUnreachable

ROOT = Path(__file__).parents[2]


@dataclass
class Node:
    """A preprocessor in a process of its own, killed and started again at will."""

    folder: Path
    database_url: str
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None
    allowed_sources: list[str] = field(default_factory=list)

    def start(self) -> FrontDeskClient:
        self.launch()
        client = FrontDeskClient(f"http://127.0.0.1:{self.port}")
        wait_until(lambda: self._answers(client), "the preprocessor to answer", 60)
        return client

    def launch(self) -> None:
        config = self.folder / "toros.conf.yaml"
        data = {
            "raw": str(self.folder / "RAW"),
            "products": str(self.folder / "PRODUCTS"),
            "allowed_sources": self.allowed_sources,
        }
        service = {"ip": "127.0.0.1", "port": self.port, "threads": 2}
        document = {
            "database": {"url": self.database_url},
            "data": data,
            "logging": {"file": None},
            "services": {"preprocessor": service},
            "preprocessor": {"previews": False, "report": False},
        }
        config.write_text(yaml.safe_dump(document))
        command = [sys.executable, "-m", "toros", "serve", "preprocessor", "--config", str(config)]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stderr=log, text=True)

    def _answers(self, client: FrontDeskClient) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "log").read_text()
        try:
            client.ask("status")
        except PeerUnreachable:
            return False
        return True

    def kill_after(self, seconds: float) -> None:
        """Kill the process (SIGKILL) so long from now, wherever it is then."""
        assert self.process is not None
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
        else:
            raise AssertionError(
                f"it ended by itself ({code}): {(self.folder / 'log').read_text()}"
            )

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
