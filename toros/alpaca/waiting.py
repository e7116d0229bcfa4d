"""Waiting for hardware: by its readings, in observatory time, and never for ever."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from toros.common.clock import Clock
from toros.common.errors import Cancelled, DeviceTimeout, DeviceUnreachable

_log = logging.getLogger(__name__)

# Machine seconds. On a fast clock a network call is long, and no time-out is shorter than a few
# of them; on a slow one there is no hurry.
_LEAST_POLL_S = 0.05
_MOST_POLL_S = 1.0
_LEAST_TIMEOUT_S = 5.0
_FAILED_READS = 3


def wait_until(
    done: Callable[[], bool],
    *,
    clock: Clock,
    timeout_s: float,
    what: str,
    poll_s: float = 1.0,
    cancelled: threading.Event | None = None,
) -> None:
    """Poll `done` until it is true.

    Parameters
    ----------
    done : callable
        Reads the device. A few failed reads in a row are borne: a server may be restarted.
    clock : Clock
        The observatory's clock.
    timeout_s, poll_s : float
        Observatory seconds; the poll lasts 0.05 to 1 machine second.
    what : str
        What is waited for, for the message: "the shutter to open".
    cancelled : threading.Event, optional
        Ends the wait with `Cancelled`.

    Raises
    ------
    DeviceTimeout, DeviceUnreachable, Cancelled
    """
    stop = cancelled or threading.Event()
    pause = min(max(poll_s, _LEAST_POLL_S * clock.rate), _MOST_POLL_S * clock.rate)
    deadline = clock.monotonic() + max(timeout_s, _LEAST_TIMEOUT_S * (clock.rate > 1) * clock.rate)
    failed = 0
    while True:
        try:
            if done():
                return
            failed = 0
        except (DeviceTimeout, DeviceUnreachable) as error:
            failed += 1
            if failed >= _FAILED_READS or clock.monotonic() > deadline:
                raise
            _log.warning("waiting for %s: %s", what, error)
        if clock.monotonic() > deadline:
            raise DeviceTimeout(f"waited {timeout_s:.0f} s in vain for {what}.")
        if clock.wait(stop, pause):
            raise Cancelled(f"cancelled while waiting for {what}.")


def initiate(command: Callable[[], object], what: str) -> None:
    """Send a command whose outcome is read back afterwards.

    A command that times out may have been obeyed. It is not sent again: the reading of the
    hardware decides, so that the time-out is only logged.
    """
    try:
        command()
    except DeviceTimeout as error:
        _log.warning("%s: %s The hardware's reading will decide.", what, error)
