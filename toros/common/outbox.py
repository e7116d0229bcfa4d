"""Messages that wait on disk until they are sent: a mail server that is down loses none."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from pathlib import Path

from toros.common.atomic import write_text
from toros.common.clock import Clock, iso
from toros.common.errors import MessageNotSent
from toros.common.mail import Mailer

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 300.0


class Outbox:
    """Sends messages in order, from a thread of its own.

    A mail server that is slow or down must not hold up what the observatory does.

    Parameters
    ----------
    mailer : Mailer
        Sends.
    folder : pathlib.Path
        Where messages wait; what an earlier process left there is sent as well.
    """

    def __init__(self, mailer: Mailer, folder: Path) -> None:
        self._mailer = mailer
        self._folder = folder
        self._number = 0
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._closing = threading.Event()
        self._pause_s = FIRST_PAUSE_S
        folder.mkdir(parents=True, exist_ok=True)
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
            sent_all = self._send_all()
            if closing:
                return
            if sent_all:
                self._pause_s = FIRST_PAUSE_S
                self._news.wait()
            else:
                # Not on news: a server that is down is not asked at every error.
                self._closing.wait(self._pause_s)
                self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)

    def _send_all(self) -> bool:
        """Send what waits; return whether nothing is left."""
        for path in self.waiting():
            try:
                message = json.loads(path.read_text(encoding="utf-8"))
                self._mailer.send(message["to"], message["subject"], self._body(message))
            except MessageNotSent as error:
                log.warning("%s It waits in %s.", error, self._folder)
                return False
            except (ValueError, KeyError, OSError) as error:
                log.warning("The message %s cannot be read (%s) and is set aside.", path, error)
                path.rename(path.with_suffix(".unreadable"))
                continue
            path.unlink()
        return True

    @staticmethod
    def _body(message: dict[str, str]) -> str:
        return f"{message['text']}\n\nPosted at {message['posted']}.\n"
