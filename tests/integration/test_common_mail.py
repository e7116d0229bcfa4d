"""Errors reach the admins through a real SMTP server."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope
from aiosmtpd.smtp import Session as SmtpSession

from tests.support.ports import free_port
from toros.common.clock import Clock
from toros.common.config import Config, parse_config
from toros.common.logs import set_up_logging


class Mailbox:
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.mails: list[Message] = []
        self.recipients: list[str] = []

    async def handle_DATA(  # noqa: N802 - the server's name for it
        self, _server: SMTP, _session: SmtpSession, envelope: Envelope
    ) -> str:
        assert isinstance(envelope.content, bytes)
        self.mails.append(message_from_bytes(envelope.content))
        self.recipients += envelope.rcpt_tos
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield box, controller.port
    controller.stop()


@pytest.fixture
def _root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def configured(port: int, log: Path) -> Config:
    return parse_config(
        f"""
        node: macon
        logging: {{file: {log}}}
        email:
          smtp_host: 127.0.0.1
          smtp_port: {port}
          starttls: false
          admins: [a@example.org, b@example.org]
        """
    )


@pytest.mark.usefixtures("_root_logger")
def test_an_error_is_mailed_and_an_info_is_not(
    mailbox: tuple[Mailbox, int], tmp_path: Path
) -> None:
    box, port = mailbox
    path = tmp_path / "toros.log"
    handler = set_up_logging(configured(port, path), "dome", Clock())
    assert handler is not None
    log = logging.getLogger("toros.test")
    log.info("all is well")
    log.error("the shutter is stuck\nreally")
    handler.close()  # sends what waits
    (mail,) = box.mails
    assert box.recipients == ["a@example.org", "b@example.org"]
    assert mail["Subject"] == "[TOROS macon dome] the shutter is stuck really"
    assert "the shutter is stuck" in str(mail.get_payload())
    written = path.read_text()
    assert " INFO dome toros.test: all is well" in written
    assert " ERROR dome toros.test: the shutter is stuck" in written


@pytest.mark.usefixtures("_root_logger")
def test_a_mail_server_that_is_down_is_a_warning_in_the_log(tmp_path: Path) -> None:
    path = tmp_path / "toros.log"
    handler = set_up_logging(configured(free_port(), path), "dome", Clock())
    assert handler is not None
    logging.getLogger("toros.test").error("the shutter is stuck")
    handler.close()
    assert "A mail to the admins could not be sent" in path.read_text()
