"""Errors reach the admins through a real SMTP server: one by one, as a digest, or later."""

from __future__ import annotations

import json
import logging
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope
from aiosmtpd.smtp import Session as SmtpSession

from tests.support.ports import free_port
from tests.support.waiting import wait_until
from toros.common.certificates import issue
from toros.common.client import FrontDeskClient
from toros.common.clock import Clock
from toros.common.config import Config, parse_config
from toros.common.error_mail import MOST_KINDS, AdminMailHandler
from toros.common.errors import MessageNotSent, PeerUnreachable
from toros.common.logs import set_up_logging
from toros.common.mail import Mailer
from toros.common.order_context import working_on


class Mailbox:
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.mails: list[Message] = []
        self.recipients: list[str] = []
        self.refused: set[str] = set()  # recipients
        self.disliked: set[str] = set()  # words of texts

    async def handle_RCPT(  # noqa: N802 - the server's name for it
        self,
        _server: SMTP,
        _session: SmtpSession,
        envelope: Envelope,
        address: str,
        _options: list[str],
    ) -> str:
        if address in self.refused:
            return "550 No such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - the server's name for it
        self, _server: SMTP, _session: SmtpSession, envelope: Envelope
    ) -> str:
        assert isinstance(envelope.content, bytes)
        if any(word.encode() in envelope.content for word in self.disliked):
            return "554 We do not like it"
        self.mails.append(message_from_bytes(envelope.content))
        self.recipients += envelope.rcpt_tos
        return "250 OK"

    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for mail in self.mails]


Serve = Callable[..., tuple[Mailbox, int]]


@pytest.fixture
def serve_mail() -> Iterator[Serve]:
    controllers: list[Controller] = []

    def start(port: int | None = None, **options: Any) -> tuple[Mailbox, int]:
        box = Mailbox()
        controller = Controller(box, hostname="127.0.0.1", port=port or free_port(), **options)
        controller.start()
        controllers.append(controller)
        return box, controller.port

    yield start
    for controller in controllers:
        controller.stop()


@pytest.fixture
def _root_logger() -> Iterator[None]:
    """Put the root logger back after a test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for other in root.handlers:
        if other not in handlers:
            other.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture
def set_up(_root_logger: None, tmp_path: Path) -> Iterator[Callable[..., AdminMailHandler]]:
    """Set up logging for a test."""
    root = logging.getLogger()
    made: list[AdminMailHandler] = []

    def start(port: int, more: str = "") -> AdminMailHandler:
        before = root.handlers[:]
        handler = set_up_logging(configured(port, tmp_path, more), "dome", Clock())
        for old in before:
            if isinstance(old, logging.FileHandler) and old.baseFilename.startswith(str(tmp_path)):
                old.close()
        assert handler is not None
        made.append(handler)
        return handler

    yield start
    for handler in made:
        handler.close()


def configured(port: int, folder: Path, more: str) -> Config:
    return parse_config(
        f"""
        node: macon
        logging: {{file: {folder / "toros.log"}}}
        email:
          smtp_host: 127.0.0.1
          smtp_port: {port}
          starttls: false
          admins: [a@example.org, b@example.org]
          outbox: {folder / "outbox"}
        """
        + more
    )


SetUp = Callable[..., AdminMailHandler]
log = logging.getLogger("toros.test")


def test_an_error_is_mailed_with_its_order_and_an_info_is_not(
    serve_mail: Serve, set_up: SetUp, tmp_path: Path
) -> None:
    box, port = serve_mail()
    handler = set_up(port)
    log.info("all is well")
    with working_on("42", "close_dome", "robot"):
        log.error("the shutter is stuck\nreally", extra={"code": 302})
    handler.close()  # sends what waits
    (mail,) = box.mails
    assert box.recipients == ["a@example.org", "b@example.org"]
    assert mail["Subject"] == "[TOROS macon dome] the shutter is stuck really"
    text = str(mail.get_payload(decode=True), "utf-8")
    assert "[order 42 close_dome by robot]: the shutter is stuck" in text
    written = (tmp_path / "toros.log").read_text().splitlines()
    lines = [line for line in written if "toros.test" in line]
    assert len(lines) == 2  # one line per event
    assert lines[0].endswith(" INFO dome toros.test: all is well")


def test_a_storm_becomes_one_digest(serve_mail: Serve, set_up: SetUp) -> None:
    box, port = serve_mail()
    handler = set_up(port, "  burst: 2\n          window_s: 3600")
    for number in range(50):
        log.error("error of kind %d", number % 3)
    handler.close()
    assert [s.removeprefix("[TOROS macon dome] ") for s in box.subjects()] == [
        "error of kind 0",
        "error of kind 1",
        "48 more errors",
    ]
    digest = str(box.mails[-1].get_payload(decode=True), "utf-8")
    assert "16 × ERROR dome toros.test: error of kind 2" in digest


def test_the_digest_comes_by_itself_when_the_window_ends(serve_mail: Serve, set_up: SetUp) -> None:
    box, port = serve_mail()
    set_up(port, "  burst: 1\n          window_s: 0.3")
    for _ in range(5):
        log.error("again")
    wait_until(lambda: len(box.mails) == 2, "the digest")
    assert box.subjects()[-1].endswith("4 more errors")


def test_a_module_that_is_started_again_and_again_is_a_storm_too(
    serve_mail: Serve, set_up: SetUp
) -> None:
    box, port = serve_mail()
    for _ in range(10):
        handler = set_up(port, "  burst: 2\n          window_s: 3600")
        log.error("it cannot start")
        handler.close()
    said = [subject.split("] ")[1] for subject in box.subjects()]
    assert said == ["it cannot start", "it cannot start", "1 more errors"]
    # The window ends, and the next process says what those before it held.
    set_up(port, "  burst: 2\n          window_s: 0.3")
    wait_until(lambda: len(box.mails) == 4, "the digest")
    assert box.subjects()[-1].endswith("7 more errors")
    digest = str(box.mails[-1].get_payload(decode=True), "utf-8")
    assert "7 × ERROR dome toros.test: it cannot start" in digest


def test_mail_waits_on_disk_while_the_server_is_down(
    serve_mail: Serve, set_up: SetUp, tmp_path: Path
) -> None:
    port = free_port()
    handler = set_up(port)
    log.error("nobody hears this")
    log.error("nor this")
    handler.close()
    waiting = list((tmp_path / "outbox" / "dome").glob("*.json"))
    assert len(waiting) == 2
    assert "could not be mailed" in (tmp_path / "toros.log").read_text()
    box, _ = serve_mail(port)
    set_up(port)  # the module starts again
    wait_until(lambda: len(box.mails) == 2, "the mail that waited")
    assert [s.split("] ")[1] for s in box.subjects()] == ["nobody hears this", "nor this"]
    wait_until(lambda: not list((tmp_path / "outbox" / "dome").iterdir()), "an empty outbox")


def test_a_message_that_cannot_be_read_does_not_hold_up_the_others(
    serve_mail: Serve, set_up: SetUp, tmp_path: Path
) -> None:
    folder = tmp_path / "outbox" / "dome"
    folder.mkdir(parents=True)
    (folder / "00000000000000000-000001.json").write_text("{half a")
    box, port = serve_mail()
    set_up(port)
    log.error("after it")
    wait_until(lambda: len(box.mails) == 1, "the mail")
    assert [path.suffix for path in folder.iterdir()] == [".unreadable"]


def test_a_message_that_is_refused_holds_up_no_other(
    serve_mail: Serve, set_up: SetUp, tmp_path: Path
) -> None:
    box, port = serve_mail()
    box.disliked = {"lottery"}
    handler = set_up(port)
    log.error("it speaks of a lottery")
    log.error("the dome does not close")
    wait_until(lambda: box.mails, "the other message")
    assert box.subjects() == ["[TOROS macon dome] the dome does not close"]
    handler.close()
    assert len(list((tmp_path / "outbox" / "dome").iterdir())) == 1
    box.disliked.clear()
    set_up(port)
    wait_until(lambda: len(box.mails) == 2, "what is taken now")


def test_who_is_refused_a_message_gets_it_later_and_the_others_once(
    serve_mail: Serve, set_up: SetUp, tmp_path: Path
) -> None:
    box, port = serve_mail()
    box.refused = {"b@example.org"}
    handler = set_up(port)
    log.error("one of them is asleep")
    wait_until(lambda: "not taken for b@" in (tmp_path / "toros.log").read_text(), "the refusal")
    handler.close()
    assert set(box.recipients) == {"a@example.org"}
    box.refused.clear()
    set_up(port)
    wait_until(lambda: "b@example.org" in box.recipients, "the other")
    assert box.recipients == ["a@example.org", "b@example.org"]


def test_a_dead_webhook_repeats_no_mail_and_holds_up_none(
    serve_mail: Serve, set_up: SetUp, tmp_path: Path
) -> None:
    box, port = serve_mail()
    there = free_port()
    webhook = f"\n          webhooks: ['json://127.0.0.1:{there}/hook']"
    handler = set_up(port, webhook)
    log.error("one")
    log.error("two")
    # The first is tried again, with the webhook alone.
    again = "'[TOROS macon dome] one'. It waits"
    wait_until(lambda: (tmp_path / "toros.log").read_text().count(again) > 1, "a second try")
    handler.close()
    assert [subject.split("] ")[1] for subject in box.subjects()] == ["one", "two"]
    with webhook_at(there) as taken:
        set_up(port, webhook)
        wait_until(lambda: len(taken) == 2, "what the webhook was owed")
    assert {each["title"].split("] ")[1] for each in taken} == {"one", "two"}
    assert len(box.mails) == 2


def test_a_webhook_that_is_none_causes_no_mails_about_itself(
    serve_mail: Serve, set_up: SetUp, tmp_path: Path
) -> None:
    box, port = serve_mail()
    handler = set_up(port, "\n          webhooks: ['nosuch://token-of-slack/x']")
    log.error("one")
    wait_until(lambda: "apprise" in (tmp_path / "toros.log").read_text(), "the first try")
    handler.close()
    assert [subject.split("] ")[1] for subject in box.subjects()] == ["one"]
    assert len(list((tmp_path / "outbox" / "dome").iterdir())) == 1
    assert "token-of-slack" not in (tmp_path / "toros.log").read_text()


def test_what_is_no_text_and_no_header_is_mailed_as_what_can_be(
    serve_mail: Serve, set_up: SetUp, tmp_path: Path
) -> None:
    box, port = serve_mail()
    handler = set_up(port)
    log.error("m\udcff.fits\r\nBcc: c@example.org\r\n\r\nñ\x00\x1b[2J")
    handler.close()
    (mail,) = box.mails
    subject = str(make_header(decode_header(mail["Subject"])))
    assert mail["Bcc"] is None
    assert set(box.recipients) == {"a@example.org", "b@example.org"}
    text = str(mail.get_payload(decode=True), "utf-8")
    assert "ñ" in text
    assert not set("\x00\x1b") & set(text)
    assert not set("\x00\x1b\r\n") & set(subject)
    line = r"m\udcff.fits ⏎ Bcc: c@example.org ⏎  ⏎ ñ\x00\x1b[2J"
    assert line in (tmp_path / "toros.log").read_text()


def test_a_storm_without_end_takes_bounded_memory(serve_mail: Serve, set_up: SetUp) -> None:
    box, port = serve_mail()
    handler = set_up(port, "  burst: 1\n          window_s: 3600")
    for number in range(3000):
        log.error("error number %d", number)
    assert len(handler._held) <= MOST_KINDS + 1
    handler.close()
    assert box.subjects()[-1].endswith("2999 more errors")
    digest = str(box.mails[-1].get_payload(decode=True), "utf-8")
    assert "980 or more other kinds" in digest


def test_starttls_and_login(serve_mail: Serve, tmp_path: Path) -> None:
    issued = issue(tmp_path, ["127.0.0.1"], Clock().now())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    given: list[Any] = []

    def authenticate(*args: Any) -> AuthResult:
        given.append(args[-1])
        return AuthResult(success=True)

    box, port = serve_mail(
        tls_context=context, require_starttls=True, auth_required=True, authenticator=authenticate
    )
    config = parse_config(
        f"""
        email: {{smtp_host: 127.0.0.1, smtp_port: {port}, username: robot, password: swordfish,
                ca: {issued.authority}, sender: toros@example.org}}
        """
    )
    Mailer(config.email).send(["a@example.org"], "Subject", "Text")
    (mail,) = box.mails
    assert mail["From"] == "toros@example.org"
    assert (given[0].login, given[0].password) == (b"robot", b"swordfish")


@pytest.mark.parametrize("what", ["a certificate of another", "no TLS", "login refused"])
def test_no_password_is_given_to_a_server_that_is_not_the_right_one(
    serve_mail: Serve, tmp_path: Path, what: str
) -> None:
    issued = issue(tmp_path / "ours", ["127.0.0.1"], Clock().now())
    other = issue(tmp_path / "other", ["127.0.0.1"], Clock().now())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown = other if what == "a certificate of another" else issued
    context.load_cert_chain(shown.certificate, shown.key)
    given: list[Any] = []

    def authenticate(*args: Any) -> AuthResult:
        given.append(args[-1])
        return AuthResult(success=False, handled=False)

    options: dict[str, Any] = {"authenticator": authenticate}
    if what == "no TLS":
        options |= {"auth_require_tls": False}  # it would take a password in the clear
    else:
        options |= {"tls_context": context, "require_starttls": True, "auth_required": True}
    box, port = serve_mail(**options)
    config = parse_config(
        f"""
        email: {{smtp_host: 127.0.0.1, smtp_port: {port}, username: robot, password: swordfish,
                ca: {issued.authority}, sender: toros@example.org}}
        """
    )
    with pytest.raises(MessageNotSent, match="could not be mailed") as caught:
        Mailer(config.email).send(["a@example.org"], "Subject", "Text")
    assert not caught.value.refused  # the next message would fare no better
    assert bool(given) is (what == "login refused")
    assert "swordfish" not in caught.value.message
    assert not box.mails


@contextmanager
def webhook_at(port: int) -> Iterator[list[dict[str, Any]]]:
    """Serve a webhook; yield what it is sent."""
    taken: list[dict[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            taken.append(json.loads(self.rfile.read(length)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", port), Hook) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield taken
        server.shutdown()
        thread.join()


def test_a_webhook_gets_what_is_mailed(tmp_path: Path) -> None:
    port = free_port()
    address = f"json://127.0.0.1:{port}/hook"
    config = parse_config(f"email: {{webhooks: ['{address}'], outbox: {tmp_path}}}")
    with webhook_at(port) as taken:
        Mailer(config.email).send([], "The dome is stuck", "Text")
    assert taken[0]["title"] == "The dome is stuck"


def test_no_password_of_an_address_is_mailed_or_logged(
    serve_mail: Serve, set_up: SetUp, tmp_path: Path
) -> None:
    box, port = serve_mail()
    handler = set_up(port)
    url = f"http://robot:secret-1@127.0.0.1:{free_port()}"
    log.error("%s", _no_answer_of(url))
    log.error("It is at %s.", url)
    log.error("The database postgresql://u:sec/ret-2@h/t?password=secret-3&x=y cannot be used.")
    handler.close()
    written = (tmp_path / "toros.log").read_text() + str([mail.as_string() for mail in box.mails])
    assert "secret-1" not in _no_answer_of(url)
    for secret in ("secret-1", "ret-2", "secret-3"):
        assert secret not in written
    assert "x=3Dy cannot be used" in written  # as mail spells it


def _no_answer_of(url: str) -> str:
    with pytest.raises(PeerUnreachable) as caught:
        FrontDeskClient(url, timeout_s=2).ask("status", wait=0)
    return caught.value.message


@pytest.mark.usefixtures("_root_logger")
def test_json_lines_and_no_secrets(tmp_path: Path) -> None:
    more = """
        logging: {file: %s, format: json}
        access: [{user: robot, token: sesame-open, may: ["*"]}]
    """ % (tmp_path / "toros.jsonl")
    config = parse_config(more)
    set_up_logging(config, "dome", Clock())
    try:
        int("the token is sesame-open")
    except ValueError:
        log.exception("calling http://robot:abcdef@127.0.0.1:8080 failed", extra={"code": 31})
    text = (tmp_path / "toros.jsonl").read_text()
    (line,) = text.splitlines()
    event = json.loads(line)
    assert (event["level"], event["module"], event["code"]) == ("ERROR", "dome", 31)
    assert "Traceback" in event["traceback"]
    assert "sesame-open" not in text
    assert "abcdef" not in text
    assert "http://robot:***@127.0.0.1:8080" in event["message"]
