"""One bad notice, file, answer or test must not cost another notice."""

from __future__ import annotations

import base64
import io
import json
import socket
import threading
import xmlrpc.client
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from pydantic import TypeAdapter
from sqlalchemy.event import listen, remove
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from tests.support.alert_house import REPLAY, AlertHouse, alert_house, notice, voevent
from tests.support.brokers import hostile
from tests.support.waiting import wait_until
from tests.support.web_server import serving
from toros.archive.models import Alert
from toros.common.client import FrontDeskClient
from toros.common.clock import Clock
from toros.common.config.lvcgcn import LvcgcnSettings
from toros.common.connection_handler import MAX_BODY
from toros.common.database import make_engine, make_sessions
from toros.common.errors import PeerRefused, PeerUnreachable
from toros.lvcgcn.catalogue import CatalogueInfo, by_place
from toros.lvcgcn.formats import read_notice
from toros.lvcgcn.inbox import Arrival, Inbox
from toros.lvcgcn.keep import Keep
from toros.lvcgcn.lanes import Lane, lane_of
from toros.lvcgcn.maps import may_download
from toros.lvcgcn.pointings import Pointing
from toros.lvcgcn.selection import that_fit
from toros.lvcgcn.sources.source import RawNotice
from toros.lvcgcn.spool import Spool
from toros.telescope.order_fields import Name


@pytest.fixture
def house(tmp_path: Path, sessions: sessionmaker[Session]) -> Iterator[AlertHouse]:
    with alert_house(tmp_path, sessions) as found:
        yield found


def raw(position: str) -> RawNotice:
    return RawNotice(position.encode(), "x", position, Clock().now())


def test_a_notice_that_the_archive_will_not_take_holds_up_no_other(tmp_path: Path) -> None:
    tried: list[str] = []

    def process(arrival: Arrival) -> None:
        tried.append(arrival.position)
        if arrival.position == "1" and len(tried) < 6:
            raise OperationalError("INSERT", {}, Exception("for some reason"))
        if arrival.position == "3":
            stop.set()

    stop = threading.Event()
    inbox = Inbox(tmp_path / "inbox", Keep(tmp_path), process, lambda *_: None)
    for position in "123":
        inbox.put(raw(position))
    inbox.run(stop)
    assert tried == ["1", "2", "3"]
    assert len(inbox) == 1  # and is tried again


def test_a_notice_whose_bytes_are_gone_is_on_record_and_holds_up_no_other(
    house: AlertHouse,
) -> None:
    folder = house.folder / "alerts"
    inbox = Inbox(folder / "inbox", Keep(folder), lambda _: None, lambda *_: None)
    for name in ("S1gone", "S2b"):
        inbox.put(RawNotice(notice(name), "vtp:x", name, house.clock.now()))
    (path,) = [one for one in (folder / "notices").iterdir() if b"S1gone" in one.read_bytes()]
    path.unlink()
    with house.robot():
        wait_until(lambda: house.telescope.events == ["S2b"], "the other notice")
        wait_until(lambda: len(inbox) == 0, "the inbox to be empty")
    (problem,) = house.problems()
    assert str(path) in problem.message


def test_what_postgresql_cannot_hold_is_on_record_and_holds_up_no_other(
    tmp_path: Path, postgresql_url: str
) -> None:
    """Its texts have no NUL and no lone surrogates; JSON may have both."""
    engine = make_engine(postgresql_url)
    event = json.loads(REPLAY.notice)["event"]
    swift = {
        "$schema": "https://gcn.nasa.gov/schema/main/gcn/notices/swift/bat/alert.schema.json",
        "id": ["a\x00b"],
        "alert_datetime": "2017-08-17T12:41:06Z",
    }
    with alert_house(tmp_path, make_sessions(engine)) as house:
        desk, inbox = house.folder / "alerts", house.folder / "alerts" / "inbox"
        waiting = Inbox(inbox, Keep(desk), lambda _: None, lambda *_: None)
        for number, content in enumerate(
            (
                json.dumps(swift).encode(),
                notice("S1a", event=event | {"classification": {"B\x00S": 0.9}}),
                notice("S2b", event=event | {"classification": {"B\ud800S": 0.9}}),
                notice("S3c"),
            )
        ):
            waiting.put(RawNotice(content, "x", str(number), house.clock.now()))
        with house.robot():
            wait_until(lambda: "S3c" in house.telescope.events, "the last notice")
            wait_until(lambda: len(waiting) == 0, "the inbox to be empty")
        # Each is either on record or among the problems.
        assert len(house.alerts()) + len(house.problems()) == 4
    engine.dispose()


def test_a_file_that_cannot_be_read_holds_up_no_other(house: AlertHouse) -> None:
    drop = house.folder / "drop"
    drop.mkdir()
    # Reading it is an error for everybody, root too.
    (drop / "000.json").symlink_to("/proc/self/mem")
    folders = {"folders": [{"path": str(drop), "poll_s": 0.05}]}
    with house.robot(sources=folders):
        wait_until(lambda: len(house.problems()) == 1, "the complaint")
        (drop / "001.json").write_bytes(notice("S1a"))
        wait_until(lambda: house.telescope.events == ["S1a"], "the notice after it")
    (problem,) = house.problems()
    assert "000.json cannot be read" in problem.message


def test_files_that_cannot_be_moved_aside_are_taken_once(house: AlertHouse) -> None:
    drop = house.folder / "drop"
    drop.mkdir()
    (drop / "taken").write_text("no folder")
    folders = {"folders": [{"path": str(drop), "poll_s": 0.05}]}
    with house.robot(sources=folders):
        for number, name in enumerate(("S1a", "S2b")):
            (drop / f"{number}.part").write_bytes(notice(name))
            (drop / f"{number}.part").rename(drop / f"{number}.json")
            wait_until(lambda name=name: name in house.telescope.events, name)
    # `taken` itself is a file like the others, and no notice.
    complaints = [one.message for one in house.problems() if "cannot be moved" in one.message]
    assert len(complaints) == len(set(complaints))
    assert any("0.json was taken" in message for message in complaints)


GARBAGE = [
    b"not XML at all",
    b"",
    b"<methodResponse><params><param><value><int>x</int></value></param></params></methodResponse>",
    b"<methodResponse><params><param><value><struct><member><value><int>3</int></value></member>"
    b"</struct></value></param></params></methodResponse>",
]


@pytest.mark.parametrize("body", GARBAGE)
def test_an_answer_that_is_no_front_desk_s_is_a_peer_that_is_not_there(body: bytes) -> None:
    class Garbage(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return

    with serving(Garbage) as address, pytest.raises(PeerUnreachable, match="front desk"):
        FrontDeskClient(address).ask("status")


def test_a_notice_without_its_map_is_followed_when_the_map_is_given_by_hand(
    house: AlertHouse, tmp_path: Path
) -> None:
    path = tmp_path / "map.fits"
    path.write_bytes(REPLAY.sky_map)
    event = json.loads(REPLAY.notice)["event"]
    order: dict[str, Any] = {"notice": notice("S1a", event=event | {"skymap": None}).decode()}
    with house.robot() as robot:
        desk = FrontDeskClient(robot.url)
        assert desk.ask("process_alert", **order, wait=30)["triggered"] is False
        mended: Any = desk.ask("process_alert", **order, skymap=str(path), wait=30)
        assert (mended["triggered"], mended["revision"], mended["repeated"]) == (True, 2, False)
        again: Any = desk.ask("process_alert", **order, skymap=str(path), wait=30)
        assert (again["revision"], again["repeated"]) == (2, True)
        plain: Any = desk.ask("process_alert", **order, wait=30)
        assert (plain["revision"], plain["repeated"]) == (1, True)
        with pytest.raises(PeerRefused, match="cannot be read"):
            desk.ask("process_alert", **order, skymap="/nowhere/map.fits", wait=30)
    assert house.telescope.events == ["S1a"]


def test_a_host_of_maps_that_says_nothing_holds_up_no_notice_that_brings_its_own(
    house: AlertHouse,
) -> None:
    drop = house.folder / "drop"
    drop.mkdir()
    asked, enough = threading.Event(), threading.Event()

    def treat(peer: socket.socket) -> None:
        asked.set()
        enough.wait(60)

    folders = {"folders": [{"path": str(drop), "poll_s": 0.05}]}
    rules = {"allowed_hosts": ["127.0.0.1"], "download_pause_s": 0, "sources": folders}
    with hostile(treat) as server, house.robot(**rules):
        text = voevent("Initial", "observation", 1, f"http://127.0.0.1:{server.port}/map.fits")
        (drop / "1.part").write_text(text)
        (drop / "1.part").rename(drop / "1.xml")
        assert asked.wait(20)
        (drop / "2.part").write_bytes(notice("S2b"))
        (drop / "2.part").rename(drop / "2.json")
        wait_until(lambda: house.telescope.events == ["S2b"], "the notice with its own map")
        assert house.events() == ["S2b"]
        enough.set()
        wait_until(lambda: house.events() == ["S2b", "S1a"], "the notice without a map")


def test_the_hosts_of_an_event_are_those_of_the_revision_that_counts(house: AlertHouse) -> None:
    """Not of the one that was recorded last: it may have been overtaken."""
    with house.robot() as robot:
        desk = FrontDeskClient(robot.url)
        for hour in (18, 17):
            said = notice("S1a", time_created=f"2017-08-18T{hour}:00:00Z").decode()
            answer: Any = desk.ask("process_alert", notice=said, wait=30)
        assert (answer["revision"], answer["triggered"]) == (2, False)
        hosts: Any = desk.ask("host_galaxies", event="S1a")
    assert hosts["revision"] == 1


@pytest.mark.parametrize("minute", [0, 30])
def test_a_retraction_that_overtakes_an_update_with_a_slow_map_stands(
    house: AlertHouse, minute: int
) -> None:
    """An update is news after a retraction only if it came after it."""
    asked, enough = threading.Event(), threading.Event()

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.set()
            enough.wait(60)
            self.send_response(200)
            self.send_header("Content-Length", str(len(REPLAY.sky_map)))
            self.end_headers()
            self.wfile.write(REPLAY.sky_map)

        def log_message(self, format: str, *args: object) -> None:
            return

    with serving(Slow) as address:
        rules = {"allowed_hosts": ["127.0.0.1"], "download_pause_s": 0}
        desk = house.folder / "alerts"
        inbox = Inbox(desk / "inbox", Keep(desk), lambda _: None, lambda *_: None)
        update = voevent("Update", "observation", 0, f"{address}/map.fits")
        retraction = voevent("Retraction", "observation", minute)
        for number, text in enumerate((update, retraction)):
            inbox.put(RawNotice(text.encode(), "x", str(number), house.clock.now()))
        with house.robot(**rules):
            assert asked.wait(20)
            wait_until(lambda: len(house.alerts()) == 1, "the retraction")
            enough.set()
            wait_until(lambda: len(house.alerts()) == 2, "the update")
    update_row = house.alerts()[1]
    assert (update_row.alert_type, update_row.triggered) == ("UPDATE", False)
    assert update_row.why == "Revision 1 (RETRACTION) is newer: recorded only."
    assert house.states() == {}
    assert house.telescope.done == []


def test_a_notice_of_which_nobody_can_say_if_it_waits_is_processed_with_the_others(
    tmp_path: Path,
) -> None:
    processed: list[str] = []

    def lane(arrival: Arrival) -> Lane:
        if arrival.position == "1":
            raise RecursionError("for some reason")
        return Lane.QUICK

    def process(arrival: Arrival) -> None:
        processed.append(arrival.position)
        if arrival.position == "2":
            stop.set()

    stop = threading.Event()
    inbox = Inbox(tmp_path / "inbox", Keep(tmp_path), process, lambda *_: None, lane=lane)
    for position in "12":
        inbox.put(raw(position))
    inbox.run(stop, lane=Lane.QUICK)
    assert processed == ["1", "2"]


def test_a_notice_by_order_is_not_lost_when_the_archive_is_away(house: AlertHouse) -> None:
    refused: list[int] = []

    def refuse(session: Session, *_: Any) -> None:
        if not refused and any(isinstance(row, Alert) for row in session.new):
            refused.append(1)
            raise OperationalError("INSERT", None, OSError("it is away"))

    listen(house.sessions, "before_flush", refuse)
    try:
        with house.robot() as robot:
            client = FrontDeskClient(robot.url)
            with pytest.raises(PeerRefused, match="waits in the inbox and is tried again"):
                client.ask("process_alert", notice=notice("S1a").decode(), wait=60)
            wait_until(lambda: house.telescope.events == ["S1a"], "the order", 60)
    finally:
        remove(house.sessions, "before_flush", refuse)
    assert house.events() == ["S1a"]


@pytest.mark.parametrize("drill", [False, True])
def test_what_moves_no_telescope_waits_for_what_does(tmp_path: Path, drill: bool) -> None:
    keep, settings = Keep(tmp_path), LvcgcnSettings(drill_mode=drill)
    there = "https://gracedb.ligo.org/m.fits"
    mission = {"$schema": "https://gcn.nasa.gov/schema/v4.1.0/gcn/notices/swift/bat/a.json",
               "id": ["1"], "trigger_time": "2024-03-01T21:46:05Z"}  # fmt: skip
    wanted = [
        (notice("S190425z"), Lane.QUICK),
        (notice("MS190425z"), Lane.QUICK if drill else Lane.TESTS),
        (notice("TS190425z"), Lane.QUICK if drill else Lane.TESTS),
        (voevent("Update", "test", 1, there).encode(), Lane.DOWNLOADS if drill else Lane.TESTS),
        (voevent("Update", "observation", 2, there).encode(), Lane.DOWNLOADS),
        (voevent("Update", "observation", 3).encode(), Lane.QUICK),
        (json.dumps({**mission, "healpix_url": there}).encode(), Lane.DOWNLOADS),
        (json.dumps(mission).encode(), Lane.QUICK),
        (b"{ what is no notice", Lane.QUICK),
        (b"<healpix_url", Lane.QUICK),
    ]
    found = [lane_of(keep.notice(content), settings) for content, _ in wanted]
    assert found == [lane for _, lane in wanted]
    assert lane_of(tmp_path / "gone.json", settings) is Lane.QUICK


def test_a_storm_of_mocks_does_not_hold_up_an_event(tmp_path: Path) -> None:
    """A robot that was away for days finds hundreds of them, all older than the event."""
    processed: list[str] = []
    stops = {lane: threading.Event() for lane in (Lane.QUICK, Lane.TESTS)}

    def process(arrival: Arrival) -> None:
        processed.append(arrival.position)
        if arrival.position == "real":
            stops[Lane.QUICK].set()
        elif arrival.position == "19":
            stops[Lane.TESTS].set()

    settings = LvcgcnSettings()
    keep = Keep(tmp_path)
    inbox = Inbox(
        tmp_path / "inbox",
        keep,
        process,
        lambda *_: None,
        lane=lambda arrival: lane_of(arrival.path, settings),
    )
    for number in range(20):
        mock = notice(f"MS{number:06d}a")
        inbox.put(RawNotice(mock, "x", str(number), Clock().now()))
    inbox.put(RawNotice(notice("S1a"), "x", "real", Clock().now()))
    for lane, stop in stops.items():
        inbox.run(stop, lane=lane)
    assert processed == ["real", *map(str, range(20))]


def test_what_two_find_damaged_is_put_aside_by_one_and_no_error_of_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both threads of an inbox look through it when a daemon starts."""
    spool = Spool(tmp_path)
    damaged = tmp_path / "1.json"
    damaged.write_text("{")
    read = Path.read_text

    def read_and_be_overtaken(path: Path, *args: Any, **named: Any) -> str:
        text = read(path, *args, **named)
        if path == damaged and damaged.exists():
            damaged.rename(tmp_path / "1.damaged")
        return text

    monkeypatch.setattr(Path, "read_text", read_and_be_overtaken)
    assert spool.read("1") is None
    assert spool.names() == []


@pytest.mark.parametrize(
    ("allowed", "waits"),
    [("maps.example", True), ("https://maps.example/sky", True), ("https://maps.example/x", False)],
)
def test_a_notice_may_wait_wherever_its_map_may_be_had(allowed: str, waits: bool) -> None:
    text = voevent("Initial", "observation", 1, "https://maps.example/sky/map.fits")
    settings = LvcgcnSettings(allowed_hosts=[allowed])
    assert may_download(read_notice(text.encode()), settings) is waits


@pytest.mark.parametrize("drill", [False, True])
def test_a_test_never_takes_back_or_replaces_a_real_event(house: AlertHouse, drill: bool) -> None:
    with house.robot(drill_mode=drill) as robot:
        desk = FrontDeskClient(robot.url)
        desk.ask("process_alert", notice=notice("S1a").decode(), wait=30)
        wait_until(lambda: house.telescope.events == ["S1a"], "the targets")
        for minute, kind in enumerate(("Update", "Retraction")):
            text = voevent(kind, "test", minute)
            answer: Any = desk.ask("process_alert", notice=text, wait=30)
            assert answer["why"] == "TEST, though S1a is a real event: recorded only."
            assert answer["relayed"] == []
        assert [request for request, _, _ in house.telescope.done] == ["targets"]
        # What is real is not out of date beside them, though it is older.
        later = notice("S1a", time_created="2017-08-18T17:00:00Z").decode()
        answer = desk.ask("process_alert", notice=later, wait=30)
        assert answer["triggered"] is True
        real = voevent("Retraction", "observation", 30)
        answer = desk.ask("process_alert", notice=real, wait=30)
        assert "told: MACON" in answer["why"]
    assert [request for request, _, _ in house.telescope.done][-1] == "retract_alert"


def everywhere() -> str:
    """A map that says nothing of where, so that every galaxy counts alike; in base64."""
    table = fits.BinTableHDU.from_columns([fits.Column("PROB", "D", array=np.full(12, 1 / 12))])
    table.header.update({"ORDERING": "NESTED", "COORDSYS": "C"})
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(out)
    return base64.b64encode(out.getvalue()).decode()


@pytest.mark.parametrize("field_deg", [None, 3.0])
def test_an_order_holds_no_more_targets_than_a_telescope_reads(
    house: AlertHouse, field_deg: float | None
) -> None:
    """What is too large would be refused for ever, and all that comes after it wait."""
    event = json.loads(REPLAY.notice)["event"] | {"skymap": everywhere()}
    fields = {} if field_deg is None else {"fields_of_view_deg": {"MACON": field_deg}}
    with house.robot(hosts=10_000, **fields) as robot:
        desk = FrontDeskClient(robot.url)
        answer: Any = desk.ask("process_alert", notice=notice("S1a", event=event).decode(), wait=60)
        desk.ask("process_alert", notice=notice("S2b").decode(), wait=30)
        wait_until(lambda: "S2b" in house.telescope.events, "the next event")
    assert house.telescope.events == ["S1a", "S2b"]
    targets = house.telescope.done[0][2]["targets"]
    if field_deg is None:
        assert 1000 < len(targets) < 10_000
        assert f"An order to MACON holds the {len(targets)} likeliest." in answer["why"]
    else:
        assert sum(len(target.get("members", [0])) for target in targets) > 3000


def test_the_longest_targets_are_counted_as_long_as_they_are() -> None:
    tiny, name = 1.2345678901234567e-101, "<&>" * 30
    one = Pointing(name, 359.12345678901234, -89.12345678901234, 123456789, tiny, tiny, 1e-300,
                   tuple(f"{name}{number}" for number in range(7)))  # fmt: skip
    found = that_fit([one] * 10_000)
    target = {
        "name": one.name, "ra": one.ra_deg, "dec": one.dec_deg, "weight": one.probability,
        "rank": one.rank, "distance_mpc": 123456.78901234567, "members": [*one.members],
    }  # fmt: skip
    order = {
        "id": "i" * 300, "request": "targets", "priority": 10, "wait": 0, "alert": "a" * 300,
        "revision": 10, "targets": [target] * len(found),
    }  # fmt: skip
    said = len(xmlrpc.client.dumps((order,), "front_desk").encode())
    assert 0.5 * MAX_BODY < said <= MAX_BODY


@pytest.mark.parametrize("name", ["", "  ", "x" * 300, "NGC\x00\x01 1", "\ud800"])
def test_a_galaxy_whose_name_cannot_be_sent_is_sent_under_another(name: str) -> None:
    galaxies = by_place(
        info=CatalogueInfo(name="x", title="x", version="1", licence="-", cosmology="-"),
        name=np.array([name]),
        ra_deg=np.array([10.0]),
        dec_deg=np.array([-20.0]),
        distance_mpc=np.array([40.0]),
        distance_error_mpc=np.array([1.0]),
    )
    sent = galaxies.name_of(0)
    assert TypeAdapter(Name).validate_python(sent) == sent
    assert sent.isprintable()
