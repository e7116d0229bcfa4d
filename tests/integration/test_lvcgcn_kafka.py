"""Kafka against librdkafka's own mock cluster: another process's brokers that fail on demand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from tests.support.alert_house import ALERTS, AlertHouse, alert_house, notice
from tests.support.mock_kafka import (
    COORDINATOR_NOT_AVAILABLE,
    FETCH,
    NOT_LEADER,
    OFFSET_COMMIT,
    QUICK,
    REQUEST_TIMED_OUT,
    MockCluster,
)
from tests.support.waiting import wait_until
from toros.common.client import FrontDeskClient

TOPIC, TICKS = "igwn.gwalert", "gcn.heartbeat"
needs_alerts = pytest.mark.skipif(not ALERTS.is_dir(), reason=f"the notices of {ALERTS} are absent")


@pytest.fixture
def cluster() -> Iterator[MockCluster]:
    with MockCluster() as found:
        found.create(TOPIC)
        found.create(TICKS)
        yield found


@pytest.fixture
def house(tmp_path: Path, sessions: sessionmaker[Session]) -> Iterator[AlertHouse]:
    with alert_house(tmp_path, sessions) as found:
        yield found


def listening(cluster: MockCluster, **changes: Any) -> dict[str, Any]:
    settings = {
        "brokers": cluster.address,
        "encrypted": False,
        "heartbeat_topic": None,
        "options": QUICK,
        **changes,
    }
    return {"sources": {"kafka": [settings]}}


def status_of(url: str) -> Any:
    status: Any = FrontDeskClient(url).ask("status")
    return status["sources"]["kafka:gcn"]


def test_notices_of_the_topic_are_relayed_once_whatever_the_broker_does(
    house: AlertHouse, cluster: MockCluster
) -> None:
    with house.robot(**listening(cluster)) as robot:
        cluster.produce(TOPIC, notice("S1a"))
        wait_until(lambda: house.telescope.events == ["S1a"], "the first notice")
        # The broker refuses commits and fetches for a while.
        cluster.fail(OFFSET_COMMIT, [COORDINATOR_NOT_AVAILABLE, REQUEST_TIMED_OUT])
        cluster.fail(FETCH, [NOT_LEADER, REQUEST_TIMED_OUT])
        cluster.produce(TOPIC, notice("S2b"), notice("S2b"))
        wait_until(lambda: len(house.telescope.events) == 2, "the second event")
        cluster.down()
        wait_until(lambda: status_of(robot.url)["trouble"], "the robot to notice")
        cluster.up()
        cluster.produce(TOPIC, notice("S3c"))
        wait_until(lambda: len(house.telescope.events) == 3, "the notice after the outage")
        wait_until(lambda: status_of(robot.url)["trouble"] is None, "the trouble to be over")
        assert status_of(robot.url)["connections"] == 1
    assert house.telescope.events == ["S1a", "S2b", "S3c"]
    assert house.events() == ["S1a", "S2b", "S3c"]
    (alert, *_) = house.alerts()
    assert alert.transport == "kafka:gcn"
    assert alert.notice["position_in_transport"] == f"{TOPIC}/0/0"
    # Said once for each trouble, and not at each of some hundred attempts.
    assert 1 <= len([event for event in house.problems() if "kafka:gcn" in event.message]) <= 2


def test_the_next_robot_goes_on_where_the_last_one_committed(
    house: AlertHouse, cluster: MockCluster
) -> None:
    cluster.produce(TOPIC, notice("S1a"))
    with house.robot(**listening(cluster)):
        wait_until(lambda: house.events() == ["S1a"], "what was there before the first start")
    cluster.produce(TOPIC, notice("S2b"))
    with house.robot(**listening(cluster)) as robot:
        wait_until(lambda: house.events() == ["S1a", "S2b"], "what came between two robots")
        wait_until(lambda: len(house.telescope.events) == 2, "both to be relayed")
        assert status_of(robot.url)["last_notice"]
    with house.robot(**listening(cluster, group="another")):
        # A group that never committed gets all there is, and all of it is known.
        cluster.produce(TOPIC, notice("S3c"))
        wait_until(lambda: "S3c" in house.telescope.events, "the newest one")
    assert sorted(house.telescope.events) == ["S1a", "S2b", "S3c"]


def test_what_the_broker_no_longer_has_is_said(house: AlertHouse, cluster: MockCluster) -> None:
    """The mock keeps 5 MiB: some twenty notices. A robot that was away for more has lost some."""
    with house.robot(**listening(cluster)):
        cluster.produce(TOPIC, notice("S1a"), notice("S2b"))
        wait_until(lambda: len(house.telescope.events) == 2, "the first two")
    cluster.produce(TOPIC, notice("S3lost"), *[b"x" * 1_000_000] * 8, notice("S4d"))
    with house.robot(**listening(cluster)):
        wait_until(lambda: "S4d" in house.telescope.events, "the newest one")
    assert house.telescope.events == ["S1a", "S2b", "S4d"]
    assert any("no longer has some notices" in event.message for event in house.problems())


def test_a_connection_without_heartbeats_is_made_anew(
    house: AlertHouse, cluster: MockCluster
) -> None:
    """The stream that is silent because its token lapsed looks like one without alerts."""
    quick = listening(cluster, heartbeat_topic=TICKS, heartbeat_silence_s=4.0)
    with house.robot(**quick) as robot:
        wait_until(lambda: status_of(robot.url)["connections"] >= 2, "a fresh connection")
        assert any("no heartbeat for 4 s" in event.message for event in house.problems())

        def ticking() -> bool:
            cluster.produce(TICKS, b"{}")
            return bool(status_of(robot.url)["heartbeat_age_s"] is not None)

        wait_until(ticking, "heartbeats to be heard")
        assert status_of(robot.url)["trouble"] is None
        cluster.produce(TOPIC, notice("S1a"))
        wait_until(lambda: house.telescope.events == ["S1a"], "the notice")


def test_a_new_group_begins_with_all_of_several_topics(
    house: AlertHouse, cluster: MockCluster
) -> None:
    """None of them has a committed offset, and some stay empty for days."""
    topics = [TOPIC, "gcn.notices.svom", "gcn.notices.swift", "gcn.notices.icecube"]
    for topic in topics[1:]:
        cluster.create(topic)
    with house.robot(**listening(cluster, topics=topics)) as robot:
        wait_until(lambda: status_of(robot.url)["connections"] == 1, "the connection")
        cluster.produce(topics[2], notice("S1a"))
        wait_until(lambda: house.telescope.events == ["S1a"], "the notice of one topic")
        cluster.produce(TOPIC, notice("S2b"), notice("S3c"))
        wait_until(lambda: len(house.telescope.events) == 3, "the notices of another")
    cluster.produce(topics[3], notice("S4d"))
    with house.robot(**listening(cluster, topics=topics)):
        wait_until(lambda: "S4d" in house.telescope.events, "what came between two robots")
    assert house.telescope.events == ["S1a", "S2b", "S3c", "S4d"]


@pytest.mark.parametrize("heartbeat", [TICKS, None])
def test_a_topic_that_is_not_there_is_said_until_it_is(
    house: AlertHouse, cluster: MockCluster, heartbeat: str | None
) -> None:
    options = {**QUICK, "allow.auto.create.topics": "false"}
    settings = {"topics": [TOPIC, "absent"], "heartbeat_topic": heartbeat, "options": options}
    with house.robot(**listening(cluster, **settings)) as robot:

        def said() -> bool:
            cluster.produce(TICKS, b"{}")
            return "absent" in (status_of(robot.url)["trouble"] or "")

        wait_until(said, "the robot to notice")
        # What comes by the other topics does not say that all is well.
        cluster.produce(TOPIC, notice("S1a"))
        wait_until(lambda: house.telescope.events == ["S1a"], "the notice of the other topic")
        cluster.produce(TICKS, b"{}")
        cluster.produce(TOPIC, notice("S2b"))
        wait_until(lambda: len(house.telescope.events) == 2, "the next notice")
        assert said()
        cluster.create("absent")
        cluster.produce("absent", notice("S3c"))
        wait_until(lambda: len(house.telescope.events) == 3, "the notice of the late topic")
        wait_until(lambda: status_of(robot.url)["trouble"] is None, "the trouble to be over")
    assert len([event for event in house.problems() if "absent" in event.message]) == 1


@needs_alerts
def test_json_and_avro_of_one_revision_are_one_revision(
    house: AlertHouse, cluster: MockCluster
) -> None:
    contents = [
        (ALERTS / "gwalert" / f"MS181101ab-initial.{kind}").read_bytes()
        for kind in ("json", "avro")
    ]
    with house.robot(drill_mode=True, **listening(cluster)):
        cluster.produce(TOPIC, *contents, notice("S9z"))
        wait_until(lambda: "S9z" in house.telescope.events, "the last notice")
    assert house.events() == ["MS181101ab", "S9z"]
    assert house.telescope.events == ["MS181101ab", "S9z"]
    kept = {path.suffix for path in (house.folder / "alerts" / "notices").iterdir()}
    assert kept == {".json", ".avro"}
