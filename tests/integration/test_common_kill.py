"""`kill -9` of the server at random times: nothing lost, nothing done twice, every fate known."""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.support.ports import free_port
from tests.support.served import Served
from tests.support.waiting import wait_until
from toros.archive.models import Event
from toros.common.client import FrontDeskClient
from toros.common.database import make_engine, make_sessions
from toros.common.errors import PeerError
from toros.common.order_row import OPEN
from toros.common.work_order import Reply

CLIENTS = 4
# The longest that a server is let live once it has work (machine seconds).
LIFE_S = 0.3
RETRY_S = 0.05


@dataclass
class Storm:
    """Clients that insist, and a server that is killed under them."""

    database_url: str
    folder: Path
    orders: int
    kills: int
    random: random.Random
    port: int = field(default_factory=free_port)
    # Each life of the server brings work for itself: no kill finds it idle.
    permits: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    replies: dict[str, Reply] = field(default_factory=dict)

    def order(self, number: int) -> tuple[str, dict[str, Any]]:
        """The request and fields of an order: hardware and reductions in turn."""
        if number % 2:
            return "strike", {"path": str(self.folder / "strikes"), "text": str(number)}
        return "record", {"path": "", "text": str(number)}

    def run(self) -> None:
        clients = [threading.Thread(target=self._insist, args=(i,)) for i in range(CLIENTS)]
        for client in clients:
            client.start()
        share, rest = divmod(self.orders, self.kills + 1)
        for life in range(self.kills + 1):
            server = Served(self.database_url, port=self.port)
            self.permits.release(share + (rest if life == self.kills else 0))
            if life < self.kills:
                threading.Event().wait(self.random.uniform(0, LIFE_S))  # the kill's random moment
                server.close()
        try:
            for client in clients:
                client.join(240)
                assert not client.is_alive()
            wait_until(self._all_ended, "every order to end", 120)
            self._ask_every_fate()
        finally:
            server.close()

    def _insist(self, which: int) -> None:
        """Send every CLIENTS-th order until it is known to be taken."""
        client = FrontDeskClient(f"http://127.0.0.1:{self.port}", timeout_s=10)
        for number in range(which, self.orders, CLIENTS):
            self.permits.acquire()
            request, fields = self.order(number)
            while not self._sent(client, request, str(number), fields):
                threading.Event().wait(RETRY_S)

    @staticmethod
    def _sent(client: FrontDeskClient, request: str, key: str, fields: dict[str, Any]) -> bool:
        try:
            reply = client.send(request, id=key, wait=0, **fields)
        except PeerError:
            return False  # perhaps taken, perhaps not: the same id is sent again
        assert reply.status in ("accepted", "completed", "interrupted"), reply
        return True

    def _all_ended(self) -> bool:
        client = FrontDeskClient(f"http://127.0.0.1:{self.port}")
        return all(not client.ask("list_work_orders", state=state) for state in OPEN)

    def _ask_every_fate(self) -> None:
        client = FrontDeskClient(f"http://127.0.0.1:{self.port}")
        for number in range(self.orders):
            request, fields = self.order(number)
            self.replies[str(number)] = client.send(request, id=str(number), wait=0, **fields)

    def judge(self) -> Counter[str]:
        """Hold what every client was told against what was done; return how orders ended."""
        engine = make_engine(self.database_url)
        with make_sessions(engine)() as session:
            recorded = Counter(session.scalars(select(Event.message)))
        engine.dispose()
        strikes = self.folder / "strikes"
        struck = Counter(strikes.read_text().split() if strikes.exists() else [])
        fates: Counter[str] = Counter()
        for number in range(self.orders):
            key, (request, _) = str(number), self.order(number)
            reply = self.replies[key]
            fates[f"{request} {reply.status}"] += 1
            if request == "record":
                assert (reply.status, reply.result, recorded[key]) == ("completed", key, 1)
            elif reply.status == "completed":
                assert (reply.result, struck[key]) == (key, 1)
            else:
                # Nobody knows whether the hardware moved; it did not move twice.
                assert (reply.status, reply.code) == ("interrupted", 17)
                assert struck[key] <= 1
        assert sum(recorded.values()) + sum(struck.values()) <= self.orders
        return fates


def storm(url: str, folder: Path, orders: int, kills: int) -> None:
    seed = random.randrange(1 << 32)  # noqa: S311 - no secret
    made = Storm(url, folder, orders, kills, random.Random(seed))  # noqa: S311
    made.run()
    fates = made.judge()
    assert sum(fates.values()) == orders
    # Shown by `pytest -rP`, which the long run asks for.
    print(f"\nseed {seed}: {orders} orders, {kills} kills: {dict(sorted(fates.items()))}")  # noqa: T201


def test_200_orders_and_6_kills(any_database_url: str, tmp_path: Path) -> None:
    storm(any_database_url, tmp_path, orders=200, kills=6)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_2000_orders_and_50_kills(any_database_url: str, tmp_path: Path) -> None:
    storm(any_database_url, tmp_path, orders=2000, kills=50)
