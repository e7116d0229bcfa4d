"""Errors to the admins: each by mail, and a storm of them as one digest."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path

from toros.common.mailed_lately import recall, remember
from toros.common.outbox import Outbox

# Loggers whose errors are about messages themselves: mailing them would go round in a circle.
OWN = (
    "toros.common.outbox",
    "toros.common.mail",
    "toros.common.mailed_lately",
    "apprise",
    __name__,
)
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
    memory : pathlib.Path
        Keeps what was mailed lately, and what is held, from one process of the module to the next.
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
        memory: Path,
    ) -> None:
        super().__init__(logging.ERROR)
        self._outbox = outbox
        self._admins = list(admins)
        self._origin = origin
        self._clean = clean
        self._burst = burst
        self._window_s = window_s
        self._memory = memory
        lately, now = recall(memory, window_s), time.monotonic()
        self._mailed: deque[float] = deque((now - age for age in lately.ages_s), maxlen=burst)
        self._digest_at = -math.inf if lately.digest_age_s is None else now - lately.digest_age_s
        self._held = lately.held  # without their times, so that alike ones are counted
        self._timer: threading.Timer | None = None
        self._state = threading.Lock()
        if self._held:
            self._start_timer(now)

    def emit(self, record: logging.LogRecord) -> None:
        """Mail the record, or hold it for the digest."""
        if record.name in OWN:
            return
        text = self.format(record)
        now = time.monotonic()
        with self._state:
            full = len(self._mailed) == self._burst and now - self._mailed[0] < self._window_s
            if full:
                self._hold(text, now)
                return
            self._mailed.append(now)
            self._remember()
        try:
            self._outbox.post(self._admins, self._subject(self._clean(record.getMessage())), text)
        except OSError:
            self.handleError(record)

    def close(self) -> None:
        """Send the digest if one is held, and what waits.

        If there was a digest lately, what is held is left to the next process.
        """
        with self._state:
            timer, self._timer = self._timer, None
            lately = time.monotonic() - self._digest_at < self._window_s
            if timer is not None and lately:
                self._remember()
        if timer is not None:
            timer.cancel()
            if not lately:
                self._send_digest()
        self._outbox.close(CLOSE_S)
        super().close()

    def _hold(self, text: str, now: float) -> None:
        kind = _without_time(text)
        # A storm may last, and no two of its errors be alike.
        known = kind in self._held or len(self._held) < MOST_KINDS
        self._held[kind if known else OTHERS] += 1
        self._start_timer(now)

    def _start_timer(self, now: float) -> None:
        """Let the digest come at the end of the window."""
        if self._timer is not None:
            return
        first = min(self._mailed, default=-math.inf)
        seconds = max(first + self._window_s - now, 0.0)
        self._timer = threading.Timer(seconds, self._send_digest)
        self._timer.daemon = True
        self._timer.start()

    def _remember(self) -> None:
        now = time.monotonic()
        ages = [now - each for each in self._mailed]
        digest = None if math.isinf(self._digest_at) else now - self._digest_at
        remember(self._memory, ages, digest, self._held)

    def _send_digest(self) -> None:
        with self._state:
            alike, self._held, self._timer = self._held, Counter(), None
            if not alike:
                return
            self._digest_at = time.monotonic()
            self._remember()
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
