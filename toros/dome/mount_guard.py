"""The collision rule: where mount and shutter can meet, the shutter moves over a parked mount."""

from __future__ import annotations

import logging
import threading

from toros.alpaca import Mount
from toros.common.clock import Clock
from toros.common.errors import DeviceError, TorosError
from toros.common.workers import run_guarded

log = logging.getLogger(__name__)

RETRY_S = 2.0


class MountGuard:
    """Parks the mount before the shutter moves.

    Parameters
    ----------
    mount : Mount or None
        The mount; None where it cannot collide with the shutter.
    clock : Clock
        The observatory's clock.
    wait_s : float
        How long a closing shutter waits for a mount that does not park, in all its attempts.
    """

    def __init__(self, mount: Mount | None, clock: Clock, wait_s: float) -> None:
        self._mount = mount
        self._clock = clock
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._waiting_since: float | None = None

    @property
    def watches(self) -> bool:
        """Whether mount and shutter can collide here."""
        return self._mount is not None

    def trouble(self) -> str:
        """Return why the shutter may not be opened over the mount; empty if it may."""
        if self._mount is None:
            return ""
        try:
            return "" if self._mount.parked() else "the mount is not parked"
        except DeviceError as error:
            return f"it is not known whether the mount is parked ({error.message})"

    def clear_way(self) -> str:
        """Park the mount before the shutter closes; return what went wrong, empty if nothing.

        A mount that does not park is waited for only once: a shutter that is told to close again
        and again must not wait each time.
        """
        if self._mount is None:
            return ""
        with self._lock:
            if self._waiting_since is None:
                self._waiting_since = self._clock.monotonic()
            deadline = self._waiting_since + self._wait_s
        never = threading.Event()
        while True:
            trouble = self._park(self._mount, deadline)
            if not trouble:
                # It parks, so it is worth waiting for, should it be on its way again meanwhile.
                self.done()
                return ""
            if self._clock.monotonic() >= deadline:
                return trouble
            self._clock.wait(never, min(RETRY_S, self._wait_s))

    def done(self) -> None:
        """Nothing waits for the mount any more: the next closing waits anew."""
        with self._lock:
            self._waiting_since = None

    def _park(self, mount: Mount, deadline: float) -> str:
        try:
            # Whatever goes wrong with the mount, the shutter closes.
            return run_guarded("Parking the mount", lambda: self._try_to_park(mount, deadline))
        except TorosError as error:
            log.warning("The mount does not park before the shutter closes: %s", error.message)
            return error.message

    def _try_to_park(self, mount: Mount, deadline: float) -> str:
        if mount.parked():
            return ""
        left = deadline - self._clock.monotonic()
        if left > 0.0:
            mount.park(left)
            return ""
        mount.start_park()  # for the next time; this time nobody waits
        return "it is not parked, and was waited for long enough"
