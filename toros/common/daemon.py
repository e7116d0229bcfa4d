"""The life of a daemon: start, serve, and on SIGTERM drain and leave."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from toros.common.certificate_watch import CertificateWatch
from toros.common.clock import Clock
from toros.common.desk import Desk
from toros.common.door import rules_of
from toros.common.front_desk import FrontDeskServer
from toros.common.journal import Journal
from toros.common.lifecycle import Lifecycle
from toros.common.module import Context, Loop, Module
from toros.common.owner import make_owner
from toros.common.pulse import Pulse, PulsingEvent
from toros.common.sd_notify import Notifier
from toros.common.workers import Workers

log = logging.getLogger(__name__)

# From SIGTERM to the end (machine seconds), and what of it is kept for the last answers.
DRAIN_S = 9.0
ANSWER_S = 2.0
LOOP_RETRY_S = 1.0


class Daemon:
    """Runs one module: its front desk, its workers and its loops.

    Parameters
    ----------
    module : Module
        What to run.
    context : Context
        What it was built from.
    address : tuple of str and int, optional
        Where to listen; by default what the configuration says for the module.
    """

    def __init__(
        self, module: Module[Any], context: Context, address: tuple[str, int] | None = None
    ) -> None:
        self._module = module
        node = context.config.node
        self.journal = Journal(context.sessions, module.name, node, make_owner(node), context.clock)
        self._workers = Workers(self.journal, module.table, module.state)
        desk = Desk(module, self.journal, self._workers, context.clock)
        service = context.config.service(module.name)
        self._server = FrontDeskServer(
            address or (service.host, service.listening_port), desk.handle, rules_of(context.config)
        )
        loops = [*module.loops, *_watch_of_certificate(context)]
        self._loops = [_RunningLoop(loop, module.name) for loop in loops]
        self.pulses = [*self._workers.pulses, *(loop.pulse for loop in self._loops)]

    @property
    def url(self) -> str:
        """Where the front desk listens."""
        return self._server.url

    def start(self) -> None:
        """Take up what was left, then answer."""
        self._workers.start()
        for loop in self._loops:
            loop.start()
        self._server.start()
        log.info("%s is ready at %s.", self._module.name, self.url)

    def stop(self) -> None:
        """Take no more orders, let what runs come to a safe end, and leave within `DRAIN_S`."""
        log.info("%s stops.", self._module.name)
        deadline = time.monotonic() + DRAIN_S
        for loop in self._loops:
            loop.stop.set()
        # At once nobody comes in any more; it ends when those within have their answers.
        closing = threading.Thread(target=self._server.stop, name="closing", daemon=True)
        closing.start()
        self._workers.stop(deadline - ANSWER_S)
        self.journal.news.close()
        closing.join(max(deadline - time.monotonic(), 0.0))
        for loop in self._loops:
            loop.join(max(deadline - time.monotonic(), 0.0))
        self._module.close()
        log.info("%s has stopped.", self._module.name)

    def serve(self, notifier: Notifier | None = None) -> None:
        """Start, wait for SIGTERM or SIGINT, stop; systemd is told by `notifier`."""
        told = notifier or Notifier.from_environment()
        stop_s = DRAIN_S + self._module.close_s if self._module.close_s else None
        life = Lifecycle(self._module.name, told, self.pulses, self._describe, stop_s)
        life.run(self.start, self.stop)

    def _describe(self) -> str:
        doing = self._workers.doing()
        return f"Answers at {self.url}. Doing: {', '.join(doing) or 'nothing'}."


def _watch_of_certificate(context: Context) -> list[Loop]:
    certificate = context.config.tls.certificate
    if certificate is None:
        return []
    # By the machine's time, as clients judge it, also in a simulated night.
    return [Loop("certificate", CertificateWatch(certificate, Clock()).run)]


class _RunningLoop:
    """A loop of a module in its thread."""

    def __init__(self, loop: Loop, module: str) -> None:
        self._loop = loop
        self._module = module
        self.pulse = Pulse(f"loop {loop.name}", loop.patience_s)
        self.stop = PulsingEvent(self.pulse)
        self._thread = threading.Thread(target=self._run, name=loop.name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _run(self) -> None:
        """Run the loop until the daemon stops; an error is recorded and the loop goes on."""
        while not self.stop.is_set():
            try:
                self._loop.run(self.stop)
            except Exception:
                log.exception(
                    "The loop %s of %s failed; it goes on.", self._loop.name, self._module
                )
            self.stop.wait(LOOP_RETRY_S)
        self.pulse.rest()
