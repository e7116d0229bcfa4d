"""The life of a daemon: start, serve, and on SIGTERM drain and leave."""

from __future__ import annotations

import logging
import os
import signal
import threading
from types import FrameType
from typing import Any
from uuid import uuid4

from toros.common.desk import Desk
from toros.common.door import rules_of
from toros.common.front_desk import FrontDeskServer
from toros.common.journal import Journal
from toros.common.module import Context, Loop, Module
from toros.common.workers import Workers

log = logging.getLogger(__name__)

DRAIN_S = 10.0
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
        owner = f"{context.config.node}/{os.getpid()}/{uuid4().hex[:8]}"
        self.journal = Journal(context.sessions, module.name, owner, context.clock)
        self._workers = Workers(self.journal, module.table, module.state)
        desk = Desk(module, self.journal, self._workers, context.clock)
        service = context.config.service(module.name)
        self._server = FrontDeskServer(
            address or (service.host, service.listening_port), desk.handle, rules_of(context.config)
        )
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(loop,), name=loop.name, daemon=True)
            for loop in module.loops
        ]

    @property
    def url(self) -> str:
        """Where the front desk listens."""
        return self._server.url

    def start(self) -> None:
        """Take up what was left, then answer."""
        self._workers.start()
        for thread in self._threads:
            thread.start()
        self._server.start()
        log.info("%s is ready at %s.", self._module.name, self.url)

    def stop(self) -> None:
        """Take no more orders, let what runs come to a safe end, and leave."""
        log.info("%s stops.", self._module.name)
        self._server.stop()
        self._stop.set()
        self._workers.stop(DRAIN_S)
        for thread in self._threads:
            thread.join(DRAIN_S)
        self._module.close()
        log.info("%s has stopped.", self._module.name)

    def serve(self) -> None:
        """Start, wait for SIGTERM or SIGINT, stop."""
        asked = threading.Event()

        def on_signal(number: int, _frame: FrameType | None) -> None:
            log.info("Received %s.", signal.Signals(number).name)
            asked.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, on_signal)
        self.start()
        asked.wait()
        self.stop()

    def _run(self, loop: Loop) -> None:
        """Run a loop until the daemon stops; an error is recorded and the loop goes on."""
        while not self._stop.is_set():
            try:
                loop.run(self._stop)
            except Exception:
                log.exception("The loop %s of %s failed; it goes on.", loop.name, self._module.name)
            self._stop.wait(LOOP_RETRY_S)
