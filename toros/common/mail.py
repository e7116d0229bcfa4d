"""Messages to people: mail by SMTP, and whatever else the configuration's webhooks name."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from toros.common.config.models import Email
from toros.common.errors import MessageNotSent
from toros.common.wire import printable

TIMEOUT_S = 30.0
MAIL = "mail"


# What a mail server says of one message, or of those that it goes to; it may take the next.
OF_ONE_MESSAGE = (
    smtplib.SMTPRecipientsRefused,
    smtplib.SMTPSenderRefused,  # as too large
    smtplib.SMTPDataError,
)


@dataclass(frozen=True)
class Attachment:
    """A file in a mail: its name, its type as ``image/png``, and its bytes."""

    name: str
    kind: str
    content: bytes


class Mailer:
    """Sends messages as the configuration's `email` section says.

    Parameters
    ----------
    settings : Email
        Server, login, sender and webhooks.
    """

    def __init__(self, settings: Email) -> None:
        self.settings = settings

    def send(
        self,
        to: Sequence[str],
        subject: str,
        text: str,
        attachments: Sequence[Attachment] = (),
    ) -> None:
        """Send one message: a mail to each of `to`, and a note to every webhook.

        Webhooks get no attachments.

        Raises
        ------
        MessageNotSent
            When mail or a webhook failed; sending it again may repeat the other.
        """
        # Whatever an error or the name of a file holds, it ends no header and stops no mail.
        subject, text = printable(" ".join(subject.split())), printable(text)
        if to and self.settings.smtp_host is not None:
            try:
                refused = self._mail(to, subject, text, attachments)
            except OF_ONE_MESSAGE as error:
                raise MessageNotSent(f"'{subject}' was not taken ({error}).", to) from error
            except (OSError, smtplib.SMTPException) as error:
                raise MessageNotSent(f"'{subject}' could not be mailed ({error}).") from error
            if refused:
                who = ", ".join(refused)
                raise MessageNotSent(f"'{subject}' was not taken for {who}.", [*refused])
        if self.settings.webhooks:
            self._notify(subject, text)

    def _mail(
        self, to: Sequence[str], subject: str, text: str, attachments: Sequence[Attachment]
    ) -> dict[str, tuple[int, bytes]]:
        """Mail, and return for whom the server did not take it."""
        settings = self.settings
        message = EmailMessage()
        message["From"] = settings.sender
        message["To"] = ", ".join(to)
        message["Subject"] = subject
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain="toros.invalid")
        message.set_content(text)
        for one in attachments:
            main, sub = one.kind.split("/")
            message.add_attachment(one.content, maintype=main, subtype=sub, filename=one.name)
        host = settings.smtp_host or ""
        with smtplib.SMTP(host, settings.smtp_port, timeout=TIMEOUT_S) as server:
            if settings.starttls:
                server.starttls(context=ssl.create_default_context(cafile=settings.ca))
            if settings.username and settings.password:
                server.login(settings.username, settings.password.get_secret_value())
            return server.send_message(message)

    def _notify(self, subject: str, text: str) -> None:
        import apprise

        notifier = apprise.Apprise()
        for webhook in self.settings.webhooks:
            notifier.add(webhook.get_secret_value())
        if not notifier.notify(title=subject, body=text):
            raise MessageNotSent(f"A webhook did not take '{subject}'.")


def reaches(email: Email, to: Sequence[str]) -> bool:
    """Return whether a message to these, or else to a webhook, has a way to go."""
    return bool(email.webhooks) or (email.smtp_host is not None and bool(to))


def each_for_itself(email: Email) -> dict[str, Mailer]:
    """Return what sends mail, and what sends to each webhook: they succeed each for itself."""
    found = {
        f"webhook-{number}": Mailer(email.model_copy(update={"webhooks": [webhook]}))
        for number, webhook in enumerate(email.webhooks)
    }
    if email.smtp_host:
        found = {MAIL: Mailer(email.model_copy(update={"webhooks": []})), **found}
    return found
