"""Notices from a folder: every kind of bad one is one clear record, and the next is processed."""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from sqlalchemy.orm import Session, sessionmaker

from tests.support.alert_house import ALERTS, REPLAY, AlertHouse, alert_house, notice
from tests.support.waiting import wait_until
from tests.support.web_server import serving
from toros.common.clock import Clock
from toros.lvcgcn.inbox import Arrival, Inbox
from toros.lvcgcn.keep import Keep
from toros.lvcgcn.letter import Letter
from toros.lvcgcn.sources.source import RawNotice

needs_alerts = pytest.mark.skipif(not ALERTS.is_dir(), reason=f"the notices of {ALERTS} are absent")


@pytest.fixture
def house(tmp_path: Path, sessions: sessionmaker[Session]) -> Iterator[AlertHouse]:
    (tmp_path / "drop").mkdir()
    with alert_house(tmp_path, sessions) as found:
        yield found


def watching(house: AlertHouse, **changes: Any) -> dict[str, Any]:
    folder = {"path": str(house.folder / "drop"), "poll_s": 0.05}
    return {"sources": {"folders": [folder]}, **changes}


class Drop:
    """Puts files into the folder, in order of time."""

    def __init__(self, house: AlertHouse) -> None:
        self._folder = house.folder / "drop"
        self._number = 0

    def put(self, content: bytes, suffix: str = ".json") -> None:
        self._number += 1
        hidden = self._folder / f".{self._number}"
        hidden.write_bytes(content)
        os.utime(hidden, (1e9 + self._number, 1e9 + self._number))
        hidden.rename(self._folder / f"{self._number:03d}{suffix}")


def with_map(event: str, sky_map: bytes | str) -> bytes:
    record = json.loads(REPLAY.notice)
    text = sky_map if isinstance(sky_map, str) else base64.b64encode(sky_map).decode()
    record["event"]["skymap"] = text
    return json.dumps(record | {"superevent_id": event}).encode()


def changed_map(**columns: Any) -> bytes:
    """GW170817's map with other values in some columns."""
    with fits.open(io.BytesIO(REPLAY.sky_map)) as hdus:
        for name, value in columns.items():
            hdus[1].data[name][:] = value
        out = io.BytesIO()
        hdus.writeto(out)
    return out.getvalue()


def empty_map() -> bytes:
    with fits.open(io.BytesIO(REPLAY.sky_map)) as hdus:
        hdus[1].data = hdus[1].data[:0]
        out = io.BytesIO()
        hdus.writeto(out)
    return out.getvalue()


def plain_image() -> bytes:
    out = io.BytesIO()
    fits.PrimaryHDU(np.zeros((8, 8), np.int16)).writeto(out)
    return out.getvalue()


def flat_map(**cards: object) -> bytes:
    out = io.BytesIO()
    table = fits.BinTableHDU.from_columns([fits.Column("PROB", "D", array=np.full(48, 1 / 48))])
    table.header.update({"ORDERING": "NESTED", "COORDSYS": "C", **cards})
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(out)
    return out.getvalue()


def longer_than_it_is(content: bytes) -> bytes:
    """A header that announces a hundred thousand million rows."""
    said, lie = (f"NAXIS2  = {count:20d}".encode() for count in (48, 10**11))
    assert content.count(said) == 1
    return content.replace(said, lie)


class Maps(BaseHTTPRequestHandler):
    """A host of sky maps that is allowed, and what it answers."""

    def do_GET(self) -> None:
        status, body = 404, b""
        if self.path.startswith("/moved"):
            status = 302
        elif self.path == "/bomb":
            status, body = 200, gzip.compress(bytes(5_000_000))
        self.send_response(status)
        if status == 302:
            there = {"/moved/away": "http://other.invalid/m", "/moved/file": "file:///etc/passwd"}
            self.send_header("Location", there[self.path])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


def pointing_to(event: str, address: str) -> bytes:
    """A VOEvent: those have the address of their map."""
    params = {"GraceID": event, "AlertType": "Initial", "Significant": "1", "skymap_fits": address}
    listed = "".join(f'<Param name="{name}" value="{said}"/>' for name, said in params.items())
    return f"""<VOEvent version="2.0" role="observation" ivorn="ivo://gwnet/LVC#{event}-2">
<Who><Date>2017-08-17T18:00:00</Date></Who><What>{listed}</What></VOEvent>""".encode()


BOMB = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;">]><VOEvent ivorn="ivo://a/b#c">&c;</VOEvent>"""
EXTERNAL = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><VOEvent>&a;</VOEvent>'
UNKNOWN_SCHEMA = b'{"$schema": "https://gcn.nasa.gov/schema/vX/gcn/notices/swift/bat/a.json"}'
_ENCODED = base64.b64encode(REPLAY.sky_map).decode()

UNREADABLE = {
    "entity bomb": (BOMB, "refused unread"),
    "external entity": (EXTERNAL, "refused unread"),
    "truncated base64": (with_map("S1a", _ENCODED[: len(_ENCODED) // 2 + 1]), "no whole base64"),
    "truncated JSON": (notice("S2b")[:-40], "no valid JSON"),
    "unknown schema": (UNKNOWN_SCHEMA, "is not known here"),
    "a number": (b"17", "neither VOEvent XML, gwalert JSON nor Avro"),
    "nothing": (b"", "is empty"),
    "damaged Avro": (b"Obj\x01" + bytes(range(200)), "Avro notice is damaged"),
}
BAD_MAPS = {
    "no map": (plain_image(), "no sky map: it has no binary table"),
    "no FITS": (b"SIMPLE is what this is not", "no FITS file"),
    "NaN pixels": (changed_map(PROBDENSITY=np.nan), "is not a number in"),
    "empty map": (empty_map(), "The sky map is empty"),
    "no probability": (changed_map(PROBDENSITY=0.0), "holds no probability"),
    "overlapping cells": (changed_map(UNIQ=1024), "lie over one another"),
    "cut short": (REPLAY.sky_map[: len(REPLAY.sky_map) // 2], "cut short"),
    "huge NSIDE": (flat_map(NSIDE=2**29), "48 pixels, which is not NSIDE 536870912"),
    "gzip bomb": (gzip.compress(bytes(5_000_000)), "more than are read"),
    "more rows than bytes": (longer_than_it_is(flat_map(NSIDE=2)), "cut short"),
}
BAD_ADDRESSES = {
    "moved/away": "is on other.invalid, which lvcgcn.allowed_hosts does not name",
    "moved/file": "cannot be had|is not http|not allowed",
    "bomb": "more than are read",
    "nothing": "404",
}


def test_bad_notices_are_one_clear_record_each_and_the_next_is_processed(house: AlertHouse) -> None:
    drop = Drop(house)
    with house.robot(**watching(house)):
        for number, (content, _) in enumerate(UNREADABLE.values()):
            drop.put(content)
            drop.put(notice(f"S{number}after"))
        expected = [f"S{number}after" for number in range(len(UNREADABLE))]
        wait_until(lambda: house.telescope.events == expected, "the good ones", 60)
    problems = house.problems()
    assert len(problems) == len(UNREADABLE)
    for (content, says), problem in zip(UNREADABLE.values(), problems, strict=True):
        assert says in problem.message
        assert problem.code == 401
        assert Path(problem.data["path"]).read_bytes() == content
        assert problem.data["transport"].startswith("folder:")
    assert not [*(house.folder / "drop").glob("*.*")]


def test_a_notice_with_a_bad_map_is_on_record_with_the_reason(house: AlertHouse) -> None:
    drop = Drop(house)
    # Enough for the map of GW170817, which is good.
    with house.robot(**watching(house, max_map_bytes=2**20)):
        for number, (content, _) in enumerate(BAD_MAPS.values()):
            drop.put(with_map(f"S{number}bad", content))
        drop.put(notice("S99good"))
        wait_until(lambda: house.telescope.events == ["S99good"], "the good one", 60)
    *bad, good = house.alerts()
    assert good.triggered
    assert not house.problems()
    for (_, says), alert in zip(BAD_MAPS.values(), bad, strict=True):
        assert not alert.triggered
        assert says in alert.why
        assert [rule["rule"] for rule in alert.notice["rules"] if not rule["passed"]] == ["map"]


def test_addresses_of_maps_that_lead_astray_are_on_record_with_the_reason(
    house: AlertHouse,
) -> None:
    drop = Drop(house)
    with serving(Maps) as host:
        rules = {"allowed_hosts": ["127.0.0.1"], "download_pause_s": 0, "max_map_bytes": 2**20}
        with house.robot(**watching(house, **rules)):
            for number, path in enumerate(BAD_ADDRESSES):
                drop.put(pointing_to(f"S{number}bad", f"{host}/{path}"), ".xml")
            drop.put(notice("S99good"))
            wait_until(lambda: house.telescope.events == ["S99good"], "the good one", 60)
            # It brought its map along, and did not wait for theirs.
            wait_until(lambda: len(house.alerts()) == len(BAD_ADDRESSES) + 1, "the others", 60)
    assert not house.problems()
    bad = [alert for alert in house.alerts() if alert.event != "S99good"]
    for says, alert in zip(BAD_ADDRESSES.values(), bad, strict=True):
        assert not alert.triggered
        assert re.search(says, alert.why), alert.why
        assert [rule["rule"] for rule in alert.notice["rules"] if not rule["passed"]] == ["map"]


def swift(dec: str, radius: str) -> bytes:
    """A burst that is not on the sky."""
    return f"""<VOEvent version="2.0" role="observation" ivorn="ivo://nasa.gsfc.gcn/SWIFT#{dec}{radius}">
<Who><Date>2017-08-17T18:00:00</Date></Who><WhereWhen><ObsDataLocation><ObservationLocation>
<AstroCoords><Position2D unit="deg"><Value2><C1>120.5</C1><C2>{dec}</C2></Value2>
<Error2Radius>{radius}</Error2Radius></Position2D></AstroCoords></ObservationLocation>
</ObsDataLocation></WhereWhen></VOEvent>""".encode()


def test_a_position_that_is_none_stops_nothing(house: AlertHouse) -> None:
    drop = Drop(house)
    bad = [("nan", "0.05"), ("-95", "0.05"), ("inf", "1"), ("20", "nan"), ("20", "-1")]
    with house.robot(**watching(house, other_missions=["Swift"])):
        for dec, radius in bad:
            drop.put(swift(dec, radius), ".xml")
        drop.put(notice("S99good"))
        wait_until(lambda: house.telescope.events == ["S99good"], "the good one", 60)
    assert not house.problems()
    assert [alert.triggered for alert in house.alerts()] == [False] * len(bad) + [True]


def test_what_a_dead_robot_left_in_the_inbox_is_processed_at_the_next_start(
    house: AlertHouse,
) -> None:
    folder = house.folder / "alerts"

    def unused(*_: Any) -> None:
        raise AssertionError

    inbox = Inbox(folder / "inbox", Keep(folder), unused, unused)
    inbox.put(RawNotice(notice("S1a"), "vtp:x", "ivo://x", house.clock.now()))
    assert len(inbox) == 1
    with house.robot() as _:
        wait_until(lambda: house.telescope.events == ["S1a"], "the notice")
        wait_until(lambda: len(inbox) == 0, "the inbox to be empty")
    (alert,) = house.alerts()
    assert (alert.transport, alert.notice["position_in_transport"]) == ("vtp:x", "ivo://x")


def test_a_notice_that_breaks_its_processing_does_not_stop_the_others(tmp_path: Path) -> None:
    done: list[str] = []
    failed: list[str] = []

    def process(arrival: Arrival) -> None:
        if arrival.position == "2":
            raise ZeroDivisionError("a mistake of ours")
        done.append(arrival.position)
        if arrival.position == "3":
            raise SystemExit  # ends the loop below

    inbox = Inbox(tmp_path / "inbox", Keep(tmp_path), process, lambda _, text: failed.append(text))
    for number in "123":
        inbox.put(RawNotice(number.encode(), "x", number, Clock().now()))
    with pytest.raises(SystemExit):
        inbox.run(threading.Event())
    assert done == ["1", "3"]
    assert failed == ["ZeroDivisionError: a mistake of ours"]


@needs_alerts
@pytest.mark.parametrize("first", ["json", "xml"])
def test_the_mock_event_by_all_ways_at_once_ends_in_the_right_state(
    house: AlertHouse, first: str
) -> None:
    """Six steps as JSON and as VOEvent, each twice and mixed; VOEvents come without their map."""
    steps = ["EarlyWarning", "Preliminary", "Initial", "Update", "Retraction"]
    drop = Drop(house)
    with house.robot(**watching(house, drill_mode=True)):
        for number, step in enumerate(steps, 1):
            ways = [
                ALERTS / "gwalert" / f"MS181101ab-{step.lower()}.json",
                ALERTS / "voevent" / f"MS181101ab-{number}-{step}.xml",
            ] * 2
            for path in ways if first == "json" else reversed(ways):
                drop.put(path.read_bytes(), path.suffix)
            # An order that was not sent yet would be superseded by that of the next step.
            wait_until(lambda number=number: len(house.telescope.done) >= number, step, 60)
        for path in [ALERTS / "gwalert" / "MS181101ab-ext-update.json"] * 2:
            drop.put(path.read_bytes())
        wait_until(lambda: len(house.telescope.done) >= 6, "the last order", 60)
    requests = [request for request, _, _ in house.telescope.done]
    assert requests == [*["targets"] * 4, "retract_alert", "targets"]
    assert house.states()[max(house.states())] == {"relayed"}
    last = house.alerts()[-1]
    assert (last.alert_type, last.triggered) == ("UPDATE", True)
    # As JSON came first a VOEvent is news of nothing; as it came second the JSON brought the map.
    assert len(house.alerts()) == {"json": 6, "xml": 10}[first]


@needs_alerts
def test_each_revision_of_the_mock_event_says_what_it_changes(house: AlertHouse) -> None:
    drop = Drop(house)
    steps = ("earlywarning", "initial", "retraction", "ext-update")
    with house.robot(**watching(house, drill_mode=True)):
        for step in steps:
            drop.put((ALERTS / "gwalert" / f"MS181101ab-{step}.json").read_bytes())
        wait_until(lambda: len(house.events()) == 4, "four revisions", 60)
    changes = [alert.notice.get("changes", {}).get("MACON") for alert in house.alerts()]
    counts = [one and {key: len(names) for key, names in one.items()} for one in changes]
    assert counts == [
        {"new": 5, "kept": 0, "cancelled": 0},
        {"new": 0, "kept": 5, "cancelled": 0},
        {"new": 0, "kept": 0, "cancelled": 5},
        {"new": 5, "kept": 0, "cancelled": 0},
    ]
    assert house.alerts()[2].notice["told"] == ["MACON"]
    assert house.alerts()[0].notice["label"] == "MOCK"
    retraction, last = house.alerts()[2:]
    assert "MACON: cancelled IC 4180, IC 4197, " in Letter(retraction, []).text()
    assert last.notice["external"]["observatory"] == "Fermi"
    assert last.notice["sky_map_origin"] == "the embedded combined map"
    assert "coincident with Fermi" in last.why
    coincidence = "Coincidence:      Fermi GRB, +2.02 s, joint false-alarm rate 6.4e-16 Hz"
    assert coincidence in Letter(last, []).text().splitlines()


@needs_alerts
def test_every_file_of_the_samples_goes_through(house: AlertHouse) -> None:
    paths = [
        path
        for folder in ("voevent", "gwalert", "other")
        for path in sorted((ALERTS / folder).iterdir())
    ]
    drop = Drop(house)
    everyone = ["Swift", "Fermi", "IceCube"]
    with house.robot(**watching(house, drill_mode=True, other_missions=everyone)):
        for path in paths:
            drop.put(path.read_bytes(), path.suffix)
        wait_until(lambda: not [*(house.folder / "drop").glob("*.*")], "all to be taken", 60)
        inbox = house.folder / "alerts" / "inbox"
        wait_until(lambda: not [*inbox.glob("*.json")], "all to be processed", 60)
    assert not house.problems()
    events = set(house.events())
    assert {"MS181101ab", "Swift 1187142", "Fermi 624500874"} < events
    assert all(alert.why for alert in house.alerts())
