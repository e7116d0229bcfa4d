"""Operators, mails, roofs and mounts: the dome module in stepped time, on the simulator."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope
from aiosmtpd.smtp import Session as SmtpSession
from sqlalchemy import event as event_api
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from tests.support.dome_promises import Promises
from tests.support.dome_world import SETTINGS, World
from tests.support.peer import Peer
from tests.support.ports import free_port
from toros.archive.models import Event
from toros.common.config.dome import Limit
from toros.common.config.models import Email
from toros.common.errors import Cancelled, DomeError, DomeUnsafe, NotArrived, ShutterStuck
from toros.common.module import Context
from toros.dome.operator import OperatorLock

Make = Callable[..., World]


class Mailbox:
    def __init__(self) -> None:
        self.mails: list[Message] = []

    async def handle_DATA(  # noqa: N802 - the server's name for it
        self, _server: SMTP, _session: SmtpSession, envelope: Envelope
    ) -> str:
        assert isinstance(envelope.content, bytes)
        self.mails.append(message_from_bytes(envelope.content))
        return "250 OK"


@pytest.fixture
def make(sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    worlds: list[World] = []
    with Peer() as peer:

        def begin(simulator: dict[str, Any] | None = None, **changes: Any) -> World:
            settings = SETTINGS.model_copy(update=changes)
            worlds.append(World(sessions, peer, monkeypatch, settings, simulator))
            worlds[-1].reset()
            return worlds[-1]

        yield begin
        for world in worlds:
            world.close()


def _shutter(world: World) -> float:
    return float(world.observatory.dome.shutter(world.clock.unix()))


def _safety(world: World) -> dict[str, Any]:
    found = world.order("safety_status")
    assert isinstance(found, dict)
    return found


def test_a_lock_closes_holds_over_a_restart_and_is_taken_off(make: Make) -> None:
    world = make()
    assert world.order("open_dome") is True
    assert world.order("lock_dome", user="ana", reason="somebody is in the dome") is True
    world.wait(40.0)
    assert _shutter(world) == 0.0
    world.kill()
    world.run()
    world.wait(10.0)
    refused = world.order("open_dome")
    assert isinstance(refused, DomeUnsafe)
    assert "operator's lock is set by ana: somebody is in the dome" in refused.message
    lock = _safety(world)["lock"]
    assert (lock["locked"], lock["user"]) == (True, "ana")
    assert isinstance(
        world.order("override_safety", sources=["operator's lock"], seconds=60.0, reason="no"),
        DomeError,
    )
    assert world.order("unlock_dome", user="ana") is True
    assert world.order("open_dome") is True


def test_an_override_ends_by_itself_and_with_the_module(make: Make) -> None:
    world = make()
    world.weather(False)
    world.wait(10.0)
    assert isinstance(world.order("open_dome"), DomeUnsafe)
    override = {"sources": ["safety monitor 0"], "seconds": 120.0, "reason": "sensor is broken"}
    assert isinstance(world.order("override_safety", user="ana", **override), str)
    assert world.order("open_dome") is True
    status = _safety(world)
    assert status["safe"] is True
    assert status["override"]["sources"] == ["safety monitor 0"]
    rows = {row["name"]: row for row in status["sources"]}
    assert rows["safety monitor 0"]["safe"] is False
    assert rows["safety monitor 0"]["overridden"] is True
    world.wait(100.0)
    assert _shutter(world) == 1.0
    world.wait(60.0)
    assert _shutter(world) == 0.0
    world.order("override_safety", **override)
    world.kill()
    world.run()
    world.wait(10.0)
    assert _safety(world)["override"] is None


@pytest.mark.parametrize(
    ("sources", "seconds", "words"),
    [
        (["safety monitor 7"], 60.0, "did you mean 'safety monitor 0'"),
        (["safety monitor 0"], 7200.0, "at most 3600 s"),
    ],
)
def test_an_impossible_override_is_refused(
    make: Make, sources: list[str], seconds: float, words: str
) -> None:
    refused = make().order("override_safety", sources=sources, seconds=seconds, reason="tests")
    assert isinstance(refused, DomeError)
    assert words in refused.message


def test_the_shutter_stays_closed_over_a_mount_that_is_not_parked(make: Make) -> None:
    world = make()
    world.mount.unpark()
    refused = world.order("open_dome")
    assert isinstance(refused, DomeUnsafe)
    assert "not parked" in refused.message
    world.fault(device="telescope", fault="drop", duration_s=60.0)
    assert "not known whether the mount is parked" in world.order("open_dome").message


def test_a_dead_mount_is_waited_for_no_longer_than_the_limit(make: Make) -> None:
    world = make()
    assert world.order("open_dome") is True
    world.telescope_points()
    world.wait(20.0)
    world.fault(device="telescope", fault="stuck")
    began = world.clock.unix()
    assert world.order("close_dome") is True
    closed = world.observatory.dome._shutter.ramp(world.clock.unix()).end_unix
    waited = closed - began - 15.0
    assert SETTINGS.mount_park_wait_s - 5 <= waited <= SETTINGS.mount_park_wait_s + 5


@pytest.mark.parametrize("kind", ["roof", "clamshell"])
def test_a_roof_has_no_azimuth_and_every_order_has_a_true_answer(make: Make, kind: str) -> None:
    world = make({"dome": {"kind": kind, "shutter_s": 15.0}})
    assert world.order("open_dome") is True
    assert world.order("set_azim", azim=77.0) is True
    assert world.order("set_for_coordinates", alt=45.0, azim=300.0) is True
    ra, dec = world.target
    assert world.order("follow", ra=ra, dec=dec) is True
    status = world.status()
    assert (status["turns"], status["open"], status["in_slit"]) == (False, True, True)
    world.wait(60.0)
    assert world.order("park_position") is True
    assert world.status()["park"] is True
    world.weather(False)
    world.wait(40.0)
    assert _shutter(world) == 0.0


def test_power_on_with_an_unknown_shutter_finds_out_before_anything_moves(make: Make) -> None:
    world = make()
    assert world.order("open_dome") is True
    world.kill()
    world.observatory.restart(0.0, shutter_unknown=True)
    world.run()
    world.wait(1.0)
    assert world.status()["shutter"] == "error"
    azimuth = world.observatory.dome.true_azimuth(world.clock.unix())
    for request, fields in {
        "set_azim": {"azim": 200.0},
        "park_position": {},
        "open_dome": {},
    }.items():
        refused = world.order(request, **fields)
        assert isinstance(refused, DomeError), (request, refused)
        assert not isinstance(refused, NotArrived)
    assert world.observatory.dome.true_azimuth(world.clock.unix()) == azimuth
    world.wait(90.0)
    assert world.status()["shutter"] == "closed"
    assert _shutter(world) == 0.0
    assert world.order("set_azim", azim=200.0) is True


def test_every_change_is_an_event_with_its_cause_and_a_mail(
    make: Make, sessions: sessionmaker[Session], tmp_path: Path
) -> None:
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        world = make()
        email = Email(
            smtp_host="127.0.0.1",
            smtp_port=controller.port,
            starttls=False,
            recipients=["a@b.c"],
            outbox=tmp_path,
        )
        world.kill()
        world.config = world.config.model_copy(update={"email": email})
        world.context = Context(world.config, world.clock, sessions)
        world.run()
        world.wait(10.0)
        assert world.order("open_dome") is True
        world.fault(device="dome", fault="stuck", member="shutter", duration_s=200.0)
        world.weather(False)
        world.wait(300.0)
        dome = world.dome
        assert dome is not None
        assert dome.events.flush()
        dome.news.close()
    finally:
        controller.stop()
    with sessions() as session:
        events = list(session.scalars(select(Event).order_by(Event.id)))
    unsafe = [event for event in events if event.kind == "safety" and event.code == 301]
    assert unsafe[-1].data["sources"] == ["safety monitor 0"]
    assert "says that it is unsafe" in unsafe[-1].data["because"][0]
    stuck = [event for event in events if event.kind == "problem"]
    assert stuck[0].level == "error"
    assert "DOES NOT CLOSE" in stuck[0].message
    assert any("The dome is closed" in event.message for event in events)
    assert len(box.mails) == 1
    text = str(box.mails[0].get_payload(decode=True), "utf-8")
    for event in (unsafe[-1], stuck[0]):
        assert event.message in text


def test_a_mount_is_waited_for_again_after_a_closing_that_was_given_up(make: Make) -> None:
    """The shutter was stuck, became free, and was not closed, for it was safe again."""
    world = make()
    promises = Promises(world)  # among them: no shutter over a mount that is not parked
    assert world.order("open_dome") is True
    world.fault(device="dome", fault="stuck", member="shutter", duration_s=120.0)
    world.weather(False)
    world.wait(70.0)
    world.weather(None)
    world.wait(100.0)
    assert _shutter(world) == 1.0
    world.telescope_points()
    world.wait(20.0)
    assert not world.mount.parked()
    world.weather(False)
    world.wait(60.0)
    assert _shutter(world) == 0.0
    assert promises.slowest_s > 0.0


def test_each_cause_is_an_event_though_it_was_unsafe_before(
    make: Make, sessions: sessionmaker[Session]
) -> None:
    weather = SETTINGS.weather
    gusts = weather.limits.model_copy(update={"wind_gust_m_s": Limit(unsafe=15.0, safe=12.0)})
    world = make(weather=weather.model_copy(update={"limits": gusts}))
    for values in ({"wind_gust": 18.0}, {"wind_gust": 19.0}, {"wind_gust": 5.0, "rain_rate": 2.0}):
        world.weather(True, **values)
        world.wait(30.0)
    dome = world.dome
    assert dome is not None
    assert dome.events.flush()
    with sessions() as session:
        events = session.scalars(select(Event).where(Event.kind == "safety").order_by(Event.id))
        said = [event.data["because"] for event in events if event.code == DomeUnsafe.code]
    # Its age apart, a gust of 19 is no other cause than one of 18; rain is.
    assert [("wind_gust" in text[0], "rain_rate" in text[0]) for text in said[-2:]] == [
        (True, False),
        (False, True),
    ]


def test_an_override_counts_from_when_it_was_ordered(make: Make) -> None:
    world = make()
    world.weather(False)
    override = {"id": "waits", "sources": ["safety monitor 0"], "seconds": 120.0, "reason": "flats"}
    world.take("override_safety", **override)
    world.wait(100.0)
    assert isinstance(world.order("override_safety", **override), str)
    world.wait(15.0)
    assert _safety(world)["safe"] is True
    world.wait(15.0)
    assert _safety(world)["safe"] is False
    assert isinstance(world.order("override_safety", **override), DomeError)


def test_orders_of_a_former_life_neither_override_nor_open(make: Make) -> None:
    world = make()
    override = {"id": "old", "sources": ["Sun"], "seconds": 3600.0, "reason": "flats"}
    world.take("override_safety", **override)
    world.take("open_dome", id="opens")
    world.kill()
    world.wait(600.0)
    world.run()
    world.wait(60.0)
    assert _safety(world)["safe"] is True
    assert isinstance(world.order("override_safety", **override), DomeError)
    assert isinstance(world.order("open_dome", id="opens"), Cancelled)
    assert _shutter(world) == 0.0
    assert world.order("open_dome") is True


@pytest.mark.parametrize("hours", [-1.0, 1.0, -24.0 * 365, 24.0 * 365])
def test_what_came_first_is_told_by_no_time_that_can_be_set(make: Make, hours: float) -> None:
    world = make()
    assert world.order("close_dome") is True
    world.take("open_dome", id="before")
    world.wait(10.0)
    assert world.order("close_dome") is True
    world.set_time(hours * 3600.0)
    assert isinstance(world.order("open_dome", id="before"), Cancelled)
    world.take("open_dome", id="after")
    world.wait(10.0)
    assert world.order("open_dome", id="after") is True

    override = {"id": "flats", "sources": ["safety monitor 0"], "seconds": 120.0, "reason": "flats"}
    world.weather(False)
    world.take("override_safety", **override)
    world.set_time(-hours * 3600.0)
    world.wait(100.0)
    assert isinstance(world.order("override_safety", **override), str)
    assert _safety(world)["safe"] is True
    world.wait(30.0)
    assert _safety(world)["safe"] is False


def test_orders_of_a_former_life_are_known_whatever_the_time(make: Make) -> None:
    world = make()
    world.take("open_dome", id="opens")
    world.kill()
    world.set_time(-3600.0)
    world.run()
    world.wait(60.0)
    assert isinstance(world.order("open_dome", id="opens"), Cancelled)
    assert world.order("open_dome") is True


def test_nothing_moves_before_the_hardware_was_ever_read(make: Make) -> None:
    world = make()
    world.kill()
    for member in ("DeviceState", "ShutterStatus"):
        world.fault(device="dome", member=member, fault="refuse", error=0x500)
    world.run()
    azimuth = world.observatory.dome.true_azimuth(world.clock.unix())
    for request, fields in {"set_azim": {"azim": 200.0}, "park_position": {}}.items():
        refused = world.order(request, **fields)
        assert isinstance(refused, DomeError), (request, refused)
        assert "where the shutter is" in refused.message
    world.wait(2.0)
    assert world.observatory.dome.true_azimuth(world.clock.unix()) == azimuth


def test_a_module_that_stops_closes_what_it_could_never_read(make: Make) -> None:
    world = make()
    assert world.order("open_dome") is True
    world.kill()
    for member in ("DeviceState", "ShutterStatus"):
        world.fault(device="dome", member=member, fault="garbage")
    world.run()
    dome = world.dome
    assert dome is not None
    dome.leaving.finish()
    world.wait(20.0)
    assert _shutter(world) == 0.0


def test_what_is_said_to_be_unsafe_closes_before_all_was_heard(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make()
    assert world.order("open_dome") is True
    world.kill()
    world.weather(False)
    # The archive does not answer: nobody knows whether there is a lock.
    monkeypatch.setattr(OperatorLock, "read", lambda _: None)
    world.run()
    world.wait(5.0 + 15.0 + 5.0)  # a look, the shutter's travel, and some
    assert _shutter(world) == 0.0


def test_an_opening_that_broke_off_after_a_close_is_closed(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The close came between the opening's last look and its command, which was still obeyed."""
    world = make()
    dome = world.dome
    assert dome is not None
    really = dome._hardware.open_shutter

    def overtaken(timeout_s: float, cancelled: threading.Event) -> None:
        assert cancelled.is_set() is False
        assert world.order("close_dome") is True
        world.fault(device="dome", member="OpenShutter", fault="drop", done=True, count=1)
        really(timeout_s)

    monkeypatch.setattr(dome._hardware, "open_shutter", overtaken)
    assert isinstance(world.order("open_dome"), ShutterStuck)
    world.wait(60.0)
    assert _shutter(world) == 0.0


def test_a_telescope_that_completes_nothing_is_not_heard(make: Make) -> None:
    world = make()
    world.peer.status, world.peer.code = "failed", 1
    world.wait(SETTINGS.telescope_silence_s or 0.0)
    world.wait(20.0)
    assert _safety(world)["safe"] is False
    world.peer.status, world.peer.code = "completed", 0
    world.wait(20.0)
    assert _safety(world)["safe"] is True


def test_an_event_whose_commit_failed_takes_no_other_events_number(
    make: Make, sessions: sessionmaker[Session]
) -> None:
    world = make()
    dome = world.dome
    assert dome is not None
    assert dome.events.flush()
    engine = sessions.kw["bind"]

    def fails(_connection: object) -> None:
        event_api.remove(engine, "commit", fails)
        raise OperationalError("COMMIT", {}, Exception("disk I/O error"))

    event_api.listen(engine, "commit", fails)
    dome.events.record("shutter", "The first try of this one fails.\0")
    assert not dome.events.flush()
    with sessions.begin() as session:
        for _ in range(3):  # another module's, meanwhile
            session.add(
                Event(time=world.clock.now(), module="telescope", kind="state", message="other")
            )
    assert dome.events.flush()
    with sessions() as session:
        said = list(session.scalars(select(Event.message).order_by(Event.id)))
    assert said[-4:] == ["other"] * 3 + ["The first try of this one fails.\ufffd"]
