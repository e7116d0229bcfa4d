"""The life of a process that serves: start, READY, watchdog, SIGTERM, the end."""

from __future__ import annotations

import faulthandler
import logging
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from types import FrameType

from toros.common.pulse import Pulse, hanging
from toros.common.sd_notify import Notifier

log = logging.getLogger(__name__)

# How often the signs of life are looked at where no watchdog asks for more (machine seconds).
LOOK_S = 5.0
# A watchdog is fed three times in its interval, so that one feed may come late.
FEEDS = 3
# How much of each thread's stack is shown when something hangs.
INNERMOST = 6


class Lifecycle:
    """Runs a server in the foreground, and tells the service manager how it is.

    Parameters
    ----------
    name : str
        The module.
    notifier : Notifier
        How systemd is told.
    pulses : list of Pulse
        The watchdog is fed only while none of them is overdue.
    describe : callable
        Returns in one line what the module does; must not wait for anything.
    stop_s : float, optional
        How long the stop may take, where the service manager cannot know (machine seconds).
    """

    def __init__(
        self,
        name: str,
        notifier: Notifier,
        pulses: list[Pulse],
        describe: Callable[[], str],
        stop_s: float | None = None,
    ) -> None:
        self._name = name
        self._notifier = notifier
        self._pulses = pulses
        self._describe = describe
        self._stop_s = stop_s
        self._said = ""
        self._hung = False

    def run(self, start: Callable[[], None], stop: Callable[[], None]) -> None:
        """Start, wait for SIGTERM or SIGINT, stop."""
        asked = threading.Event()
        received: list[int] = []

        def on_signal(number: int, _frame: FrameType | None) -> None:
            # Nothing is logged here: the signal may have come while the log was being written.
            received.append(number)
            asked.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, on_signal)
        # The watchdog ends a process that hangs by SIGABRT: then standard error says where it hung.
        faulthandler.enable()
        self._notifier.status("Starts.")
        start()
        self._said = self._describe()
        self._notifier.ready(self._said)
        every = self._notifier.watchdog_s
        while not asked.wait(LOOK_S if every is None else min(every / FEEDS, LOOK_S)):
            self.look()
        log.info("Received %s.", signal.Signals(received[0]).name)
        self._notifier.stopping("Stops: takes no more orders and ends what is in flight.")
        if self._stop_s is not None:
            self._notifier.extend(self._stop_s)
        stop()

    def look(self) -> None:
        """Feed the watchdog if everything makes progress; else say what hangs."""
        late = hanging(self._pulses)
        if late:
            text = f"Hangs: {', '.join(late)}. The watchdog is not fed."
            if not self._hung:
                log.error("%s\n%s", text, _stacks())
            self._hung = True
        else:
            if self._hung:
                log.warning("%s makes progress again.", self._name)
            self._hung = False
            self._notifier.watchdog()
            text = self._describe()
        if text != self._said:
            self._said = text
            self._notifier.status(text)


def _stacks() -> str:
    """Return where each other thread is: what an admin needs of a hang, before the restart."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return "".join(
        f"{names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame)[-INNERMOST:])}"
        for ident, frame in sys._current_frames().items()
        if ident != threading.get_ident()
    )
