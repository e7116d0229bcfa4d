"""The alert daemon between a client and telescopes' front desks, over real HTTP."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.ports import free_port
from tests.support.waiting import wait_until
from toros.archive.models import Alert, Event, Target
from toros.archive.schema import upgrade
from toros.common.client import FrontDeskClient
from toros.common.clock import Clock
from toros.common.config import Config
from toros.common.daemon import Daemon
from toros.common.database import make_engine, make_sessions
from toros.common.errors import ConfigurationError, WrongState
from toros.common.module import Context, Module
from toros.common.requests import Fields, Request, RequestTable, Task
from toros.common.work_order import Json, OrderStatus, Reply
from toros.lvcgcn.daemon import build
from toros.simulator.replay import make_gw170817

ALERTS = Path(__file__).parents[2].parent / "shared" / "data" / "alerts"
needs_alerts = pytest.mark.skipif(not ALERTS.is_dir(), reason=f"the notices of {ALERTS} are absent")

NOTICE = make_gw170817().notice
EVENING = datetime(2017, 8, 17, 22, 0, tzinfo=UTC)
MACON = {"lon": -67.3218, "lat": -24.6226, "height": 4650.0}
TOLOLO = {"lon": -70.8065, "lat": -30.1691, "height": 2200.0}
SVALBARD = {"lon": 15.6, "lat": 78.2, "height": 10.0}


class TargetsFields(Fields):
    alert: str
    revision: int
    targets: list[dict[str, Any]]


class AlertFields(Fields):
    alert: str


@dataclass
class Taken:
    """What a telescope was told, in order."""

    orders: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    stubborn: bool = False

    def take(self, fields: Fields, task: Task) -> Json:
        if self.stubborn:
            raise WrongState("The telescope is in the workshop.")
        self.orders.append((task.order.request, task.id, fields.model_dump()))
        return None

    @property
    def requests(self) -> list[str]:
        return [request for request, _, _ in self.orders]


def _table(journaled: bool) -> RequestTable[Taken]:
    return RequestTable(
        [
            Request(
                name=name,
                fields=fields,
                handler=Taken.take,
                summary="Write it down.",
                journaled=journaled,
            )
            for name, fields in (("targets", TargetsFields), ("retract_alert", AlertFields))
        ]
    )


class House:
    """Telescopes and alert daemons that come and go on fixed ports."""

    def __init__(self, folder: Path, sessions: sessionmaker[Session], stack: ExitStack) -> None:
        self.folder = folder
        self.sessions = sessions
        self.clock = Clock.simulated(EVENING, 1.0)
        self._stack = stack

    def telescope(self, port: int, *, journaled: bool = False, stubborn: bool = False) -> Taken:
        taken = Taken(stubborn=stubborn)
        engine = make_engine(f"sqlite:///{self.folder / f'telescope-{port}.db'}")
        upgrade(engine)
        context = Context(Config(), self.clock, make_sessions(engine))
        module = Module("telescope", taken, _table(journaled), close=engine.dispose)
        daemon = Daemon(module, context, ("127.0.0.1", port))
        daemon.start()
        self._stack.callback(daemon.stop)
        return taken

    def config(self, ports: dict[str, int] | None = None, **lvcgcn: Any) -> Config:
        places = {"MACON": MACON, "TOLOLO": TOLOLO, "SVALBARD": SVALBARD}
        return Config.model_validate(
            {
                "lvcgcn": {
                    "folder": self.folder / "alerts",
                    "catalog_folder": self.folder / "catalogues",
                    "hosts": 12,
                    "relay_retry_s": 0.05,
                    "relay_timeout_s": 5,
                    **lvcgcn,
                },
                "observatories": [
                    {
                        "name": name,
                        "telescope": f"http://127.0.0.1:{port}",
                        "location": places[name],
                    }
                    for name, port in (ports or {}).items()
                ],
            }
        )

    def lvcgcn(self, config: Config) -> FrontDeskClient:
        daemon = self.daemon(config)
        self._stack.callback(daemon.stop)
        return FrontDeskClient(daemon.url)

    def daemon(self, config: Config) -> Daemon:
        context = Context(config, self.clock, self.sessions)
        daemon = Daemon(build(context), context, ("127.0.0.1", 0))
        daemon.start()
        return daemon

    def states(self, event: str = "GW170817") -> dict[tuple[int, str], set[str]]:
        """The states of the targets by revision and observatory."""
        query = select(Alert.revision, Target).join(Target, Target.alert_id == Alert.id)
        found: dict[tuple[int, str], set[str]] = {}
        with self.sessions() as session:
            for revision, target in session.execute(query.where(Alert.event == event)):
                found.setdefault((revision, target.observatory), set()).add(target.state)
        return found

    def events(self, kind: str) -> list[Event]:
        with self.sessions() as session:
            return [*session.scalars(select(Event).where(Event.kind == kind).order_by(Event.id))]


@pytest.fixture
def house(tmp_path: Path, sessions: sessionmaker[Session]) -> Iterator[House]:
    with ExitStack() as stack:
        yield House(tmp_path, sessions, stack)


def notice(**changes: Any) -> bytes:
    """GW170817's notice with other values; those of `event` are merged into the event."""
    record = json.loads(NOTICE)
    event = changes.pop("event", {})
    merged = None if event is None else record["event"] | event
    return json.dumps(record | changes | {"event": merged}).encode()


def process(client: FrontDeskClient, content: bytes, **fields: Any) -> Any:
    return client.ask("process_alert", notice=content.decode(), wait=60, **fields)


RETRACTION = notice(alert_type="RETRACTION", time_created="2017-08-17T19:00:00Z", event=None)
UPDATE = notice(alert_type="UPDATE", time_created="2017-08-17T18:30:00Z", event={"far": 1e-13})


def test_a_notice_becomes_one_order_for_each_observatory(house: House) -> None:
    ports = {"MACON": free_port(), "TOLOLO": free_port()}
    telescopes = {name: house.telescope(port) for name, port in ports.items()}
    client = house.lvcgcn(house.config(ports))
    answer = process(client, NOTICE)
    assert (answer["event"], answer["revision"]) == ("GW170817", 1)
    assert answer["triggered"] is True
    assert {one["observatory"] for one in answer["relayed"]} == set(ports)
    assert {one["state"] for one in answer["relayed"]} == {"relayed"}
    for telescope in telescopes.values():
        ((request, _, fields),) = telescope.orders
        assert request == "targets"
        assert (fields["alert"], fields["revision"]) == ("GW170817", 1)
        assert len(fields["targets"]) == 12
        first = fields["targets"][0]
        assert first["name"] == "NGC 4993"
        assert first["ra"] == pytest.approx(197.449, abs=0.001)
        assert first["dec"] == pytest.approx(-23.384, abs=0.001)
        assert first["weight"] > fields["targets"][1]["weight"] > 0
    assert house.states() == {(1, "MACON"): {"relayed"}, (1, "TOLOLO"): {"relayed"}}
    assert Path(answer["path"]).read_bytes() == NOTICE
    with house.sessions() as session:
        (alert,) = session.scalars(select(Alert)).all()
    assert alert.skymap is not None
    assert Path(alert.skymap).read_bytes() == make_gw170817().sky_map


def test_the_same_notice_again_is_the_same_revision_and_is_not_relayed_again(house: House) -> None:
    ports = {"MACON": free_port()}
    telescope = house.telescope(ports["MACON"])
    client = house.lvcgcn(house.config(ports))
    process(client, NOTICE)
    spaced = json.dumps(json.loads(NOTICE), indent=2).encode()
    for again in (NOTICE, spaced, NOTICE):
        answer = process(client, again)
        assert (answer["revision"], answer["repeated"]) == (1, True)
        assert answer["relayed"] == []
    assert len(telescope.orders) == 1


def test_a_notice_comes_in_base64_or_as_a_file_too(house: House, tmp_path: Path) -> None:
    client = house.lvcgcn(house.config())
    encoded = base64.b64encode(RETRACTION).decode()
    first: Any = client.ask("process_alert", notice=encoded, wait=60)
    assert first["alert_type"] == "RETRACTION"
    path = tmp_path / "notice.json"
    path.write_bytes(NOTICE)
    second: Any = client.ask("process_alert", path=str(path), wait=60)
    assert second["hosts"][0]["name"] == "NGC 4993"
    # It was made before the retraction that is known already.
    assert second["triggered"] is False
    assert "newer" in second["why"]


def test_a_revision_and_then_a_retraction_reach_the_telescope_in_order(house: House) -> None:
    ports = {"MACON": free_port()}
    telescope = house.telescope(ports["MACON"])
    client = house.lvcgcn(house.config(ports))
    for content in (NOTICE, UPDATE, RETRACTION):
        process(client, content)
    assert telescope.requests == ["targets", "targets", "retract_alert"]
    assert [fields.get("revision") for _, _, fields in telescope.orders] == [1, 2, None]
    assert telescope.orders[-1][2] == {"alert": "GW170817"}
    assert house.states() == {(1, "MACON"): {"retracted"}, (2, "MACON"): {"retracted"}}
    listed: Any = client.ask("list_alerts")
    assert [one["alert_type"] for one in listed] == ["RETRACTION", "UPDATE", "INITIAL"]


def test_an_update_after_a_retraction_is_followed_again(house: House) -> None:
    ports = {"MACON": free_port()}
    telescope = house.telescope(ports["MACON"])
    client = house.lvcgcn(house.config(ports))
    # Its clock is behind the retraction's, as in the LVK's own example.
    for content in (NOTICE, RETRACTION, UPDATE):
        answer = process(client, content)
    assert (answer["triggered"], answer["revision"]) == (True, 3)
    assert telescope.requests == ["targets", "retract_alert", "targets"]


def test_a_late_preliminary_is_recorded_only(house: House) -> None:
    ports = {"MACON": free_port()}
    telescope = house.telescope(ports["MACON"])
    client = house.lvcgcn(house.config(ports))
    process(client, NOTICE)
    late = notice(alert_type="PRELIMINARY", time_created="2017-08-17T12:50:00Z")
    answer = process(client, late)
    assert (answer["revision"], answer["triggered"]) == (2, False)
    assert "newer" in answer["why"]
    assert len(telescope.orders) == 1


def test_a_telescope_that_is_away_gets_its_order_when_it_is_back(house: House) -> None:
    ports = {"MACON": free_port(), "TOLOLO": free_port()}
    near = house.telescope(ports["TOLOLO"])
    client = house.lvcgcn(house.config(ports))
    answer = process(client, NOTICE)
    states = {one["observatory"]: one["state"] for one in answer["relayed"]}
    assert states == {"MACON": "waiting", "TOLOLO": "relayed"}
    assert len(near.orders) == 1
    assert house.states()[(1, "MACON")] == {"selected"}
    status: Any = client.ask("status")
    assert status["relay_outstanding"] is True
    back = house.telescope(ports["MACON"])
    wait_until(lambda: house.states()[(1, "MACON")] == {"relayed"}, "the order to be relayed")
    assert back.requests == ["targets"]
    assert len(near.orders) == 1
    # It was said once, and not at every attempt.
    complaints = [event for event in house.events("relay") if event.level == "error"]
    assert len(complaints) == 1


def test_what_was_superseded_or_retracted_meanwhile_is_not_sent(house: House) -> None:
    ports = {"MACON": free_port()}
    client = house.lvcgcn(house.config(ports))
    for content in (NOTICE, UPDATE):
        process(client, content)
    assert house.states() == {(1, "MACON"): {"superseded"}, (2, "MACON"): {"selected"}}
    process(client, RETRACTION)
    telescope = house.telescope(ports["MACON"])
    wait_until(lambda: house.states()[(2, "MACON")] == {"retracted"}, "the retraction to be sent")
    # An answer to the first attempts may have been lost: the telescope is told.
    assert telescope.requests == ["retract_alert"]


def test_a_daemon_that_died_sends_what_it_owed_when_it_is_back(house: House) -> None:
    ports = {"MACON": free_port()}
    config = house.config(ports)
    first = house.daemon(config)
    process(FrontDeskClient(first.url), NOTICE)
    first.stop()
    telescope = house.telescope(ports["MACON"])
    house.lvcgcn(config)
    wait_until(lambda: house.states()[(1, "MACON")] == {"relayed"}, "the order to be relayed")
    assert telescope.requests == ["targets"]


def test_a_journaling_telescope_takes_the_same_order_once(house: House) -> None:
    """An answer that is lost: the order is sent twice with one id, and done once."""
    ports = {"MACON": free_port()}
    telescope = house.telescope(ports["MACON"], journaled=True)
    client = house.lvcgcn(house.config(ports))
    process(client, NOTICE)
    wait_until(lambda: telescope.orders, "the telescope to do it")
    with house.sessions.begin() as session:
        for target in session.scalars(select(Target)):
            target.state = "selected"
    # Any relay looks at all that is owed: a retraction of another event will do.
    other = notice(superevent_id="S170818a", time_created="2017-08-18T00:00:00Z")
    process(client, other)
    wait_until(lambda: house.states()[(1, "MACON")] == {"relayed"}, "the order to be relayed")
    wait_until(lambda: len(telescope.orders) == 2, "the other event's order")
    assert [fields["alert"] for _, _, fields in telescope.orders] == ["GW170817", "S170818a"]


def test_a_telescope_that_refuses_is_recorded_and_left_alone(house: House) -> None:
    ports = {"MACON": free_port()}
    house.telescope(ports["MACON"], stubborn=True)
    client = house.lvcgcn(house.config(ports))
    answer = process(client, NOTICE)
    (outcome,) = answer["relayed"]
    assert outcome["state"] == "refused"
    assert "workshop" in outcome["message"]
    assert house.states() == {(1, "MACON"): {"refused"}}


def test_hosts_that_do_not_rise_are_left_out(house: House) -> None:
    ports = {"MACON": free_port(), "SVALBARD": free_port()}
    north = house.telescope(ports["SVALBARD"])
    south = house.telescope(ports["MACON"])
    client = house.lvcgcn(house.config(ports))
    answer = process(client, NOTICE)
    assert answer["triggered"] is True
    assert "Nothing of it rises tonight at SVALBARD" in answer["why"]
    assert (len(south.orders), len(north.orders)) == (1, 0)


def test_a_node_with_a_telescope_is_its_own_observatory(house: House) -> None:
    port = free_port()
    telescope = house.telescope(port)
    config = house.config().model_dump()
    config["services"] = {"telescope": {"ip": "127.0.0.1", "port": port}}
    client = house.lvcgcn(Config.model_validate(config))
    answer = process(client, NOTICE)
    assert [one["observatory"] for one in answer["relayed"]] == ["macon"]
    assert telescope.requests == ["targets"]


def test_with_no_observatory_it_is_recorded_and_says_so(house: House) -> None:
    client = house.lvcgcn(house.config())
    answer = process(client, NOTICE)
    assert answer["triggered"] is True
    assert answer["relayed"] == []
    assert "No observatory is configured" in answer["why"]


@needs_alerts
@pytest.mark.parametrize("drill", [False, True])
def test_a_mock_event_reaches_a_telescope_in_drill_mode_only(house: House, drill: bool) -> None:
    ports = {"MACON": free_port()}
    telescope = house.telescope(ports["MACON"])
    client = house.lvcgcn(house.config(ports, drill_mode=drill))
    path = ALERTS / "gwalert" / "MS181101ab-initial.json"
    answer: Any = client.ask("process_alert", path=str(path), wait=60)
    assert answer["label"] == "MOCK"
    assert answer["triggered"] is drill
    assert len(telescope.orders) == int(drill)


@needs_alerts
@pytest.mark.parametrize("kind", ["voevent", "gwalert"])
def test_the_notices_of_the_mock_event_in_order_end_in_the_right_state(
    house: House, kind: str
) -> None:
    ports = {"MACON": free_port()}
    telescope = house.telescope(ports["MACON"])
    client = house.lvcgcn(house.config(ports, drill_mode=True))
    steps = {
        "voevent": sorted((ALERTS / "voevent").glob("MS181101ab-*.xml")),
        "gwalert": [
            ALERTS / "gwalert" / f"MS181101ab-{step}.json"
            for step in (
                "earlywarning",
                "preliminary",
                "initial",
                "update",
                "retraction",
                "ext-update",
            )
        ],
    }[kind]
    sky_map = {"skymap": str(ALERTS / "skymaps" / "bayestar.multiorder.fits")}
    for number, path in enumerate(steps, 1):
        extra = sky_map if kind == "voevent" else {}
        for repeated in (False, True):
            answer: Any = client.ask("process_alert", path=str(path), wait=60, **extra)
            assert (answer["revision"], answer["repeated"]) == (number, repeated)
    assert telescope.requests == [*["targets"] * 4, "retract_alert", "targets"]
    assert house.states("MS181101ab")[(6, "MACON")] == {"relayed"}


@needs_alerts
def test_other_missions_are_recorded_with_the_reason(house: House) -> None:
    client = house.lvcgcn(house.config())
    for path in sorted((ALERTS / "other").iterdir()):
        answer: Any = client.ask("process_alert", path=str(path), wait=60)
        assert answer["triggered"] is False
        assert "not of gravitational waves" in answer["why"]
    listed: Any = client.ask("list_alerts", limit=10)
    assert len(listed) == 3


BAD: list[tuple[dict[str, Any], int, str]] = [
    ({"notice": "hello there"}, 401, "neither XML, JSON nor whole base64"),
    ({"notice": "{"}, 401, "no valid JSON"),
    ({"notice": "<!DOCTYPE x><x/>"}, 401, "refused unread"),
    ({"path": "/nonexistent/notice.xml"}, 401, "No such file"),
]


def test_a_bad_notice_is_one_clear_record_and_the_next_is_processed(house: House) -> None:
    client = house.lvcgcn(house.config())
    for fields, code, says in BAD:
        reply: Reply = client.send("process_alert", wait=60, **fields)
        assert (reply.status, reply.code) == (OrderStatus.FAILED, code)
        assert says in reply.message
    for event in ({"skymap": None}, {"skymap": "AAAA"}):
        answer = process(client, notice(event=event))
        assert answer["triggered"] is False
        assert answer["hosts"] == []
    # Unreadable bytes are kept and on record.
    assert [event.code for event in house.events("problem")] == [401, 401]
    assert process(client, UPDATE)["hosts"][0]["name"] == "NGC 4993"


@pytest.mark.parametrize("fields", [{}, {"notice": "{}", "path": "/x"}, {"path": "relative"}])
def test_an_order_without_a_notice_is_rejected(house: House, fields: dict[str, Any]) -> None:
    client = house.lvcgcn(house.config())
    reply = client.send("process_alert", **fields)
    assert (reply.status, reply.code) == (OrderStatus.REJECTED, 12)


def test_hosts_can_be_asked_for_later(house: House) -> None:
    client = house.lvcgcn(house.config())
    process(client, NOTICE)
    process(client, RETRACTION)
    answer: Any = client.ask("host_galaxies", event="GW170817", top=3)
    assert [host["rank"] for host in answer["hosts"]] == [1, 2, 3]
    assert answer["hosts"][0]["name"] == "NGC 4993"
    assert answer["revision"] == 1
    unknown = client.send("host_galaxies", event="S000000a")
    assert (unknown.status, unknown.code) == (OrderStatus.FAILED, 403)
    mapless = notice(superevent_id="S170901z", event={"skymap": None})
    process(client, mapless)
    assert client.send("host_galaxies", event="S170901z").code == 402


def test_an_event_is_retracted_by_hand(house: House) -> None:
    ports = {"MACON": free_port()}
    telescope = house.telescope(ports["MACON"])
    client = house.lvcgcn(house.config(ports))
    process(client, NOTICE)
    answer: Any = client.ask("retract", event="GW170817", wait=60)
    assert answer["observatories"] == ["MACON"]
    assert telescope.requests == ["targets", "retract_alert"]
    again: Any = client.ask("retract", event="GW170817", wait=60)
    assert again["observatories"] == []
    unknown = client.send("retract", event="S000000a", wait=60)
    assert (unknown.status, unknown.code) == (OrderStatus.FAILED, 403)


def test_a_folder_that_cannot_be_made_is_said_at_the_start(house: House, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    config = house.config(folder=tmp_path / "file" / "alerts")
    with pytest.raises(ConfigurationError, match=r"lvcgcn\.folder"):
        build(Context(config, house.clock, house.sessions))


@pytest.fixture
def describe(house: House) -> Callable[[], Any]:
    client = house.lvcgcn(house.config())
    return lambda: client.ask("status")


def test_status_says_what_people_ask(describe: Callable[[], Any]) -> None:
    status = describe()
    assert status["catalog"] == "openngc"
    assert status["galaxies"] == 10521
    assert status["last_alert"] is None
    assert status["drill_mode"] is False
