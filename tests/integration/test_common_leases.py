"""Two workers, or two nodes, on one database never do the same order."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, select

from tests.support.postgresql import PostgreSQL
from tests.support.toy import TABLE, Toy
from tests.support.waiting import wait_until
from toros.archive.models import Event
from toros.archive.schema import upgrade
from toros.common.clock import Clock
from toros.common.config import Config
from toros.common.database import make_engine, make_sessions
from toros.common.errors import LostOwnership, OrderConflict, TorosError
from toros.common.journal import Journal
from toros.common.module import Context
from toros.common.owner import is_gone, make_owner
from toros.common.work_order import OrderStatus, WorkOrder
from toros.common.workers import Workers

REPEATED = ["hold_again", "record"]
ANYWHERE = ["record"]
SHORT_S = 0.3
# A lease that is renewed outlives whatever a busy machine and its disk may make its keeper wait.
RENEWED_S = 6.0
LONG_S = 3600.0


@pytest.fixture
def engine(any_database_url: str) -> Iterator[Engine]:
    made = make_engine(any_database_url)
    yield made
    made.dispose()


def journal(engine: Engine, node: str, lease_s: float = LONG_S) -> Journal:
    # Of a process on a machine that this one knows nothing of.
    owner = f"{node}/another-machine:1/1/1/x"
    return Journal(make_sessions(engine), "dome", node, owner, Clock(), lease_s)


def accept(at: Journal, request: str, key: str, **fields: Any) -> None:
    at.accept(WorkOrder(id=key, request=request, fields=fields), TABLE.find(request))


def line(text: str) -> dict[str, str]:
    return {"path": "", "text": text}


def test_many_claimers_get_each_order_once(engine: Engine) -> None:
    journals = [journal(engine, node) for node in ("a", "b", "c", "d")]
    keys = [str(number) for number in range(60)]
    for key in keys:
        accept(journals[0], "record", key, **line(key))
    claimed: list[str] = []

    def claim(mine: Journal) -> None:
        while (row := mine.claim("reduction", ANYWHERE)) is not None:
            claimed.append(row.id)

    threads = [threading.Thread(target=claim, args=(mine,)) for mine in journals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(claimed) == Counter(keys)


def test_a_lease_that_runs_is_left_alone(engine: Engine) -> None:
    a, b = journal(engine, "a"), journal(engine, "b")
    accept(a, "record", "1", **line("1"))
    assert a.claim("reduction") is not None
    taken = b.leases.take_over(REPEATED)
    assert (taken.again, taken.interrupted) == ([], [])
    assert b.claim("reduction", ANYWHERE) is None
    a.end("1", OrderStatus.COMPLETED, result="1")
    assert b.get("1").reply(Clock().now()).result == "1"


def test_an_order_whose_lease_ran_out_goes_to_another_who_alone_may_end_it(
    engine: Engine,
) -> None:
    slow, quick = journal(engine, "a", SHORT_S), journal(engine, "b")
    accept(slow, "record", "1", **line("1"))
    assert slow.claim("reduction") is not None
    wait_until(lambda: quick.leases.take_over(REPEATED).again == ["1"], "the lease to run out")
    row = quick.claim("reduction", ANYWHERE)
    assert row is not None
    assert row.attempts == 2
    assert slow.leases.renew(["1"]).lost == {"1"}
    with pytest.raises(LostOwnership):
        slow.end("1", OrderStatus.COMPLETED, result="too late")
    quick.end("1", OrderStatus.COMPLETED, result="done")
    assert slow.get("1").result == "done"


def test_a_renewed_lease_does_not_run_out(engine: Engine) -> None:
    a, b = journal(engine, "a", RENEWED_S), journal(engine, "b")
    accept(a, "record", "1", **line("1"))
    accept(a, "hold", "2")
    assert a.claim("reduction") is not None
    assert a.claim("main") is not None

    def only_the_other_ran_out() -> bool:
        assert a.leases.renew(["1"]).lost == set()
        taken = b.leases.take_over(REPEATED)
        assert taken.again == []
        return taken.interrupted == ["2"]

    wait_until(only_the_other_ran_out, "the lease that is not renewed to run out")


def test_an_order_ends_whatever_its_message_holds(engine: Engine) -> None:
    a = journal(engine, "a")
    accept(a, "record", "1", **line("1"))
    assert a.claim("reduction") is not None
    a.end("1", OrderStatus.FAILED, error=TorosError("a device said \0 and \ud800"))
    reply = a.get("1").reply(Clock().now())
    assert (reply.status, reply.message) == ("failed", "a device said \ufffd and \ufffd")


def test_hardware_is_interrupted_and_never_repeated(engine: Engine) -> None:
    a, b = journal(engine, "a", SHORT_S), journal(engine, "a")
    accept(a, "strike", "1", **line("1"))
    assert a.claim("hardware") is not None
    wait_until(lambda: b.leases.take_over(REPEATED).interrupted == ["1"], "the lease to run out")
    assert b.claim("hardware", ANYWHERE) is None
    reply = b.get("1").reply(Clock().now())
    assert (reply.status, reply.code) == ("interrupted", 17)


def test_what_moves_hardware_is_done_where_it_was_received(engine: Engine) -> None:
    here, there = journal(engine, "macon"), journal(engine, "cordoba")
    accept(here, "strike", "1", **line("1"))
    accept(here, "record", "2", **line("2"))
    assert there.claim("hardware", ANYWHERE) is None
    with pytest.raises(OrderConflict, match="by the node macon"):
        accept(there, "strike", "1", **line("1"))
    accept(there, "record", "2", **line("2"))  # the same order, whoever is asked
    taken = there.claim("reduction", ANYWHERE)
    assert taken is not None
    assert taken.id == "2"
    mine = here.claim("hardware", ANYWHERE)
    assert mine is not None
    assert mine.id == "1"


def test_a_successor_on_the_same_machine_need_not_wait_for_the_lease(engine: Engine) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "import toros.common.owner as o; print(o.make_owner('a/b'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert is_gone(ended)
    assert not is_gone(make_owner("a"))
    assert not is_gone("a/another-machine:1/1/1/x")
    assert not is_gone("nonsense")
    dead = Journal(make_sessions(engine), "dome", "a", ended, Clock(), LONG_S)
    alive = Journal(make_sessions(engine), "dome", "a", make_owner("a"), Clock(), LONG_S)
    accept(dead, "hold_again", "1")
    accept(dead, "hold", "2")
    accept(alive, "record", "3", **line("3"))
    for claimed, lane in ((dead, "second"), (dead, "main"), (alive, "reduction")):
        assert claimed.claim(lane) is not None
    taken = journal(engine, "a").leases.take_over(REPEATED)
    assert (taken.again, taken.interrupted) == (["1"], ["2"])


class Worker:
    """The workers of a node, with leases so short that their keeper must work for them."""

    def __init__(self, engine: Engine, node: str, lease_s: float = RENEWED_S) -> None:
        self.journal = journal(engine, node, lease_s)
        self.toy = Toy(Context(Config(node=node), Clock(), make_sessions(engine)))
        self.workers = Workers(self.journal, TABLE, self.toy)
        self.workers.start()

    def is_(self, key: str, state: str) -> bool:
        return self.journal.get(key).state == state

    def stop(self) -> None:
        self.toy.release.set()
        self.workers.stop(time.monotonic() + 30)


@pytest.fixture
def pair(engine: Engine) -> Iterator[tuple[Worker, Worker]]:
    both = Worker(engine, "a"), Worker(engine, "b")
    yield both
    for one in both:
        one.stop()


def test_a_long_order_keeps_its_lease_while_another_node_looks_on(
    pair: tuple[Worker, Worker],
) -> None:
    a, b = pair
    accept(a.journal, "hold", "long")
    wait_until(lambda: a.is_("long", "running"), "the order to begin")
    first = a.journal.get("long").lease_until
    assert first is not None

    def renewed() -> bool:
        until = a.journal.get("long").lease_until
        return until is not None and until > first + RENEWED_S

    wait_until(renewed, "the lease to be renewed again and again")
    assert b.is_("long", "running")
    a.toy.release.set()
    wait_until(lambda: b.is_("long", "completed"), "the order to be completed")


def test_a_cancel_given_to_another_node_reaches_the_worker(pair: tuple[Worker, Worker]) -> None:
    a, b = pair
    accept(a.journal, "hold", "long")
    wait_until(lambda: a.is_("long", "running"), "the order to begin")
    b.journal.request_cancel("long")
    wait_until(lambda: b.is_("long", "cancelled"), "the order to be cancelled")


def test_both_nodes_do_what_either_took_once(pair: tuple[Worker, Worker], engine: Engine) -> None:
    keys = [str(number) for number in range(40)]
    for number, key in enumerate(keys):
        accept(pair[number % 2].journal, "record", key, **line(key))
    wait_until(lambda: all(pair[0].is_(key, "completed") for key in keys), "all to be done")
    with make_sessions(engine)() as session:
        assert Counter(session.scalars(select(Event.message))) == Counter(keys)


def test_a_node_that_stops_hands_its_repeatable_order_over(engine: Engine) -> None:
    a = Worker(engine, "a", LONG_S)
    accept(a.journal, "hold_again", "1")
    wait_until(lambda: a.is_("1", "running"), "the order to begin")
    a.workers.stop(time.monotonic() + 30)
    assert a.is_("1", "accepted")
    again = Worker(engine, "a", LONG_S)
    wait_until(lambda: a.is_("1", "running"), "the order to begin again")
    again.stop()


def test_the_end_of_an_order_is_recorded_when_the_database_comes_back(
    postgresql: PostgreSQL, caplog: pytest.LogCaptureFixture
) -> None:
    name, url = postgresql.make_database()
    engine = make_engine(url)
    upgrade(engine)
    worker = Worker(engine, "a", LONG_S)
    accept(worker.journal, "hold", "1")
    wait_until(lambda: worker.is_("1", "running"), "the order to begin")
    # Nobody gets in, and who is in is thrown out: for the module the database is away.
    postgresql.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    postgresql.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", name
    )
    worker.toy.release.set()
    wait_until(lambda: "The end of order 1 cannot be recorded" in caplog.text, "a first attempt")
    postgresql.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    wait_until(lambda: worker.is_("1", "completed"), "the order to be completed")
    worker.stop()
    engine.dispose()
