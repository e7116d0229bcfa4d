"""Clients that wait for the end of their orders."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.orm import Session, sessionmaker

from toros.common.clock import Clock
from toros.common.database import reading
from toros.common.journal import Journal
from toros.common.order_news import OrderNews
from toros.common.order_row import WorkOrderRow

LONG_S = 60.0


@pytest.fixture
def journal(sessions: sessionmaker[Session]) -> Journal:
    return Journal(sessions, "toy", "here", "me", Clock())


def test_a_waiter_is_woken_by_its_own_order_alone() -> None:
    news = OrderNews()
    with news.waiting_for_end("a") as mine, news.waiting_for_end("b") as other:
        news.ended("a")
        assert mine.is_set()
        assert not other.is_set()
        news.close()
        assert other.is_set()
    with news.waiting_for_end("c") as late:
        assert late.is_set()


def test_a_lane_is_woken_by_what_comes_in_it_and_not_by_what_ends() -> None:
    news = OrderNews()
    seen, counted = news.arrivals("mine"), news.count
    news.ended("a")
    news.arrived("another")
    assert news.arrivals("mine") == seen
    assert news.count == counted + 2
    for wake in (lambda: news.arrived("mine"), news.wake_lanes, news.close):
        seen = news.arrivals("mine")
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(news.wait_for_arrival, "mine", seen, LONG_S)
            wake()
            waiting.result(LONG_S / 2)


def test_who_reads_does_not_wait_for_who_writes(
    journal: Journal, sessions: sessionmaker[Session]
) -> None:
    """The journal answers while another transaction holds SQLite's one lock for writing."""
    with sessions.begin() as writer:
        writer.add(_row("a"))
        writer.flush()
        with ThreadPoolExecutor() as pool:
            assert pool.submit(journal.queue_length).result(LONG_S / 2) == 0
    assert journal.queue_length() == 1


def test_a_snapshot_does_not_move_while_it_is_read(sessions: sessionmaker[Session]) -> None:
    with sessions.begin() as session:
        session.add(_row("a"))
    with reading(sessions) as reader:
        with sessions.begin() as writer:
            writer.add(_row("b"))
        assert reader.query(WorkOrderRow).count() == 1
    with reading(sessions) as reader:
        assert reader.query(WorkOrderRow).count() == 2


def _row(key: str) -> WorkOrderRow:
    return WorkOrderRow(
        module="toy",
        id=key,
        request="do",
        lane="main",
        user="test",
        fields={},
        digest="",
        node="here",
        state="accepted",
        received=Clock().now(),
    )
