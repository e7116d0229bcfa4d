"""The watch: closes the dome when it is unsafe, or when nobody knows where its shutter is.

It runs in a thread that does nothing else, and nothing but the end of the module ends it.
"""

from __future__ import annotations

import logging
import threading

from toros.common.clock import Clock
from toros.common.config.dome import DomeSettings
from toros.common.errors import DomeUnsafe, ShutterStuck, TorosError
from toros.common.workers import run_guarded
from toros.dome.events import EventBook
from toros.dome.pace import age_s, pause_s
from toros.dome.reading import Reader, Reading
from toros.dome.safety import Safety, Verdict
from toros.dome.shutter import Shutter
from toros.dome.sources import SUN_POLL_S

log = logging.getLogger(__name__)

# The admins are told of a shutter that does not close at once, and then at every tenth try.
TELL_EVERY = 10


def closes_within_s(settings: DomeSettings) -> float:
    """Return how long the dome may take to close once something says that it is unsafe, seconds.

    The source is asked, the watch looks, the mount parks, and the shutter travels; a shutter that
    is able to close only now may have been in the middle of an attempt, and in the pause after it.
    A source that falls silent, without a word, is noticed later by its `max_age_s`, and the
    telescope module by `telescope_silence_s`.
    """
    polls = [settings.safety_poll_s, settings.weather.poll_s, SUN_POLL_S, settings.find_out_s]
    polls += [command.poll_s for command in settings.commands]
    look = settings.safety_poll_s
    park = settings.mount_park_wait_s if settings.shutter_needs_parked_mount else 0.0
    return max(polls) + look + park + settings.close_retry_s + 2 * settings.shutter_timeout_s


def longest_close_s(settings: DomeSettings) -> float:
    """Return how long the dome may be busy closing before it looks up, seconds.

    Twice: the module that stops begins anew with what has not closed within the time.
    """
    park = settings.mount_park_wait_s if settings.shutter_needs_parked_mount else 0.0
    return 2 * (park + settings.shutter_timeout_s)


class Watch:
    """Looks at the verdict of all safety sources and closes the dome when it must.

    Parameters
    ----------
    settings : DomeSettings
        Limits and pauses.
    clock : Clock
        The observatory's clock.
    safety, reader, shutter, events
        The parts of the module that it looks at, and acts by.
    """

    def __init__(
        self,
        settings: DomeSettings,
        clock: Clock,
        safety: Safety,
        reader: Reader,
        shutter: Shutter,
        events: EventBook,
    ) -> None:
        self._clock = clock
        self._settings = settings
        self._safety = safety
        self._reader = reader
        self._shutter = shutter
        self._events = events
        self._verdict: Verdict | None = None
        self._lost_since: float | None = None
        self._tries = 0
        self._grace_end = clock.monotonic() + age_s(clock, settings.safety_max_age_s)
        # Never slower than once a machine second: the sources do the waiting.
        self.pause_s = min(pause_s(clock, settings.safety_poll_s), clock.rate)

    def run(self, stop: threading.Event) -> None:
        """Watch until `stop` is set: a module's loop."""
        while not self._clock.wait(stop, self.pause_s):
            try:
                run_guarded("A look of the dome's watch", lambda: self.look(stop))
            except TorosError as error:
                # Whatever it was, the next look comes: nothing ends the watch.
                log.error("The dome's watch: %s", error.message)  # noqa: TRY400 - has a reference

    def look(self, stop: threading.Event) -> None:
        """Look once, and close if the dome must be closed and is not."""
        verdict = self._safety.verdict()
        if self._starting(verdict):
            return
        self._note(verdict)
        reading = self._read()
        if reading.closed:
            if self._tries:
                self._events.record("shutter", "The dome is closed after all.", mail=True)
            self._tries = 0
            self._lost_since = None
            return
        if not verdict.safe:
            self._close(f"unsafe: {verdict}", stop)
        elif self._is_lost(reading):
            self._close("nobody knows where its shutter is", stop)
        elif not reading.lost:
            self._shutter.stays_open()

    def _read(self) -> Reading:
        """Return what the hardware reads; of a slow one, what it read a few seconds ago.

        Else a closed dome whose controller takes its time would be closed again and again.
        """
        reading = self._reader.latest()
        if reading.state is None and not self._shutter.opening:
            return self._reader.recent() or reading
        return reading

    def _starting(self, verdict: Verdict) -> bool:
        """Return whether what is not known may be so only because the module has just begun.

        What a source says is unsafe needs no other to be heard.
        """
        if self._clock.monotonic() > self._grace_end:
            return False
        said = any(trouble.kind == "unsafe" for trouble in verdict.troubles)
        return not said and not self._safety.heard

    def _is_lost(self, reading: Reading) -> bool:
        """Return whether the hardware has not known for too long where its shutter is.

        To close is the way to find out: it ends at a limit switch, on the safe side.
        """
        if not reading.lost or self._shutter.opening:
            self._lost_since = None
            return False
        if self._lost_since is None:
            self._lost_since = self._clock.monotonic()
        return self._clock.monotonic() - self._lost_since >= self._settings.find_out_s

    def _note(self, verdict: Verdict) -> None:
        """Record a change between safe and unsafe, and of the reasons."""
        before, self._verdict = self._verdict, verdict
        if before is not None and before.causes == verdict.causes:
            return
        overridden = [str(trouble) for trouble in verdict.overridden]
        said = f" Overridden: {'; '.join(overridden)}." if overridden else ""
        if verdict.safe:
            self._events.record(
                "safety", f"It is safe to open the dome.{said}", mail=True, overridden=overridden
            )
            return
        turned = before is not None and before.safe
        self._events.record(
            "safety",
            f"It is not safe to open the dome: {verdict}.{said}",
            level="warning" if turned else "info",
            code=DomeUnsafe.code,
            mail=True,
            because=list(verdict.because),
            sources=sorted({trouble.source for trouble in verdict.troubles}),
            overridden=overridden,
        )

    def _close(self, because: str, stop: threading.Event) -> None:
        self._tries += 1
        if self._tries == 1:
            self._events.record(
                "shutter",
                f"The dome is not closed, and closes ({because}).",
                level="warning",
                mail=True,
            )
        try:
            closed, trouble = self._shutter.close(), "its hardware does not read closed"
        except ShutterStuck as error:
            closed, trouble = False, error.message
        if closed:
            self._events.record("shutter", f"The dome is closed ({because}).", mail=True)
            self._tries = 0
            return
        self._events.record(
            "problem",
            f"THE DOME DOES NOT CLOSE ({because}): {trouble} Try {self._tries}.",
            level="error" if self._tries % TELL_EVERY == 1 else "warning",
            code=ShutterStuck.code,
            tries=self._tries,
        )
        self._clock.wait(stop, pause_s(self._clock, self._settings.close_retry_s))
