"""The watch: closes the dome when it is unsafe, or when the telescope module has gone silent.

It runs in a thread that does nothing else, and nothing but the end of the module ends it.
"""

from __future__ import annotations

import logging
import threading
import time

from toros.common.client import FrontDeskClient
from toros.common.errors import DomeUnsafe, PeerError, ShutterStuck
from toros.common.module import Context
from toros.dome.events import EventBook
from toros.dome.pace import age_s, pause_s
from toros.dome.reading import Reader
from toros.dome.safety import Safety, Verdict
from toros.dome.shutter import Shutter

log = logging.getLogger(__name__)

# The admins are told of a shutter that does not close at once, and then at every tenth try.
TELL_EVERY = 10


class Heartbeat:
    """When the telescope module was last heard of; asked in a thread of its own."""

    def __init__(self, context: Context) -> None:
        limit = context.config.dome.telescope_silence_s
        watched = limit is not None and "telescope" in context.config.services
        self._limit_s = age_s(context.clock, limit) if watched and limit is not None else None
        self._client = FrontDeskClient.of(context.config, "telescope", timeout_s=5.0)
        self._heard = time.monotonic()

    def run(self, stop: threading.Event) -> None:
        """Ask until `stop` is set: a module's loop."""
        while self._limit_s is not None and not stop.is_set():
            try:
                self._client.send("status", wait=0.0)
                self._heard = time.monotonic()
            except PeerError as error:
                log.debug("The telescope module is silent: %s", error)
            stop.wait(self._limit_s / 5)
        stop.wait()

    def silent_since(self, opened: float) -> bool:
        """Return whether it has been silent too long, counted from when the dome opened at most."""
        if self._limit_s is None:
            return False
        return time.monotonic() - max(self._heard, opened) > self._limit_s


class Watch:
    """Looks at the verdict of all safety sources and closes the dome when it must."""

    def __init__(
        self,
        context: Context,
        safety: Safety,
        reader: Reader,
        shutter: Shutter,
        events: EventBook,
        heartbeat: Heartbeat,
    ) -> None:
        self._clock = context.clock
        self._settings = context.config.dome
        self._safety = safety
        self._reader = reader
        self._shutter = shutter
        self._events = events
        self._heartbeat = heartbeat
        self._verdict: Verdict | None = None
        self._opened: float | None = None
        self._tries = 0
        self._grace_end = time.monotonic() + age_s(context.clock, self._settings.safety_max_age_s)

    def run(self, stop: threading.Event) -> None:
        """Watch until `stop` is set: a module's loop."""
        # Never slower than once a machine second: the sources do the waiting.
        pause = min(pause_s(self._clock, self._settings.safety_poll_s), 1.0)
        while not stop.wait(pause):
            self.look(stop)

    def look(self, stop: threading.Event) -> None:
        """Look once, and close if the dome must be closed and is not."""
        if self._starting():
            return
        verdict = self._safety.verdict()
        self._note(verdict)
        reading = self._reader.latest()
        if reading.closed:
            self._opened = None
            self._tries = 0
            return
        if self._opened is None:
            self._opened = time.monotonic()
        if not verdict.safe:
            self._close(f"unsafe: {verdict}", stop)
        elif self._heartbeat.silent_since(self._opened):
            self._close("the telescope module is silent", stop)

    def _starting(self) -> bool:
        """Return whether nothing is known only because the module has just begun to ask."""
        if time.monotonic() > self._grace_end:
            return False
        return not (self._safety.heard and self._reader.ever_read)

    def _note(self, verdict: Verdict) -> None:
        """Record a change between safe and unsafe, and of the reasons."""
        before = self._verdict
        self._verdict = verdict
        if before is not None and before.because == verdict.because:
            return
        if verdict.safe:
            self._events.record("safety", "It is safe to open the dome.")
        else:
            turned = before is not None and before.safe
            self._events.record(
                "safety",
                f"It is not safe to open the dome: {verdict}.",
                level="warning" if turned else "info",
                code=DomeUnsafe.code,
                because=list(verdict.because),
            )

    def _close(self, because: str, stop: threading.Event) -> None:
        self._tries += 1
        told = self._tries % TELL_EVERY == 1
        if self._tries == 1:
            self._events.record(
                "shutter", f"The dome is not closed, and closes ({because}).", level="warning"
            )
        try:
            closed, trouble = self._shutter.close(), "its hardware does not read closed"
        except ShutterStuck as error:
            closed, trouble = False, error.message
        if closed:
            self._events.record("shutter", f"The dome is closed ({because}).")
            self._tries = 0
            return
        self._events.record(
            "problem",
            f"THE DOME DOES NOT CLOSE ({because}): {trouble} Try {self._tries}.",
            level="error" if told else "warning",
            code=ShutterStuck.code,
            tries=self._tries,
        )
        stop.wait(pause_s(self._clock, self._settings.close_retry_s))
