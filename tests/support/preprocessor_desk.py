"""A preprocessor behind its front desk, in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session, sessionmaker

from toros.common.client import FrontDeskClient
from toros.common.config import Config
from toros.common.daemon import Daemon
from toros.common.module import Context
from toros.common.work_order import OrderStatus, Reply
from toros.preprocessor.daemon import build


class Desk:
    """A preprocessor of a node with its data under one folder, allowed `elsewhere` and more."""

    def __init__(
        self, folder: Path, sessions: sessionmaker[Session], *allowed: str, **settings: Any
    ) -> None:
        self.raw, self.products = folder / "RAW", folder / "PRODUCTS"
        self.elsewhere = folder / "elsewhere"
        for made in (self.raw, self.products, self.elsewhere):
            made.mkdir(exist_ok=True)
        config = Config.model_validate(
            {
                "data": {
                    "raw": self.raw,
                    "products": self.products,
                    "allowed_sources": [str(self.elsewhere), *allowed],
                },
                "services": {"preprocessor": {"ip": "127.0.0.1", "port": 0, "threads": 2}},
                "preprocessor": {"previews": False, "report": False, **settings},
            }
        )
        context = Context(config, config.make_clock(), sessions)
        self.daemon = Daemon(build(context), context)
        self.daemon.start()
        self.client = FrontDeskClient(self.daemon.url)

    def order(self, request: str, **fields: Any) -> Reply:
        return self.client.send(request, wait=120, **fields)

    def done(self, request: str, **fields: Any) -> dict[str, Any]:
        reply = self.order(request, **fields)
        assert reply.status is OrderStatus.COMPLETED, reply
        result: dict[str, Any] = reply.result
        return result

    def batch(self, name: str) -> dict[str, Any]:
        answer: Any = self.client.ask("file_batch_status", file_batch=name)
        return dict(answer)
