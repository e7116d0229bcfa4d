"""The door: an XML-RPC server with one method, `front_desk(work_order)`."""

from __future__ import annotations

import errno
import ipaddress
import logging
import re
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from socketserver import ThreadingMixIn
from typing import Any
from xmlrpc.server import SimpleXMLRPCServer

from toros.common.access import Caller
from toros.common.connection_handler import BUSY, ConnectionHandler
from toros.common.connections import Connection, Connections, Phase
from toros.common.crew import Crew
from toros.common.door import DoorRules, require_closed_door
from toros.common.errors import AddressInUse, ConfigurationError
from toros.common.large_bodies import LargeBodies
from toros.common.penalties import Penalties
from toros.common.wire import write_fault

log = logging.getLogger(__name__)

SWEEP_S = 0.25
DRAIN_S = 8.0

Handle = Callable[[object, Caller], dict[str, Any]]


class FrontDeskServer(ThreadingMixIn, SimpleXMLRPCServer):
    """Listens, and answers each connection in a thread of its own.

    Parameters
    ----------
    address : tuple of str and int
        Where to listen. Port 0 takes a free one.
    handle : callable
        Takes the struct of a work order and who sends it; returns the struct of the reply.
    rules : DoorRules
        Who is let in.

    Raises
    ------
    AddressInUse
        When another process listens there.
    ConfigurationError
        When the address is not one of this machine, or open to others without access or TLS.
    """

    daemon_threads = True
    block_on_close = False
    # Who is dropped from a full queue knocks again after one, two and four seconds.
    request_queue_size = 512

    def __init__(
        self, address: tuple[str, int], handle: Handle, rules: DoorRules | None = None
    ) -> None:
        self.handle = handle
        self.rules = rules or DoorRules()
        self.connections = Connections(self.rules.connections, self.rules.connections_per_peer)
        self.penalties = Penalties(self.rules.turned_away_s)
        self.large_bodies = LargeBodies()
        self._names = {
            "localhost",
            address[0].lower(),
            *(name.lower() for name in self.rules.hosts),
        }
        self._records: dict[int, Connection] = {}
        self._crew = Crew("connection")
        self._next_sweep = 0.0
        require_closed_door(address[0], self.rules)
        try:
            super().__init__(address, requestHandler=ConnectionHandler, logRequests=False)
        except OSError as error:
            raise _listening_failed(address, error) from error
        self._own_host = f"{address[0]}:{self.server_address[1]}"

    def start(self) -> None:
        """Answer in the background until `stop`."""
        threading.Thread(
            target=self.serve_forever,
            kwargs={"poll_interval": SWEEP_S},
            name="front-desk",
            daemon=True,
        ).start()

    def stop(self) -> None:
        """Take no more connections, answer what is in flight, and close."""
        self.shutdown()
        self.server_close()
        self.connections.drain(DRAIN_S)
        self.large_bodies.close()

    @property
    def url(self) -> str:
        """Where clients find this server."""
        host, port = self.server_address[:2]
        return f"{'https' if self.rules.tls else 'http'}://{host!s}:{port}"

    def authenticate(self, header: str | None) -> Caller:
        """Return who an ``Authorization`` header names; see `Access.authenticate`."""
        return self.rules.access.authenticate(header)

    def is_ours(self, host: str) -> bool:
        """Return whether a ``Host`` header names this server: an address, or one of its names."""
        if host == self._own_host:
            return True
        name = host.rsplit(":", 1)[0] if re.search(r":[0-9]+$", host) else host
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return name.lower() in self._names
        return True

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Return whether connections from there are taken; nothing else is spent on the others."""
        if self.penalties.is_out(client_address[0]):
            request.close()
            return False
        if not self.rules.networks:
            return True
        peer = ipaddress.ip_address(client_address[0])
        return any(peer in network for network in self.rules.networks)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give the connection a thread, or turn it away where there are too many."""
        sock: socket.socket = request
        phase = Phase.HEADERS
        if self.rules.tls is not None:
            sock = self.rules.tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            phase = Phase.HANDSHAKE
        record = self.connections.admit(sock, client_address[0], phase)
        if record is None:
            if self.rules.tls is None:
                _say_too_many(sock)
            self.shutdown_request(sock)
            return
        self._records[id(sock)] = record
        try:
            self._crew.do(partial(self.process_request_thread, sock, client_address))
        except RuntimeError:
            self.shutdown_request(sock)  # no thread can be started: its place is free again
            raise

    def record_of(self, request: Any) -> Connection:
        """Return the record of an admitted connection."""
        return self._records[id(request)]

    def strike(self, record: Connection, what: str) -> bool:
        """Note that something could not be read; return whether its sender is turned away now.

        Not counted is what comes from our own address: the modules of a node depend on one another,
        and a dome must hear that it is to close whatever else runs beside it. Nor is the end of a
        connection that we cut.
        """
        peer = record.peer
        if record.is_cut or peer == record.socket.getsockname()[0]:
            log.debug("%s is refused: %s", peer, what)
            return False
        verdict = self.penalties.strike(peer)
        if verdict.news and verdict.out:
            log.warning(
                "%s sends what cannot be read, last: %s It is turned away, each time for %g s.",
                peer, what, self.penalties.seconds,
            )  # fmt: skip
        else:
            level = logging.INFO if verdict.news else logging.DEBUG
            log.log(level, "%s is refused: %s", peer, what)
        return verdict.out

    def forgive(self, record: Connection) -> None:
        """Note that a call could be read."""
        record.proven = True
        self.penalties.forgive(record.peer)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection and forget it."""
        if request.fileno() < 0:
            return  # turned away, and closed already
        self._records.pop(id(request), None)
        self.connections.release(request)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Cut the connections whose time is over; called by `serve_forever` between connections."""
        now = time.monotonic()
        if now >= self._next_sweep:
            self._next_sweep = now + SWEEP_S
            self.connections.sweep()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Record what ended a connection; clients that go away are no news."""
        error = sys.exception()
        if isinstance(error, OSError | ValueError):
            log.debug("The connection of %s ended: %s", client_address[0], error)
        else:
            log.exception("The connection of %s ended in an error of ours.", client_address[0])


def _say_too_many(sock: socket.socket) -> None:
    """Say that there are too many, without waiting for anything."""
    fault = write_fault(BUSY, "There are too many connections; try again in a moment.")
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\n"
        f"Content-Length: {len(fault)}\r\n\r\n"
    )
    sock.setblocking(False)
    try:
        sock.send(head.encode() + fault)
        sock.shutdown(socket.SHUT_WR)
        sock.recv(1 << 16)
    except OSError as error:
        log.debug("A connection too many ended: %s", error)


def _listening_failed(address: tuple[str, int], error: OSError) -> Exception:
    where = f"{address[0]}:{address[1]}"
    if error.errno == errno.EADDRINUSE:
        return AddressInUse(
            f"Another process listens at {where}: stop it, or give this module another port."
        )
    return ConfigurationError(f"Cannot listen at {where}: {error.strerror}.")
