"""Messages that wait on disk until they are sent: a mail server that is down loses none."""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from toros.common.atomic import write_text
from toros.common.clock import Clock, iso
from toros.common.config.models import Email
from toros.common.errors import ConfigurationError, MessageNotSent
from toros.common.mail import MAIL, each_for_itself
from toros.common.pauses import FIRST_S, Pauses

log = logging.getLogger(__name__)

# A webhook does not say whether it is down or does not like a message: so many others are tried.
WEBHOOK_TRIES = 3
# As long as mail servers try: who refuses a message for so long will not take it any more.
GIVE_UP = timedelta(days=5)


class Outbox:
    """Sends messages in order, from a thread of its own, by mail and to each webhook.

    A mail server that is slow or down must not hold up what the observatory does. Mail and webhooks
    do not wait for one another, no recipient gets a message again because another did not get it,
    and none waits behind a message that is refused.

    Parameters
    ----------
    email : Email
        How messages are sent.
    name : str
        Whose messages: those that an earlier process left in the folder of this name, below
        `email.outbox`, are sent as well.

    Raises
    ------
    ConfigurationError
        When the folder cannot be made.
    """

    def __init__(self, email: Email, name: str) -> None:
        self._mailers = each_for_itself(email)
        self._folder = email.outbox / name
        self._number = 0
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._closing = threading.Event()
        self._pauses = Pauses()  # of mail, webhooks, and messages by the names of their files
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"email.outbox: {email.outbox} cannot be written ({error.strerror}); name another."
            ) from error
        self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)
        self._thread.start()

    def post(self, to: Sequence[str], subject: str, text: str) -> None:
        """Put a message on disk; it is sent soon."""
        message = {"to": list(to), "subject": subject, "text": text, "posted": iso(Clock().now())}
        with self._lock:
            self._number += 1
            # Names sort in the order of posting, over processes too.
            name = f"{int(Clock().unix() * 1e6):017d}-{self._number:06d}.json"
        write_text(self._folder / name, json.dumps(message))
        self._news.set()

    def close(self, seconds: float) -> None:
        """Try once more to send what waits, at most for `seconds`; the rest stays on disk."""
        self._closing.set()
        self._news.set()
        self._thread.join(seconds)

    def waiting(self) -> list[Path]:
        """Return what is not sent yet, the oldest first."""
        # Not the hidden ones, which are being written.
        return sorted(self._folder.glob("[!.]*.json"))

    def _work(self) -> None:
        while True:
            # Asked before sending: what was posted before the closing is sent all the same.
            closing = self._closing.is_set()
            self._news.clear()
            if closing:
                self._pauses = Pauses()
            self._send_all()
            if closing:
                return
            # On news it looks again, and asks nobody who pauses: a server that is down is not
            # asked at every error.
            self._news.wait((self._pauses.next_s() or FIRST_S) if self.waiting() else None)

    def _send_all(self) -> None:
        """Send what waits, to whoever does not pause."""
        tries = Counter({name: 1 if name == MAIL else WEBHOOK_TRIES for name in self._mailers})
        waiting = self.waiting()
        # What has failed goes behind what has not, which else it would hold up.
        for path in sorted(waiting, key=lambda path: (self._pauses.length_s(path.name), path.name)):
            if self._pauses.lasts(path.name):
                continue
            try:
                message = json.loads(path.read_text(encoding="utf-8"))
                self._send(path, message, tries)
            except OSError as error:
                log.warning("The message %s waits on: %s.", path, error)
                self._pauses.begin(path.name)
            except (ValueError, KeyError, TypeError) as error:
                log.warning("The message %s cannot be read (%s) and is set aside.", path, error)
                self._set_aside(path, ".unreadable")

    def _send(self, path: Path, message: dict[str, Any], tries: Counter[str]) -> None:
        """Send a message wherever it was not sent yet, and keep where that is."""
        text = f"{message['text']}\n\nPosted at {message['posted']}.\n"
        before = [name for name in message.get("left", self._mailers) if name in self._mailers]
        left, to, failed = [], message["to"], False
        for name in before:
            if tries[name] <= 0 or self._pauses.lasts(name):
                left.append(name)
                continue
            try:
                self._mailers[name].send(to if name == MAIL else (), message["subject"], text)
            except MessageNotSent as error:
                log.warning("%s It waits in %s.", error, self._folder)
                left.append(name)
                to = [*error.refused] or to
                failed = failed or bool(error.refused) or name != MAIL
                self._note_failure(name, error, tries)
            else:
                self._pauses.forget(name)
        if not left:
            self._pauses.forget(path.name)
            path.unlink()
            return
        if (left, to) != (before, message["to"]):
            write_text(path, json.dumps({**message, "to": to, "left": left}))
        if failed:
            self._pauses.begin(path.name)
            self._give_up_the_old(path, message["posted"])

    def _note_failure(self, name: str, error: MessageNotSent, tries: Counter[str]) -> None:
        """Let a server pause that cannot be reached; one that refuses a message may take others."""
        if not error.refused:
            tries[name] -= 1
            if tries[name] == 0:
                self._pauses.begin(name)

    def _give_up_the_old(self, path: Path, posted: str) -> None:
        age = Clock().now() - datetime.fromisoformat(posted)
        if age > GIVE_UP:
            log.error("The message %s has been refused for %s, and is set aside.", path, age)
            self._set_aside(path, ".refused")

    def _set_aside(self, path: Path, suffix: str) -> None:
        self._pauses.forget(path.name)
        path.rename(path.with_suffix(suffix))
