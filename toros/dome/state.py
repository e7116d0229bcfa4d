"""The dome module's parts, put together."""

from __future__ import annotations

import threading
from dataclasses import replace

from toros import __version__
from toros.alpaca import Limits, Mount, open_dome, open_mount
from toros.common.errors import DomeError
from toros.common.module import Context
from toros.common.nearest import nearest
from toros.common.requests import Task
from toros.common.work_order import Json
from toros.dome.aperture import Aperture
from toros.dome.events import EventBook
from toros.dome.leaving import Leaving
from toros.dome.mount_guard import MountGuard
from toros.dome.news import News
from toros.dome.operator import OperatorLock, Overrides
from toros.dome.pace import age_s, pause_s
from toros.dome.pier import Pier
from toros.dome.reading import Reader
from toros.dome.safety import Safety
from toros.dome.shutter import Shutter
from toros.dome.sources import Hardware, Sources
from toros.dome.watch import Watch

LOCK_RETRY_S = 5.0  # of the machine: the archive is no faster on a fast clock


class DomeModule:
    """Everything that the requests of the dome act on."""

    def __init__(self, context: Context) -> None:
        settings, clock = context.config.dome, context.clock
        limit_s = settings.device_timeout_s
        limits = Limits(connect_s=min(3.0, limit_s), read_s=limit_s, write_s=2 * limit_s)
        self.context = context
        self._hardware = open_dome(context.config.devices.dome, clock, limits)
        self._mount = self._open_mount(limits)
        self.news = News(context.config, clock)
        self.events = EventBook(context, self.news)
        self.reader = Reader(self._hardware.state, clock, pause_s(clock, settings.status_poll_s))
        self.sources = Sources(context, limits)
        self.lock = OperatorLock(context)
        self.overrides = Overrides(clock)
        read_within_s = age_s(clock, settings.safety_max_age_s)
        self.safety = Safety(
            [*self.sources.asked, Hardware(self.reader, read_within_s), self.lock],
            self.overrides.sources,
        )
        collides = settings.shutter_needs_parked_mount
        self.guard = MountGuard(
            self._mount if collides else None, clock, settings.mount_park_wait_s
        )
        self.shutter = Shutter(
            context,
            self._hardware,
            self.reader,
            self.safety,
            self.guard,
            self.events,
        )
        german = settings.geometry.german_axis_m > 0.0
        self.aperture = Aperture(
            context, self._hardware, self.reader, Pier(self._mount if german else None)
        )
        self.watch = Watch(settings, clock, self.safety, self.reader, self.shutter, self.events)
        self.leaving = Leaving(settings, clock, self.reader, self.shutter, self.events)

    def _open_mount(self, limits: Limits) -> Mount | None:
        """Return the mount, if the dome must know of it."""
        settings = self.context.config.dome
        if not (settings.shutter_needs_parked_mount or settings.geometry.german_axis_m > 0.0):
            return None
        # A mount that hangs while it connects must not hold up the shutter.
        soon = replace(limits, device_connect_s=limits.write_s)
        return open_mount(self.context.config.devices.mount, self.context.clock, soon)

    def status(self) -> dict[str, Json]:
        """Return the answer to `dome_status`."""
        state = self.reader.latest().state
        verdict = self.safety.verdict()
        return {
            "azim": 0.0 if state is None or state.azim_deg is None else state.azim_deg,
            "open": state is not None and state.shutter == "open",
            "park": state is not None and (state.at_park or state.azim_deg is None),
            "connected": state is not None,
            "time": self.context.clock.unix(),
            "version": f"v{__version__}",
            "shutter": "unknown" if state is None else state.shutter,
            "moving": state is not None
            and (state.slewing or state.shutter in ("opening", "closing")),
            "turns": state is not None and state.azim_deg is not None,
            "following": self.aperture.target is not None,
            "in_slit": self.aperture.in_slit(),
            "safe": verdict.safe,
            "unsafe_because": "; ".join(verdict.because),
            "overridden": [str(trouble) for trouble in verdict.overridden],
        }

    def safety_status(self) -> dict[str, Json]:
        """Return the answer to `safety_status`: every source, the lock and the override."""
        verdict = self.safety.verdict()
        lock, override = self.lock.state, self.overrides.current
        return {
            "safe": verdict.safe,
            "unsafe_because": "; ".join(verdict.because),
            "sources": self.safety.describe(),
            "lock": None
            if lock is None
            else {
                "locked": lock.locked,
                "user": lock.user,
                "reason": lock.reason,
                "time": lock.time,
            },
            "override": None
            if override is None
            else {
                "sources": sorted(override.sources),
                "until": override.until_time,
                "user": override.user,
                "reason": override.reason,
            },
            "shutter_needs_parked_mount": self.guard.watches,
        }

    def describe(self) -> dict[str, Json]:
        """Return the module's own keys of the answer to `status`."""
        verdict = self.safety.verdict()
        return {"safe": verdict.safe, "unsafe_because": "; ".join(verdict.because)}

    def override(self, sources: list[str], seconds: float, reason: str, task: Task) -> Json:
        """Let some sources of safety not count for a while; return until when.

        Raises
        ------
        DomeError
            There is no such source, it cannot be overridden, it would be for too long, or the
            order came too late to be done.
        """
        known = [source.name for source in self.safety.sources if source is not self.lock]
        for name in sources:
            if name not in known:
                raise DomeError(
                    f"{name!r} cannot be overridden{nearest(name, known)}. "
                    f"There are: {', '.join(known)}."
                )
        longest = self.context.config.dome.override_longest_s
        if seconds > longest:
            raise DomeError(f"An override lasts at most {longest:g} s.")
        if task.taken is not None:  # it counts from when it was ordered
            seconds -= self.context.clock.monotonic() - task.taken
        if seconds <= 0.0 or task.inherited:
            raise DomeError("The override was over before it began: order it again.")
        user = task.order.user or "an operator"
        override = self.overrides.set(sources, seconds, user, reason)
        self.events.record(
            "override",
            f"{user} overrides {', '.join(sorted(sources))} until {override.until_time}: {reason}",
            level="warning",
            mail=True,
            sources=sorted(sources),
            seconds=seconds,
            reason=reason,
        )
        return override.until_time

    def end_override(self, task: Task) -> bool:
        """Let every source count again."""
        if self.overrides.current is not None:
            self.overrides.end()
            who = task.order.user or "An operator"
            self.events.record("override", f"{who} ended the override.", mail=True)
        return True

    def learn_lock(self, stop: threading.Event) -> None:
        """Ask the archive whether the dome is locked, until it says: a module's loop."""
        while not stop.is_set():
            self.lock.read()
            # Known once, it changes only by order; the loop then merely lives on.
            stop.wait(LOCK_RETRY_S)

    def close(self) -> None:
        """Leave the dome closed, and let go of the devices."""
        try:
            self.leaving.finish()
        finally:
            self.events.flush()
            self._let_go()

    def leave_closed(self) -> None:
        """Leave the dome closed without ever having been served, for there is no archive.

        The admins are mailed what goes wrong, as of every error; the recipients get no news of a
        module that is started every few seconds.
        """
        self.news.hush()
        try:
            self.leaving.finish()
        finally:
            self._let_go()

    def _let_go(self) -> None:
        self.news.close()
        self._hardware.close()
        self.sources.close()
        if self._mount is not None:
            self._mount.close()
