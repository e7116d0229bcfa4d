"""The simulator as a server: in a thread for tests and the simulated night, or in the foreground.

``Simulator`` owns its socket from the moment it is made, so that port 0 becomes a known port and a
port that is taken is an error before anything runs.
"""

from __future__ import annotations

import errno
import logging
import socket
import threading
from types import TracebackType
from typing import Self

import uvicorn

from toros.common.clock import Clock
from toros.common.config import Config
from toros.common.config.simulator import SimulatorSettings
from toros.common.errors import AddressInUse, ConfigurationError, TorosError
from toros.common.lifecycle import Lifecycle
from toros.common.pulse import Pulse
from toros.common.sd_notify import Notifier
from toros.simulator.app import make_app
from toros.simulator.connections import DroppableProtocol
from toros.simulator.faults import FaultBoard
from toros.simulator.observatory import Observatory, Place

log = logging.getLogger(__name__)

START_S = 30.0
STOP_S = 10.0
BACKLOG = 128
# Its event loop beats ten times a second; nothing that it does lasts this long (machine seconds).
PATIENCE_S = 60.0


class _Server(uvicorn.Server):
    """A uvicorn server that says when it is ready, or that it never will be."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self.pulse = Pulse("the event loop", PATIENCE_S)

    async def on_tick(self, counter: int) -> bool:
        """Show that the event loop turns; called by uvicorn ten times a second."""
        self.pulse.beat()
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen."""
        await super().startup(sockets)
        self.ready.set()


class Simulator:
    """An observatory served over Alpaca.

    Parameters
    ----------
    settings : SimulatorSettings
        What the observatory is like.
    clock : Clock
        The observatory's time.
    site : Place
        Where it stands: ``latitude``, ``longitude``, ``elevation``.
    host : str
        Address to listen at.
    port : int
        TCP port; 0 for any free one.

    Raises
    ------
    AddressInUse
        If another process listens there.
    ConfigurationError
        If the address is not one of this machine.

    Examples
    --------
    ::

        with Simulator(config.simulator, config.make_clock(), config.site) as simulator:
            telescope = alpaca.telescope.Telescope(simulator.address, 0)
    """

    def __init__(
        self,
        settings: SimulatorSettings,
        clock: Clock,
        site: Place,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.observatory = Observatory(settings, clock, site)
        self.host = host
        self._socket = _listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        location = f"{getattr(site, 'name', '')} {site.latitude:.4f} {site.longitude:.4f}".strip()
        self.faults = FaultBoard(self.observatory.devices, self.observatory.clock)
        app = make_app(self.observatory, self.faults, location, lambda: self.port)
        self._server = _Server(
            uvicorn.Config(
                app,
                http=DroppableProtocol,
                log_config=None,  # the suite configures logging
                access_log=False,
                ws="none",
                lifespan="on",
                timeout_graceful_shutdown=3,
            )
        )
        self._thread: threading.Thread | None = None

    @property
    def pulse(self) -> Pulse:
        """The signs of life of the server."""
        return self._server.pulse

    @property
    def address(self) -> str:
        """``host:port``, as alpyca takes it."""
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """Base URL of the server."""
        return f"http://{self.address}"

    def start(self) -> None:
        """Serve in a thread; return when the server answers."""
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)
        self._thread.start()
        if not self._server.ready.wait(START_S):
            raise TorosError("The simulator did not start.")
        log.info("The simulator answers at %s.", self.url)

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self.observatory.close()
            self._socket.close()

    def stop(self) -> None:
        """Stop serving and wait until the port is free."""
        self.faults.clear()  # or a hung answer would hold us up
        self._server.should_exit = True
        if self._thread is None:
            self._socket.close()
            return
        self._thread.join(STOP_S)
        if self._thread.is_alive():
            raise TorosError("The simulator did not stop.")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's delay off (40 ms per call) only for sockets that name their protocol.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    # A restarted server must not wait for the old connections to be forgotten.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise AddressInUse(
                f"The simulator cannot listen at {host}:{port}: another process does."
            ) from error
        raise ConfigurationError(
            f"The simulator cannot listen at {host}:{port}: {error}"
        ) from error
    return sock


def serve(config: Config, clock: Clock) -> None:
    """Serve the configured simulator in the foreground until SIGTERM or SIGINT."""
    service = config.service("simulator")
    simulator = Simulator(
        config.simulator, clock, config.site, service.host, service.listening_port
    )
    notifier = Notifier.from_environment()
    answers = f"Answers at {simulator.url}."
    life = Lifecycle("simulator", notifier, [simulator.pulse], lambda: answers)
    life.run(simulator.start, simulator.stop)
    log.info("The simulator has stopped.")
