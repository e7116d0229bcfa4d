"""What the dome writes into the archive and mails: each change of safety, each failed shutter."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from toros.archive.models import Event
from toros.common.module import Context
from toros.common.wire import printable
from toros.common.work_order import Json
from toros.dome.news import News

log = logging.getLogger(__name__)

LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
MOST_WAITING = 10_000
RETRY_S = 5.0


class EventBook:
    """Logs events at once and writes them into the archive from a thread of its own.

    Whoever records never waits for the database: a slow one must not delay the closing of the
    dome. What cannot be written is kept and tried again.
    """

    def __init__(self, context: Context, mails: News) -> None:
        self._context = context
        self._mails = mails
        self._waiting: deque[dict[str, Any]] = deque(maxlen=MOST_WAITING)
        self._news = threading.Condition()
        self._writing = threading.Lock()

    def record(
        self,
        kind: str,
        message: str,
        *,
        level: str = "info",
        code: int = 0,
        mail: bool = False,
        **data: Json,
    ) -> None:
        """Record that something happened now.

        Parameters
        ----------
        kind : str
            ``safety``, ``shutter`` or ``problem``.
        message : str
            One sentence for people.
        level : str
            ``info``, ``warning`` or ``error``; the last mails the admins, and the recipients.
        code : int
            Status code.
        mail : bool
            Whether the recipients of news get a mail, whatever the level.
        **data
            What else is known, as JSON.
        """
        log.log(LEVELS[level], "%s", message)
        now = self._context.clock.now()
        event = {
            "time": now,
            "module": "dome",
            "kind": kind,
            "level": level,
            "message": printable(message),  # a database cannot hold every character
            "code": code,
            "data": dict(data),
        }
        if mail or level == "error":
            self._mails.tell(now, message, urgent=level == "error")
        with self._news:
            self._waiting.append(event)
            self._news.notify_all()

    def run(self, stop: threading.Event) -> None:
        """Write until `stop` is set: a module's loop."""
        while not stop.is_set():
            with self._news:
                self._news.wait_for(lambda: self._waiting or stop.is_set(), 0.5)
            if not self.flush():
                stop.wait(RETRY_S)  # of the machine: the database is no faster on a fast clock

    def flush(self) -> bool:
        """Write what waits; return whether nothing waits any more."""
        with self._writing:
            while self._waiting:
                event = self._waiting[0]
                try:
                    with self._context.sessions.begin() as session:
                        # A new row each time: one whose commit failed keeps the number that it
                        # had, which may be another's by now.
                        session.add(Event(**event))
                except SQLAlchemyError:
                    log.exception("%d events of the dome cannot be recorded.", len(self._waiting))
                    return False
                # A full book drops its oldest by itself: only take off the one just written.
                if self._waiting and self._waiting[0] is event:
                    self._waiting.popleft()
            return True
