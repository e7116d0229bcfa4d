"""Alerts told to people by a real mail server, and to a broker's page over real HTTP."""

from __future__ import annotations

import email
import email.policy
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from sqlalchemy.orm import Session, sessionmaker

from tests.support.alert_house import AlertHouse, alert_house, notice
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from tests.support.web_server import serving
from toros.common.client import FrontDeskClient
from toros.common.config import Config


class Mailbox:
    """Keeps what a mail server is given."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.refusals: Counter[str] = Counter()  # how often who is refused a mail

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if self.refusals[address] > 0:
            self.refusals[address] -= 1
            return "450 Come again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        parsed = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        self.mails.append(parsed)
        self.recipients += envelope.rcpt_tos
        return "250 kept"


@contextmanager
def mail_server(port: int) -> Iterator[Mailbox]:
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()


class Page(BaseHTTPRequestHandler):
    """A broker's page: refuses as often as it is told to, then takes what is posted."""

    posted: list[tuple[str, dict[str, Any]]]
    refusals: list[int]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.refusals:
            self.send_response(self.refusals.pop())
        else:
            self.posted.append((self.headers["Authorization"], json.loads(body)))
            self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


@contextmanager
def page(refusals: list[int]) -> Iterator[tuple[str, list[tuple[str, dict[str, Any]]]]]:
    posted: list[tuple[str, dict[str, Any]]] = []
    handler = type("HandlerOfOneTest", (Page,), {"posted": posted, "refusals": refusals})
    with serving(handler) as url:
        yield f"{url}/alerts", posted


@pytest.fixture
def house(tmp_path: Path, sessions: sessionmaker[Session]) -> Iterator[AlertHouse]:
    with alert_house(tmp_path, sessions) as found:
        yield found


def config_of(house: AlertHouse, port: int, **announce: Any) -> Config:
    document = house.document(drill_mode=True, announce={"retry_s": 0.3, **announce})
    document["email"] = {
        "smtp_host": "127.0.0.1",
        "smtp_port": port,
        "starttls": False,
        "recipients": ["astronomers@example.org"],
        "outbox": str(house.folder / "outbox"),
    }
    return Config.model_validate(document)


def process(url: str, content: bytes) -> Any:
    return FrontDeskClient(url).ask("process_alert", notice=content.decode(), wait=60)


def test_recipients_get_text_targets_and_a_plot(house: AlertHouse) -> None:
    port = free_port()
    with mail_server(port) as mailbox, house.robot(config_of(house, port)) as robot:
        process(robot.url, notice("MS170817a"))
        wait_until(lambda: mailbox.mails, "the mail", 120)
    (mail,) = mailbox.mails
    assert mail["To"] == "astronomers@example.org"
    assert mail["Subject"] == "[MOCK] MS170817a INITIAL, revision 1"
    text = mail.get_body(("plain",))
    assert text is not None
    said = text.get_content()
    assert "THIS IS NO REAL EVENT: MOCK." in said
    assert "28 deg² at 90 %, 40 ± 8 Mpc" in said
    assert "Changes:          MACON: 5 new\n" in said.replace("\r", "")
    assert "MACON: 5 targets" in said
    assert "NGC 4993" in said
    parts = {part.get_filename(): part for part in mail.iter_attachments()}
    rows = parts["targets.csv"].get_content().splitlines()
    assert rows[0].startswith("observatory,rank,name,ra,dec")
    assert rows[1].startswith("MACON,1,NGC 4993,197.44")
    assert len(rows) == 6
    assert parts["skymap.png"].get_content()[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_plot_that_fails_keeps_back_no_mail(
    house: AlertHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: Any) -> bytes:
        raise RuntimeError("no fonts here")

    monkeypatch.setattr("toros.lvcgcn.letter.plot_sky_map", stumble)
    port = free_port()
    with mail_server(port) as mailbox, house.robot(config_of(house, port)) as robot:
        process(robot.url, notice("S170817a"))
        process(robot.url, notice("S170817b"))
        wait_until(lambda: len(mailbox.mails) == 2, "both mails", 120)
    for mail in mailbox.mails:
        assert [part.get_filename() for part in mail.iter_attachments()] == ["targets.csv"]


def test_a_mail_waits_for_the_server_and_for_the_next_robot(house: AlertHouse) -> None:
    port = free_port()
    with house.robot(config_of(house, port)) as robot:
        process(robot.url, notice("S170817a"))
        status: Any = FrontDeskClient(robot.url).ask("status")
        assert status["announcements_waiting"] == 1
    with mail_server(port) as mailbox, house.robot(config_of(house, port)) as robot:
        wait_until(lambda: mailbox.mails, "the mail", 120)
        process(robot.url, notice("S170817a"))
        wait_until(
            lambda: not FrontDeskClient(robot.url).ask("status")["announcements_waiting"],
            "the outbox to be empty",
            120,
        )
    assert [mail["Subject"] for mail in mailbox.mails] == ["S170817a INITIAL, revision 1"]


def test_a_page_gets_the_alert_as_data_even_if_mail_is_down(house: AlertHouse) -> None:
    with page([503, 500]) as (url, posted):
        uploads = [{"url": url, "token": "letmein"}]
        config = config_of(house, free_port(), uploads=uploads)
        with house.robot(config) as robot:
            process(robot.url, notice("S170817a"))
            wait_until(lambda: posted, "the upload")
    ((authorization, document),) = posted
    assert authorization == "Bearer letmein"
    assert (document["event"], document["revision"]) == ("S170817a", 1)
    assert document["targets"][0]["name"] == "NGC 4993"


def test_a_webhook_that_is_down_does_not_repeat_the_mail(house: AlertHouse) -> None:
    port = free_port()
    with page([500, 503]) as (url, posted), mail_server(port) as mailbox:
        document = config_of(house, port).model_dump(mode="json", exclude_defaults=True)
        document["email"]["webhooks"] = [url.replace("http://", "json://")]
        with house.robot(Config.model_validate(document)) as robot:
            process(robot.url, notice("MS170817a"))
            wait_until(lambda: posted, "the webhook")
        assert len(mailbox.mails) == 1
    ((_, said),) = posted
    assert said["title"] == "[MOCK] MS170817a INITIAL, revision 1"
    assert "THIS IS NO REAL EVENT: MOCK." in said["message"]


def test_who_is_told_to_come_again_gets_the_mail_later_and_the_others_once(
    house: AlertHouse,
) -> None:
    port = free_port()
    with mail_server(port) as mailbox:
        mailbox.refusals["grey@example.org"] = 2
        document = config_of(house, port).model_dump(mode="json", exclude_defaults=True)
        document["email"]["recipients"] = ["quick@example.org", "grey@example.org"]
        with house.robot(Config.model_validate(document)) as robot:
            process(robot.url, notice("MS170817a"))
            wait_until(lambda: "grey@example.org" in mailbox.recipients, "the second mail", 120)
    assert mailbox.recipients == ["quick@example.org", "grey@example.org"]


S1A = [f"S1a {kind}" for kind in ("INITIAL, revision 1", "UPDATE, revision 2")]


@pytest.mark.parametrize(
    ("what", "subjects"),
    [
        ("nothing", []),
        ("followed", [*S1A, "S1a RETRACTION, revision 3"]),
        ("all", [*S1A, "S2b INITIAL, revision 1", "S1a RETRACTION, revision 3"]),
    ],
)
def test_what_is_announced_is_configured(house: AlertHouse, what: str, subjects: list[str]) -> None:
    port = free_port()
    record = json.loads(notice("S2b"))
    record["event"]["significant"] = False
    with mail_server(port) as mailbox, house.robot(config_of(house, port, what=what)) as robot:
        process(robot.url, notice("S1a"))
        process(robot.url, json.dumps(record).encode())
        # It passes no rule, but it is about what is followed.
        weaker = {"superevent_id": "S1a", "alert_type": "UPDATE"}
        answer = process(robot.url, json.dumps(record | weaker).encode())
        assert answer["why"].endswith("What an earlier revision started goes on at MACON.")
        late = {"alert_type": "RETRACTION", "time_created": "2017-08-17T19:00:00Z", "event": None}
        process(robot.url, notice("S1a", **late))
        wait_until(
            lambda: not FrontDeskClient(robot.url).ask("status")["announcements_waiting"],
            "the outbox to be empty",
            120,
        )
    assert sorted(mail["Subject"] for mail in mailbox.mails) == sorted(subjects)


def test_after_so_long_it_is_given_up_and_said(house: AlertHouse) -> None:
    with house.robot(config_of(house, free_port(), give_up_h=1e-4)) as robot:
        process(robot.url, notice("S1a"))
        wait_until(house.problems, "the record")
        status: Any = FrontDeskClient(robot.url).ask("status")
        assert status["announcements_waiting"] == 0
    assert "mail could not be told of S1a" in house.problems()[0].message
