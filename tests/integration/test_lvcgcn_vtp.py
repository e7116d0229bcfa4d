"""VOEvents from Comet, a real broker in a process of its own, and from hostile ones."""

from __future__ import annotations

import re
import resource
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from tests.support.alert_house import ALERTS, AlertHouse, alert_house
from tests.support.brokers import Comet, hostile, read_frame
from tests.support.waiting import wait_until
from toros.common.client import FrontDeskClient
from toros.common.clock import Clock
from toros.common.config.alert_sources import VtpSource
from toros.lvcgcn.sources.backoff import HEALTHY_S, LEAST_S, MOST_S, Backoff
from toros.lvcgcn.sources.source import RawNotice
from toros.lvcgcn.sources.vtp import MAX_FRAME, VtpSubscriber

pytestmark = pytest.mark.skipif(not ALERTS.is_dir(), reason=f"the notices of {ALERTS} are absent")
INITIAL = ALERTS / "voevent" / "MS181101ab-3-Initial.xml"


@pytest.fixture
def comet(tmp_path: Path) -> Iterator[Comet]:
    with Comet(tmp_path) as found:
        yield found


@pytest.fixture
def house(tmp_path: Path, sessions: sessionmaker[Session]) -> Iterator[AlertHouse]:
    with alert_house(tmp_path, sessions) as found:
        yield found


def voevent(name: str) -> bytes:
    """An initial notice of another event, with an IVORN of its own."""
    text = INITIAL.read_text().replace("MS181101ab-3-Initial", f"{name}-1-Initial")
    return text.replace("MS181101ab", name).encode()


def listening(*ports: int) -> dict[str, Any]:
    return {"sources": {"vtp": [{"host": "127.0.0.1", "port": port} for port in ports]}}


def connected(url: str) -> bool:
    status: Any = FrontDeskClient(url).ask("status")
    return all(source["connected"] for source in status["sources"].values())


def test_a_broker_that_is_killed_and_comes_back_is_heard_again(
    house: AlertHouse, comet: Comet
) -> None:
    with house.robot(**listening(comet.port)) as robot:
        wait_until(lambda: connected(robot.url), "the robot to be connected")
        assert 'role="ack"' in comet.submit(voevent("MS1a"))
        wait_until(lambda: house.events() == ["MS1a"], "the first VOEvent")
        # What a broker does not want it does not relay: a duplicate, and a bad IVORN.
        assert 'role="nak"' in comet.submit(voevent("MS1a"))
        bad = re.sub(rb'ivorn="[^"]*"', b'ivorn="no IVORN"', voevent("MS2b"))
        assert 'role="nak"' in comet.submit(bad)
        comet.kill()
        wait_until(lambda: not connected(robot.url), "the robot to notice")
        comet.start()
        wait_until(lambda: connected(robot.url), "the robot to be back")
        assert 'role="ack"' in comet.submit(voevent("MS3c"))
        wait_until(lambda: house.events() == ["MS1a", "MS3c"], "the VOEvent after the outage")
        (alert, _) = house.alerts()
        assert alert.transport == f"vtp:127.0.0.1:{comet.port}"
        assert "MS1a-1-Initial" in alert.notice["position_in_transport"]
    assert any("is lost" in event.message for event in house.problems())


def test_comet_is_answered_for_as_long_as_it_asks(house: AlertHouse, comet: Comet) -> None:
    """It drops who misses one `iamalive` (each second here), or ten acknowledgements."""
    with house.robot(**listening(comet.port)) as robot:
        wait_until(lambda: connected(robot.url), "the robot to be connected")
        names = [f"MS{number}a" for number in range(14)]
        for name in names:
            comet.submit(voevent(name))
        wait_until(lambda: len(house.events()) == len(names), "all VOEvents")
        pause = threading.Event()
        pause.wait(3.5)  # three of its questions
        comet.submit(voevent("MS99z"))
        wait_until(lambda: "MS99z" in house.events(), "the last VOEvent")
        status: Any = FrontDeskClient(robot.url).ask("status")
        (source,) = status["sources"].values()
        assert source == {"connected": True, "connections": 1}


def subscriber(port: int, silence_s: float = 5.0) -> VtpSubscriber:
    settings = VtpSource(host="127.0.0.1", port=port, silence_s=silence_s)
    return VtpSubscriber(settings, Clock(), lambda message: None)


def received_from(source: VtpSubscriber, count: int, notices: list[RawNotice]) -> None:
    stop = threading.Event()
    for raw in source.stream(stop):
        notices.append(raw)
        source.ack(raw)
        if len(notices) == count:
            stop.set()


def framed(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


@pytest.mark.parametrize(
    "header",
    [
        struct.pack(">I", 2**31),
        struct.pack(">I", MAX_FRAME + 1),
        bytes(4),
        b"GET / HTTP/1.1\r\n",
        framed(b"<VOEvent " * (MAX_FRAME // 9)),
        framed(b"<V:" * (MAX_FRAME // 3)),
        framed(b"<VOEvent" + b" a" * (MAX_FRAME // 2 - 4)),
    ],
    ids=[
        *("two gigabytes", "a byte too many", "nothing", "another protocol"),
        *("roots that never end", "names that never end", "attributes that never end"),
    ],
)
def test_a_frame_that_cannot_be_is_not_read_and_the_next_connection_is(header: bytes) -> None:
    calls = []

    def treat(peer: socket.socket) -> None:
        calls.append(1)
        if len(calls) == 1:
            peer.sendall(header)
            peer.settimeout(20)
            assert peer.recv(10) == b""  # it hangs up
            return
        content = INITIAL.read_bytes()
        peer.sendall(struct.pack(">I", len(content)) + content)
        assert b'role="ack"' in read_frame(peer)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with hostile(treat) as server:
        notices: list[RawNotice] = []
        received_from(subscriber(server.port), 1, notices)
        assert notices[0].content == INITIAL.read_bytes()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB
    assert len(calls) == 2


def test_a_question_full_of_blanks_is_answered() -> None:
    """Patterns that look at the same blanks again and again would take years."""
    blanks = b" " * 2**20
    question = b'<trn:Transport role="iamalive" xmlns:trn="x"><Origin>%b</Origin></trn:Transport>'
    answers = []

    def treat(peer: socket.socket) -> None:
        for origin in (b"ivo://a" + blanks, blanks + b"<", blanks + b"ivo://b" + blanks):
            peer.sendall(framed(question % origin))
            answers.append(read_frame(peer))
        peer.sendall(framed(INITIAL.read_bytes()))
        answers.append(read_frame(peer))

    with hostile(treat) as server:
        notices: list[RawNotice] = []
        received_from(subscriber(server.port), 1, notices)
        wait_until(lambda: len(answers) == 4, "the acknowledgement")
    origins = [b"<Origin>ivo://a</Origin>", b"<Origin></Origin>", b"<Origin>ivo://b</Origin>"]
    assert all(origin in answer for origin, answer in zip(origins, answers, strict=False))


def test_accept_then_close_is_met_with_at_most_one_connection_a_second() -> None:
    with hostile(lambda peer: None) as server:
        source, stop = subscriber(server.port), threading.Event()
        thread = threading.Thread(target=lambda: [*source.stream(stop)])
        thread.start()
        wait_until(lambda: len(server.times) >= 4, "four connections")
        stop.set()
        thread.join(10)
        assert not thread.is_alive()
    pauses = [after - before for before, after in zip(server.times, server.times[1:], strict=False)]
    assert min(pauses) >= LEAST_S - 0.05


def test_a_broker_that_says_nothing_is_left() -> None:
    silence = threading.Event()

    def treat(peer: socket.socket) -> None:
        silence.wait(3)

    with hostile(treat) as server:
        source, stop = subscriber(server.port, silence_s=0.3), threading.Event()
        thread = threading.Thread(target=lambda: [*source.stream(stop)])
        thread.start()
        wait_until(lambda: source.connections >= 2, "a second connection")
        stop.set()
        silence.set()
        thread.join(10)


def test_frames_in_pieces_and_garbage_before_them() -> None:
    content = INITIAL.read_bytes()
    whole = struct.pack(">I", len(content)) + content
    seen: list[bytes] = []

    def treat(peer: socket.socket) -> None:
        alive = b'<trn:Transport role="iamalive" xmlns:trn="x"><Origin>ivo://a&amp;b</Origin></trn:Transport>'
        peer.sendall(struct.pack(">I", len(alive)) + alive)
        seen.append(read_frame(peer))
        for place in range(0, len(whole), 700):
            peer.sendall(whole[place : place + 700])
        seen.append(read_frame(peer))

    with hostile(treat) as server:
        notices: list[RawNotice] = []
        received_from(subscriber(server.port), 1, notices)
        wait_until(lambda: len(seen) == 2, "the acknowledgement")
    assert notices[0].content == content
    assert b'role="iamalive"' in seen[0]
    assert b"<Response>ivo://org.toros/robot</Response>" in seen[0]
    assert b'role="ack"' in seen[1]


def test_pauses_grow_with_jitter_and_begin_anew_only_after_healthy_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1000.0]
    monkeypatch.setattr("toros.lvcgcn.sources.backoff.time.monotonic", lambda: now[0])
    backoff = Backoff()
    pauses = []
    for _ in range(12):
        backoff.connected()
        backoff.healthy()  # at once: it may be a loop of accept and close
        pauses.append(backoff.pause_s())
    assert all(LEAST_S <= pause <= LEAST_S + MOST_S for pause in pauses)
    assert max(pauses) > 10
    assert len(set(pauses)) == 12
    backoff.connected()
    now[0] += HEALTHY_S
    backoff.healthy()
    assert backoff.pause_s() <= 2 * LEAST_S
