"""Operators, mails, roofs and mounts: the dome module in stepped time, on the simulator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.message import Message
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope
from aiosmtpd.smtp import Session as SmtpSession
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.dome_promises import Promises
from tests.support.dome_world import SETTINGS, World
from tests.support.peer import Peer
from tests.support.ports import free_port
from toros.archive.models import Event
from toros.common.config.dome import Limit
from toros.common.config.models import Email
from toros.common.errors import DomeError, DomeUnsafe, NotArrived
from toros.common.module import Context

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
    make: Make, sessions: sessionmaker[Session]
) -> None:
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        world = make()
        email = Email(
            smtp_host="127.0.0.1", smtp_port=controller.port, starttls=False, recipients=["a@b.c"]
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
        assert dome.news.flush()
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
