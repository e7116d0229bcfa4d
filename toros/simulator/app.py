"""The routes of the server: devices, management, and the simulator's own `/simulator/v1`."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from toros import __version__
from toros.simulator.connections import drop
from toros.simulator.control import SimulatorApi
from toros.simulator.discovery import DiscoveryResponder, bind
from toros.simulator.faults import FaultBoard
from toros.simulator.observatory import Observatory
from toros.simulator.protocol import Arguments, Protocol, envelope
from toros.simulator.setup_pages import SetupPages


class Management:
    """The Alpaca management API.

    Parameters
    ----------
    observatory : Observatory
        Whose devices are listed.
    location : str
        What the server says of its place.
    transactions : iterator of int
        The server's own numbers of its transactions.
    """

    def __init__(
        self, observatory: Observatory, location: str, transactions: Iterator[int]
    ) -> None:
        self._observatory = observatory
        self._location = location
        self._transactions = transactions

    def _reply(self, request: Request, value: object) -> Response:
        client_id = Arguments("GET", list(request.query_params.multi_items())).transaction_id()
        return JSONResponse({"Value": value, **envelope(client_id, next(self._transactions))})

    async def versions(self, request: Request) -> Response:
        """Return the versions of the API."""
        return self._reply(request, [1])

    async def describe(self, request: Request) -> Response:
        """Return what the server is."""
        description = {
            "ServerName": self._observatory.settings.server_name,
            "Manufacturer": "TOROS",
            "ManufacturerVersion": __version__,
            "Location": self._location,
        }
        return self._reply(request, description)

    async def devices(self, request: Request) -> Response:
        """Return the configured devices."""
        listed = [
            {
                "DeviceName": device.name,
                "DeviceType": device.type_name,
                "DeviceNumber": device.number,
                "UniqueID": device.unique_id,
            }
            for device in self._observatory.devices.values()
        ]
        return self._reply(request, listed)


class Gate:
    """Drops every connection while the server is meant to be gone; its own API stays.

    Parameters
    ----------
    app : ASGIApp
        What is behind it.
    observatory : Observatory
        Which knows whether the server is gone.
    """

    def __init__(self, app: ASGIApp, observatory: Observatory) -> None:
        self._app = app
        self._observatory = observatory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or drop its connection."""
        web = scope["type"] == "http"
        if web and self._observatory.down() and not scope["path"].startswith("/simulator/"):
            await drop(scope)
            return
        await self._app(scope, receive, send)


def make_app(
    observatory: Observatory, faults: FaultBoard, location: str, port: Callable[[], int]
) -> Starlette:
    """Return the application.

    Parameters
    ----------
    observatory : Observatory
        What it serves.
    faults : FaultBoard
        What is wrong with it.
    location : str
        The place, for people.
    port : callable
        Returns the TCP port, for discovery.
    """
    transactions = itertools.count(1)
    management = Management(observatory, location, transactions)
    simulator = SimulatorApi(observatory, faults)
    protocol = Protocol(observatory.devices, faults, transactions)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        settings = observatory.settings
        transports = []
        if settings.discovery:
            for sock in bind(str(settings.discovery_host), settings.discovery_port):
                transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                    lambda: DiscoveryResponder(port(), observatory.down), sock=sock
                )
                transports.append(transport)
        yield
        for transport in transports:
            transport.close()
        observatory.close()

    device = "/api/v1/{kind}/{number}/{member}"
    routes = [
        Route(device, protocol.answer, methods=["GET", "PUT"]),
        Route("/management/apiversions", management.versions),
        Route("/management/v1/description", management.describe),
        Route("/management/v1/configureddevices", management.devices),
        *SetupPages(observatory).routes(),
        *simulator.routes(),
    ]
    gate = Middleware(Gate, observatory=observatory)
    return Starlette(routes=routes, lifespan=lifespan, middleware=[gate])
