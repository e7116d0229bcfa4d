"""A host of maps that breaks down in the minutes after an alert does not cost the event."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from tests.support.alert_house import REPLAY, AlertHouse, alert_house, voevent
from tests.support.waiting import wait_until
from tests.support.web_server import serving
from toros.common.client import FrontDeskClient
from toros.lvcgcn import records

RULES = {"allowed_hosts": ["127.0.0.1"], "download_pause_s": 0, "late_map_pause_s": 0.05}


@pytest.fixture
def house(tmp_path: Path, sessions: sessionmaker[Session]) -> Iterator[AlertHouse]:
    with alert_house(tmp_path, sessions) as found:
        yield found


@dataclass
class MapHost:
    """Where the map is, once `well` is set."""

    address: str
    well: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)


@contextmanager
def map_host() -> Iterator[MapHost]:
    host = MapHost("")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host.asked.append(self.path)
            body = REPLAY.sky_map if host.well.is_set() else b"too many want it"
            self.send_response(200 if host.well.is_set() else 503)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return

    with serving(Handler) as address:
        host.address = address
        yield host


def take_in(url: str, text: str) -> Any:
    return FrontDeskClient(url).ask("process_alert", notice=text, wait=30)


def waiting(house: AlertHouse) -> list[str]:
    with house.sessions() as session:
        since = house.clock.now() - timedelta(hours=6)
        return [alert.event for alert in records.waiting_for_map(session, since)]


def test_a_map_that_comes_late_is_taken_when_it_is_there(
    house: AlertHouse, caplog: pytest.LogCaptureFixture
) -> None:
    with map_host() as host, house.robot(**RULES) as robot:
        answer = take_in(robot.url, voevent("Initial", "observation", 1, f"{host.address}/m.fits"))
        assert (answer["triggered"], answer["sky_map"]) == (False, None)
        desk = FrontDeskClient(robot.url)

        def awaited() -> Any:
            return desk.ask("status")["maps_awaited"]  # type: ignore[index,call-overload]

        wait_until(lambda: awaited() == 1, "the wait for the map")
        before = len(host.asked)
        wait_until(lambda: len(host.asked) > before + 6, "some more attempts")
        host.well.set()
        wait_until(lambda: house.telescope.events == ["S1a"], "the targets")
        wait_until(lambda: awaited() == 0, "the end of the wait")
    first, second = house.alerts()
    assert (first.skymap, first.triggered) == (None, False)
    assert (second.revision, second.triggered, second.received) == (2, True, first.received)
    said = [record for record in caplog.records if "would be followed" in record.message]
    assert [record.levelno for record in said] == [logging.ERROR]
    assert waiting(house) == []


def test_a_robot_that_starts_anew_goes_on_asking(house: AlertHouse) -> None:
    with map_host() as host:
        text = voevent("Initial", "observation", 1, f"{host.address}/m.fits")
        with house.robot(**RULES | {"late_map_pause_s": 3600}) as robot:
            take_in(robot.url, text)
        host.well.set()
        with house.robot(**RULES):
            wait_until(lambda: house.telescope.events == ["S1a"], "the targets")


@pytest.mark.parametrize("kind", ["Retraction", "Update"])
def test_an_event_of_which_something_newer_came_is_not_asked_for(
    house: AlertHouse, kind: str
) -> None:
    with map_host() as host, house.robot(**RULES | {"late_map_pause_s": 3600}) as robot:
        take_in(robot.url, voevent("Initial", "observation", 1, f"{host.address}/m.fits"))
        assert waiting(house) == ["S1a"]
        newer = voevent(kind, "observation", 2, f"{host.address}/m.fits")
        host.well.set()
        take_in(robot.url, newer)
        assert waiting(house) == []


def test_what_would_not_be_followed_anyway_is_not_asked_for(house: AlertHouse) -> None:
    with map_host() as host, house.robot(**RULES | {"late_map_pause_s": 3600}) as robot:
        take_in(robot.url, voevent("Initial", "test", 1, f"{host.address}/m.fits"))
        assert waiting(house) == []


def test_one_whose_notice_is_gone_holds_up_no_other(house: AlertHouse) -> None:
    with map_host() as host:
        with house.robot(**RULES | {"late_map_pause_s": 3600}) as robot:
            for event in ("S1a", "S2b"):
                take_in(
                    robot.url,
                    voevent("Initial", "observation", 1, f"{host.address}/m.fits", event),
                )
        assert waiting(house) == ["S1a", "S2b"]
        Path(house.alerts()[0].path).unlink()
        host.well.set()
        with house.robot(**RULES):
            wait_until(lambda: house.telescope.events == ["S2b"], "the other event")
