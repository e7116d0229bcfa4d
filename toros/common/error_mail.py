"""Errors to the admins: each by mail, and a storm of them as one digest."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence

from toros.common.outbox import Outbox

# Loggers whose errors are about messages themselves: mailing them would go round in a circle.
OWN = ("toros.common.outbox", "toros.common.mail", "apprise", __name__)
CLOSE_S = 10.0
log = logging.getLogger(__name__)
SHOWN_IN_DIGEST = 20
MOST_KINDS = 1000
OTHERS = ""


class AdminMailHandler(logging.Handler):
    """Posts every record of level ERROR to the admins.

    Parameters
    ----------
    outbox : Outbox
        Takes the messages.
    admins : sequence of str
        To whom they go.
    origin : str
        Node and module, named in the subject.
    clean : callable
        Returns a text without secrets.
    burst : int
        How many errors within `window_s` are mailed one by one; the others come as a digest at
        its end.
    window_s : float
        Machine seconds.
    """

    def __init__(
        self,
        outbox: Outbox,
        admins: Sequence[str],
        origin: str,
        clean: Callable[[str], str],
        *,
        burst: int,
        window_s: float,
    ) -> None:
        super().__init__(logging.ERROR)
        self._outbox = outbox
        self._admins = list(admins)
        self._origin = origin
        self._clean = clean
        self._burst = burst
        self._window_s = window_s
        self._mailed: deque[float] = deque(maxlen=burst)
        self._held: Counter[str] = Counter()  # without their times, so that alike ones are counted
        self._timer: threading.Timer | None = None
        self._state = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Mail the record, or hold it for the digest."""
        if record.name in OWN:
            return
        text = self.format(record)
        now = time.monotonic()
        with self._state:
            full = len(self._mailed) == self._burst and now - self._mailed[0] < self._window_s
            if full:
                self._hold(text, self._mailed[0] + self._window_s - now)
                return
            self._mailed.append(now)
        try:
            self._outbox.post(self._admins, self._subject(self._clean(record.getMessage())), text)
        except OSError:
            self.handleError(record)

    def close(self) -> None:
        """Send the digest if one is held, and what waits."""
        with self._state:
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
            self._send_digest()
        self._outbox.close(CLOSE_S)
        super().close()

    def _hold(self, text: str, seconds: float) -> None:
        kind = _without_time(text)
        # A storm may last, and no two of its errors be alike.
        known = kind in self._held or len(self._held) < MOST_KINDS
        self._held[kind if known else OTHERS] += 1
        if self._timer is None:
            self._timer = threading.Timer(max(seconds, 0.0), self._send_digest)
            self._timer.daemon = True
            self._timer.start()

    def _send_digest(self) -> None:
        with self._state:
            alike, self._held, self._timer = self._held, Counter(), None
        if not alike:
            return
        others = alike.pop(OTHERS, 0)
        lines = [f"{count} × {text}" for text, count in alike.most_common(SHOWN_IN_DIGEST)]
        if len(alike) > SHOWN_IN_DIGEST:
            more = " or more" if others else ""
            lines.append(f"and {len(alike) - SHOWN_IN_DIGEST}{more} other kinds: see the log.")
        subject = self._subject(f"{alike.total() + others} more errors")
        try:
            self._outbox.post(self._admins, subject, "\n\n".join(lines))
        except OSError as error:
            log.warning("The mail of %s cannot be kept: %s.", subject, error)

    def _subject(self, text: str) -> str:
        return f"[TOROS {self._origin}] {text[:120]}"


def _without_time(text: str) -> str:
    """Return a log line without its first word, the time, so that alike ones are counted."""
    return text.partition(" ")[2] or text
