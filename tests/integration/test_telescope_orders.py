"""Single work orders to the telescope: the queue, the plan, and work by hand."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits
from sqlalchemy.event import listen, remove
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from tests.support.observatory import Observatory
from tests.support.waiting import wait_until
from toros.archive.models import Observation
from toros.common.errors import PeerRefused
from toros.common.work_order import OrderStatus
from toros.telescope.handover import Handover
from toros.telescope.motion import arrive, slew
from toros.telescope.night import Night
from toros.telescope.observation import Ending, observe
from toros.telescope.phases import PHASES
from toros.telescope.preemption import consider

DARK = datetime(2017, 8, 17, 23, 20, tzinfo=UTC)
HOSTS: list[dict[str, Any]] = [
    {"name": "NGC 4993", "ra": 197.449, "dec": -23.384, "weight": 0.5, "rank": 1},
    {"name": "NGC 4970", "ra": 196.891, "dec": -24.009, "weight": 0.1},
]


@pytest.fixture
def observatory(tmp_path: Path, sessions: sessionmaker[Session]) -> Iterator[Observatory]:
    found = Observatory(tmp_path, sessions, DARK, 120.0, {})
    yield found
    found.close()


def send(observatory: Observatory, revision: int, targets: list[dict[str, Any]]) -> Any:
    return observatory.ask("targets", alert="GW170817", revision=revision, targets=targets)


def test_a_later_revision_updates_and_cancels(observatory: Observatory) -> None:
    assert send(observatory, 1, HOSTS)["added"] == ["NGC 4993", "NGC 4970"]
    answer = send(observatory, 2, [{**HOSTS[0], "weight": 0.9}, {**HOSTS[1], "name": "IC 4197"}])
    assert (answer["updated"], answer["added"], answer["cancelled"]) == (
        ["NGC 4993"],
        ["IC 4197"],
        ["NGC 4970"],
    )
    assert observatory.entry("NGC 4993").weight == 0.9
    again = send(observatory, 2, [{**HOSTS[0], "weight": 0.9}, {**HOSTS[1], "name": "IC 4197"}])
    assert again["kept"] == ["NGC 4993", "IC 4197"]
    older = send(observatory, 1, HOSTS)
    assert "newer" in older["reason"]
    assert observatory.entry("NGC 4970").state == "cancelled"


def test_a_retraction_cancels_what_is_left(observatory: Observatory) -> None:
    send(observatory, 1, HOSTS)
    answer = observatory.ask("retract_alert", alert="GW170817")
    assert answer["cancelled"] == ["NGC 4993", "NGC 4970"]
    assert observatory.ask("retract_alert", alert="never heard of")["cancelled"] == []
    assert observatory.ask("schedule")["blocks"] == []


@pytest.mark.parametrize("request_name", ["targets", "retract_alert"])
def test_an_alert_s_order_is_not_lost_when_the_archive_is_away(
    observatory: Observatory, request_name: str
) -> None:
    failures: list[int] = []

    def refuse(session: Session, *_: Any) -> None:
        if len(failures) < 2 and any(
            isinstance(row, Observation) for row in [*session.new, *session.dirty]
        ):
            failures.append(1)
            raise OperationalError("INSERT", None, sqlite3.OperationalError("it is away"))

    fields: dict[str, Any] = {"alert": "GW170817"}
    if request_name == "targets":
        fields |= {"revision": 1, "targets": HOSTS}
    else:
        send(observatory, 1, HOSTS)
    sessions = observatory.context.sessions
    listen(sessions, "before_flush", refuse)
    try:
        reply = observatory.client.send(request_name, id="alert-1", wait=30, **fields)
    finally:
        remove(sessions, "before_flush", refuse)
    assert len(failures) == 2
    assert reply.status is OrderStatus.COMPLETED
    state = "queued" if request_name == "targets" else "cancelled"
    assert {observatory.entry(host["name"]).state for host in HOSTS} == {state}


def test_an_observation_answers_when_it_is_planned_or_why_not(observatory: Observatory) -> None:
    good = observatory.ask("observation", ra=204.25, dec=-29.87, object="M 83", priority=7)
    assert good["planned"].startswith("2017-08-17T23:")
    assert (good["priority"], good["reason"]) == (7.0, "")
    bad = observatory.ask("observation", ra=37.95, dec=89.26)
    assert bad["planned"] is None
    assert "altitude at most" in bad["reason"]
    strict = observatory.ask(
        "observation", ra=204.25, dec=-29.87, constraints={"min_altitude_deg": 80.0}
    )
    assert "below 80°" in strict["reason"]
    plan = observatory.ask("schedule")
    assert [block["target"] for block in plan["blocks"]] == ["M 83"]
    assert {left["target"] for left in plan["left_out"]} == {bad["name"], strict["name"]}
    other = observatory.ask("schedule", night="2017-06-01")
    assert other["night"] == "2017-06-01"


@pytest.mark.parametrize(
    ("request_name", "fields", "said"),
    [
        ("observation", {"ra": 400.0, "dec": 0.0}, "ra"),
        ("observation", {"ra": 10.0}, "'dec' is missing"),
        ("observation", {"ra": 10.0, "dec": 1.0, "colour": "red"}, "unknown field 'colour'"),
        ("targets", {"alert": "x", "revision": 1, "targets": [{"name": "y"}]}, "targets.0.ra"),
        ("take_calibration_frames", {"kind": "fuzzy", "count": 1}, "kind"),
        ("schedule", {"night": "soon"}, "night"),
    ],
)
def test_wrong_fields_are_refused_by_name(
    observatory: Observatory, request_name: str, fields: dict[str, Any], said: str
) -> None:
    reply = observatory.client.send(request_name, **fields)
    assert reply.status is OrderStatus.REJECTED
    assert said in reply.message


def test_constraints_that_contradict_are_refused(observatory: Observatory) -> None:
    with pytest.raises(PeerRefused, match="must be below"):
        observatory.ask("observation", ra=1.0, dec=1.0, constraints={"max_altitude_deg": 20.0})


def test_what_was_chosen_before_an_order_came_is_not_begun(observatory: Observatory) -> None:
    """While the dome opens for a target nothing runs that an alert, or the end, could stop."""
    observatory.ask("observation", ra=290.0, dec=-45.0, object="field", count=9, exptime=300.0)
    telescope = observatory.telescope()
    observatory.end("telescope")  # the night's own thread would go on at once
    telescope.interrupt.clear()
    entry = observatory.entry("field").id
    night = Night(telescope, Handover(telescope), PHASES)
    orders = (lambda: consider(telescope), lambda: night.close("close_night was ordered"))
    for order in orders:
        telescope.reconsider.clear()
        order()
        outcome = observe(telescope, entry)
        assert outcome.ending is Ending.STOPPED
        assert "an order came" in outcome.reason
        row = observatory.entry("field")
        assert (row.state, row.attempts, row.taken) == ("queued", 0, 0)


def test_what_was_retracted_since_it_was_chosen_is_not_begun(observatory: Observatory) -> None:
    send(observatory, 1, HOSTS)
    entry = observatory.entry("NGC 4993").id
    observatory.ask("retract_alert", alert="GW170817")
    telescope = observatory.telescope()
    assert observe(telescope, entry).ending is Ending.STOPPED
    row = observatory.entry("NGC 4993")
    assert (row.state, row.attempts) == ("cancelled", 0)


def test_by_hand(observatory: Observatory) -> None:
    pointed = observatory.ask("point", ra=204.25, dec=-29.87, filter="g", wait=60)
    assert pointed["ra"] == pytest.approx(204.25, abs=0.02)
    assert pointed["filter"] == "g"
    with pytest.raises(PeerRefused, match="horizon"):
        observatory.ask("point", ra=37.95, dec=89.26, wait=60)
    taken = observatory.ask("expose", exptime=5.0, count=2, object="M 83", wait=60)
    assert [fits.getheader(path)["FILTER"] for path in taken["paths"]] == ["g", "g"]
    reply = observatory.client.send(
        "take_calibration_frames", id="flats-7", kind="flat", count=1, exptime=1.0, wait=60
    )
    assert isinstance(reply.result, dict)
    assert fits.getheader(reply.result["paths"][0])["ORDERID"] == "flats-7"
    darks = observatory.ask("take_calibration_frames", kind="dark", count=1, exptime=5.0, wait=60)
    assert fits.getheader(darks["paths"][0])["IMAGETYP"] == "dark"
    assert observatory.ask("park", wait=60) is True


def test_by_day_the_mount_is_not_sent_across_the_sun(
    tmp_path: Path, sessions: sessionmaker[Session]
) -> None:
    noon = datetime(2017, 8, 17, 16, 30, tzinfo=UTC)  # the Sun is at RA 147°, Dec +13°
    observatory = Observatory(tmp_path, sessions, noon, 120.0, {})
    try:
        telescope = observatory.telescope()
        slew(telescope, 147.0, -50.0)
        arrive(telescope, 147.0, -50.0)
        slew(telescope, 99.0, 0.0)  # 50° west of the Sun
        arrive(telescope, 99.0, 0.0)
        with pytest.raises(PeerRefused, match=r"pass the Sun at \d+\.\d°, within 30°"):
            observatory.ask("point", ra=195.0, dec=20.0, wait=60)
        state = telescope.devices.mount.state()
        assert (state.slewing, round(state.ra_deg), round(state.dec_deg)) == (False, 99, 0)
        slew(telescope, 147.0, -50.0)  # the other way round is free
        arrive(telescope, 147.0, -50.0)
    finally:
        observatory.close()


def test_a_dark_wants_the_dome_closed(observatory: Observatory) -> None:
    send(observatory, 1, HOSTS)
    observatory.ask("open_night")
    observatory.until("observing")
    with pytest.raises(PeerRefused, match="give 'abort' or 'close_night' first"):
        observatory.ask("expose", wait=60)
    wait_until(lambda: observatory.dome()["open"], "the dome to open", 60.0)
    observatory.ask("abort")
    observatory.until("halted")
    with pytest.raises(PeerRefused, match="wants the dome closed"):
        observatory.ask("take_calibration_frames", kind="dark", count=1, wait=60)


def test_cancelling_an_order_ends_its_exposure(observatory: Observatory) -> None:
    observatory.client.send("expose", id="long", exptime=3600.0)
    observatory.until_doing("exposing")
    observatory.ask("cancel", work_order="long")
    answer: Any = None

    def ended() -> bool:
        nonlocal answer
        answer = observatory.ask("work_order_status", work_order="long")
        return answer["state"] == "cancelled"

    wait_until(ended, "the order to end")
    assert observatory.exposures() == []


def test_no_night_can_be_opened_after_dawn(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    morning = datetime(2017, 8, 18, 11, 0, tzinfo=UTC)
    found = Observatory(tmp_path, sessions, morning, 60.0, {})
    try:
        with pytest.raises(PeerRefused, match="is over; the next begins at 2017-08-18 16:29"):
            found.ask("open_night")
    finally:
        found.close()


def test_camera_and_focus_by_hand(observatory: Observatory) -> None:
    assert observatory.ask("cool_camera", temperature=-12.5)["set_point"] == -12.5
    assert observatory.ask("cool_camera")["set_point"] == -20.0
    assert "temperature" in observatory.ask("warm_camera")
    with pytest.raises(PeerRefused, match="dome is not open"):
        observatory.ask("focus", filter="g")
    assert observatory.telescope().focus.done  # it was tried


def test_the_running_block_stands_in_the_plan(observatory: Observatory) -> None:
    for name, ra in (("first", 290.0), ("second", 300.0)):
        observatory.ask("observation", ra=ra, dec=-45.0, object=name, count=3, exptime=300.0)
    observatory.ask("open_night")
    observatory.until_doing("frame 1 of 3")
    running = observatory.night()["doing"].split(",")[0]
    wait_until(lambda: observatory.telescope().running, "the observation to be known")
    plan = observatory.ask("schedule")
    assert plan["blocks"][0]["target"] == running
    start, end = (datetime.fromisoformat(plan["blocks"][0][edge]) for edge in ("start", "end"))
    # Only what is left to be taken: the telescope is there already.
    frame_s = 300.0 + observatory.config.telescope.frame_overhead_s
    assert (end - start).total_seconds() == pytest.approx(3 * frame_s, abs=0.01)
