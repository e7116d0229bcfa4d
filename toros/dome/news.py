"""Messages about the dome to the recipients of news, from a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections import deque
from datetime import datetime

from toros.common.clock import Clock, iso
from toros.common.config import Config
from toros.common.mail import reaches
from toros.common.outbox import Outbox

log = logging.getLogger(__name__)

MOST_WAITING = 1000
RETRY_S = 30.0  # of the machine: a full disk is emptied no faster on a fast clock
CLOSE_S = 10.0


class News:
    """Gathers what happens within a short while into one mail; what is urgent goes at once.

    The mail then waits on disk until it is sent, whatever becomes of this process.

    Parameters
    ----------
    config : Config
        Its `email` section says how and to whom.
    clock : Clock
        The observatory's clock.
    """

    def __init__(self, config: Config, clock: Clock) -> None:
        email = config.email
        self._outbox = Outbox(email, "dome-news") if reaches(email, email.recipients) else None
        self._to = email.recipients
        self._node = config.node
        self._gather_s = clock.machine_seconds(config.dome.mail_gather_s)
        self._waiting: deque[str] = deque(maxlen=MOST_WAITING)
        self._changed = threading.Condition()
        self._urgent = False

    def tell(self, time: datetime, message: str, *, urgent: bool = False) -> None:
        """Let the recipients know."""
        if self._outbox is None:
            return
        with self._changed:
            self._waiting.append(f"{iso(time)}  {message}")
            self._urgent = self._urgent or urgent
            self._changed.notify_all()

    def run(self, stop: threading.Event) -> None:
        """Send until `stop` is set: a module's loop."""
        while not stop.is_set():
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or stop.is_set(), 0.5)
                if self._waiting and not stop.is_set():
                    self._changed.wait_for(lambda: self._urgent or stop.is_set(), self._gather_s)
            if not self.flush():
                stop.wait(RETRY_S)

    def flush(self) -> bool:
        """Post what waits as one mail; return whether nothing waits any more."""
        with self._changed:
            lines = list(self._waiting)
            self._urgent = False
        if not lines or self._outbox is None:
            return True
        # The newest first in the subject: that is how it is now.
        subject = f"[TOROS {self._node} dome] {lines[-1].partition('  ')[2][:120]}"
        try:
            self._outbox.post(self._to, subject, "\n".join(lines) + "\n")
        except OSError as error:
            log.warning("News of the dome wait in memory: %s.", error)
            return False
        with self._changed:
            for _ in lines:
                if self._waiting:
                    self._waiting.popleft()
        return True

    def hush(self) -> None:
        """Tell nobody anything from now on."""
        with self._changed:
            outbox, self._outbox = self._outbox, None
            self._waiting.clear()
        if outbox is not None:
            outbox.close(0.0)

    def close(self) -> None:
        """Post what waits, and try once more to send it; the rest stays on disk."""
        self.flush()
        if self._outbox is not None:
            self._outbox.close(CLOSE_S)
