"""Alpaca discovery: a UDP datagram asks who is there, the answer is the port."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import socket
from collections.abc import Callable
from typing import cast

log = logging.getLogger(__name__)

QUESTION = b"alpacadiscovery1"
LOOPBACK_BROADCAST = "127.255.255.255"


class DiscoveryResponder(asyncio.DatagramProtocol):
    """Answers discovery datagrams with the port of the server.

    Parameters
    ----------
    alpaca_port : int
        TCP port on which the devices are served.
    silent : callable
        Says whether the server is gone and answers nothing.
    """

    def __init__(self, alpaca_port: int, silent: Callable[[], bool] = lambda: False) -> None:
        self._silent = silent
        self._reply = json.dumps({"AlpacaPort": alpaca_port}).encode()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        # Python 3.11's datagram transport does not derive from the class that documents it.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        """Answer a discovery question; anything else is left unanswered."""
        if self._transport is None or self._silent():
            return
        if data.startswith(QUESTION):
            self._transport.sendto(self._reply, addr)


def bind(host: str, port: int) -> list[socket.socket]:
    """Return sockets that hear discovery questions; none, with a warning, if the port is taken.

    A socket bound to the loopback address does not hear what is sent to the loopback broadcast
    address, as clients do, so that one gets a socket of its own.
    """
    addresses = [host]
    if ipaddress.ip_address(host).is_loopback:
        addresses.append(LOOPBACK_BROADCAST)
    sockets: list[socket.socket] = []
    for address in addresses:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        # Several Alpaca servers on one machine share the discovery port.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setblocking(False)
        try:
            sock.bind((address, port))
        except OSError as error:
            sock.close()
            log.warning("No Alpaca discovery at %s:%s: %s", address, port, error)
            continue
        port = sock.getsockname()[1]
        sockets.append(sock)
    return sockets
