"""Mail to people: what a module sends by itself, and its errors to the admins."""

from __future__ import annotations

import logging
import queue
import smtplib
import ssl
import threading
from collections.abc import Sequence
from email.message import EmailMessage

from toros.common.config.models import Email

TIMEOUT_S = 30.0
QUEUE_LIMIT = 1000

log = logging.getLogger(__name__)


class Mailer:
    """Sends mail as the configuration's `email` section says.

    Parameters
    ----------
    settings : Email
        Server, login and sender.
    """

    def __init__(self, settings: Email) -> None:
        self.settings = settings

    def send(self, to: Sequence[str], subject: str, text: str) -> None:
        """Send one mail.

        Raises
        ------
        OSError, smtplib.SMTPException
            When it cannot be sent.
        """
        settings = self.settings
        if not to or settings.smtp_host is None:
            return
        message = EmailMessage()
        message["From"] = settings.sender
        message["To"] = ", ".join(to)
        message["Subject"] = " ".join(subject.split())
        message.set_content(text)
        with smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=TIMEOUT_S) as server:
            if settings.starttls:
                server.starttls(context=ssl.create_default_context())
            if settings.username and settings.password:
                server.login(settings.username, settings.password.get_secret_value())
            server.send_message(message)


class AdminMailHandler(logging.Handler):
    """Mails every record of level ERROR to the admins, from a thread of its own.

    A mail server that is slow or down must not hold up what the observatory does.

    Parameters
    ----------
    mailer : Mailer
        Sends.
    node, module : str
        Named in the subject.
    """

    def __init__(self, mailer: Mailer, node: str, module: str) -> None:
        super().__init__(logging.ERROR)
        self._mailer = mailer
        self._origin = f"{node} {module}"
        self._waiting: queue.Queue[tuple[str, str] | None] = queue.Queue(QUEUE_LIMIT)
        self._thread = threading.Thread(target=self._work, name="mail", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Put the record in the queue; if that is full the file still has it."""
        if record.name == __name__:
            return  # a mail about a mail that failed would fail as well
        subject = f"[TOROS {self._origin}] {record.getMessage()[:120]}"
        try:
            self._waiting.put_nowait((subject, self.format(record)))
        except queue.Full:
            self.handleError(record)

    def close(self) -> None:
        """Send what waits, then end."""
        if self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join(TIMEOUT_S)
        super().close()

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            subject, text = item
            try:
                self._mailer.send(self._mailer.settings.admins, subject, text)
            except (OSError, smtplib.SMTPException) as error:
                log.warning("A mail to the admins could not be sent (%s): %s", error, subject)
