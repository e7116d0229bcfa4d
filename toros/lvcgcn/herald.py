"""Telling people and other programs of alerts, until each has been told.

The mail, every webhook and every upload of an alert is an entry on disk, written before the alert
is on record and taken out when it was sent: one that fails is tried again, and neither holds up the
others nor repeats them.
"""

from __future__ import annotations

import json
import logging
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import select

from toros.archive.models import Alert
from toros.common.config.alert_sources import Upload
from toros.common.errors import MessageNotSent
from toros.common.mail import MAIL, Attachment, each_for_itself
from toros.common.module import Context
from toros.lvcgcn import letter, records
from toros.lvcgcn.notice import Notice
from toros.lvcgcn.panic import panics_are_errors
from toros.lvcgcn.spool import Spool

log = logging.getLogger(__name__)

_LOOK_S = 0.25


class Herald:
    """Announces alerts by mail, webhooks and uploads.

    Parameters
    ----------
    context : Context
        Configuration, clock and archive.
    folder : pathlib.Path
        Where what is still to be said is kept.
    """

    def __init__(self, context: Context, folder: Path) -> None:
        self._settings = context.config.lvcgcn.announce
        self._email = context.config.email
        self._clock = context.clock
        self._sessions = context.sessions
        self._spool = Spool(folder)
        self._wake = threading.Event()
        self._mailers = each_for_itself(self._email)
        if not self._email.recipients:
            self._mailers.pop(MAIL, None)
        self._stop = threading.Event()
        self._uploads = {
            f"upload-{number}": upload for number, upload in enumerate(self._settings.uploads)
        }

    @property
    def waiting(self) -> int:
        """How many announcements are still to be made."""
        return len(self._spool)

    def announce(self, notice: Notice, followed: bool) -> None:
        """Have an alert announced, once it is on record."""
        if self._settings.what == "nothing" or (self._settings.what == "followed" and not followed):
            return
        for channel in (*self._uploads, *self._mailers):
            entry = {"digest": notice.digest, "channel": channel, "since": self._clock.unix()}
            self._spool.put(f"{notice.digest[:24]}-{channel}", entry)

    def wake(self) -> None:
        """Let the thread look for announcements now."""
        self._wake.set()

    def loops(self) -> list[tuple[str, Callable[[threading.Event], None]]]:
        """Return the name and the body of the thread."""
        return [("herald", self.run)]

    def run(self, stop: threading.Event) -> None:
        """Announce what is to be announced, and again what failed, until `stop` is set."""
        self._stop = stop
        pause_s, waited_s = self._settings.retry_s, self._settings.retry_s
        while not stop.is_set():
            if self._wake.wait(_LOOK_S) or waited_s >= pause_s:
                self._wake.clear()
                waited_s = 0.0
                for name in self._spool.names():
                    if not stop.is_set():
                        self._say(name)
            waited_s += _LOOK_S

    def _say(self, name: str) -> None:
        entry = self._spool.read(name)
        if entry is None:
            return
        with self._sessions() as session:
            query = select(Alert).where(Alert.digest == entry["digest"])
            alert = session.scalars(query).one_or_none()
            targets = records.targets_of_alert(session, alert) if alert else []
        old = self._clock.unix() - entry["since"] > self._settings.give_up_h * 3600
        try:
            if alert is not None:
                to = entry.get("to", self._email.recipients)
                self._send(entry["channel"], letter.Letter(alert, targets), to)
            elif not old:
                return  # its record is about to be made
        except (OSError, MessageNotSent, ValueError) as error:
            if not old:
                who = entry["channel"]
                log.warning("The %s of %s failed; it is tried again: %s", who, name, error)
                if isinstance(error, MessageNotSent) and error.refused:
                    self._spool.put(name, {**entry, "to": [*error.refused]})  # the others have it
                return
            self._give_up(entry, alert, error)
        self._spool.done(name)

    def _give_up(self, entry: dict[str, Any], alert: Alert | None, error: Exception) -> None:
        message = f"{entry['channel']} could not be told of {alert and alert.event}: {error}."
        log.error("%s", message)
        with self._sessions.begin() as session:
            records.note(session, self._clock.now(), "problem", message, level="error")

    def _send(self, channel: str, said: letter.Letter, recipients: Sequence[str]) -> None:
        if channel in self._mailers:
            mail = channel == MAIL
            to, attachments = (recipients, _attachments(said)) if mail else ((), ())
            if self._stop.is_set():  # drawing takes a while; the next daemon sends it
                raise OSError("the daemon stops")
            self._mailers[channel].send(to, said.subject(), said.text(), attachments)
        elif channel in self._uploads:
            self._post(self._uploads[channel], said)
        else:
            log.info("%s is no longer configured; it is told nothing.", channel)

    def _post(self, upload: Upload, said: letter.Letter) -> None:
        headers = {"Content-Type": "application/json"}
        if upload.token is not None:
            headers["Authorization"] = f"Bearer {upload.token.get_secret_value()}"
        request = urllib.request.Request(  # noqa: S310 - the address is the configuration's
            upload.url.get_secret_value(), json.dumps(said.document()).encode(), headers
        )
        if request.type not in ("http", "https"):
            raise ValueError("the upload's address is not http(s)")
        try:
            with urllib.request.urlopen(request, timeout=self._settings.timeout_s):  # noqa: S310
                return
        except urllib.error.HTTPError as error:
            with error:  # it holds the connection
                raise OSError(f"the upload was answered with {error.code}") from error


def _attachments(said: letter.Letter) -> list[Attachment]:
    attachments = []
    if said.targets:
        attachments.append(Attachment("targets.csv", "text/csv", said.targets_csv().encode()))
    try:
        with panics_are_errors():
            plot = said.plot()
    except Exception:
        # Whatever a plot stumbles over, people must be told, of this alert and of those after it.
        log.exception("The mail of %s goes without its plot.", said.alert.event)
        plot = None
    if plot is not None:
        attachments.append(Attachment("skymap.png", "image/png", plot))
    return attachments
