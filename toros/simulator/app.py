"""The routes of the server: devices, management, and the simulator's own `/simulator/v1`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict

from pydantic import BaseModel, ConfigDict
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from toros import __version__
from toros.common.clock import iso
from toros.simulator.discovery import DiscoveryResponder, bind
from toros.simulator.observatory import Observatory
from toros.simulator.protocol import Arguments, Protocol, envelope

LARGEST_BODY = 1 << 16


class Management:
    """The Alpaca management API.

    Parameters
    ----------
    observatory : Observatory
        Whose devices are listed.
    location : str
        What the server says of its place.
    """

    def __init__(self, observatory: Observatory, location: str) -> None:
        self._observatory = observatory
        self._location = location
        self._transactions = 0

    def _reply(self, request: Request, value: object) -> Response:
        self._transactions += 1
        client_id = Arguments("GET", list(request.query_params.multi_items())).transaction_id()
        return JSONResponse({"Value": value, **envelope(client_id, self._transactions)})

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


class SimulatorApi:
    """What a test may ask and change: `/simulator/v1`.

    Parameters
    ----------
    observatory : Observatory
        The observatory.
    """

    def __init__(self, observatory: Observatory) -> None:
        self._observatory = observatory

    async def truth(self, _request: Request) -> Response:
        """Return the settings, where everything is, and the truth of the last exposures."""
        observatory = self._observatory
        now = observatory.clock.unix()
        ra, dec, alt, azim = observatory.pointing(now)
        body = {
            "time": iso(observatory.clock.now()),
            "clock": asdict(observatory.clock),
            "site": asdict(observatory.observer),
            "settings": observatory.settings.model_dump(mode="json"),
            "telescope": {"ra_deg": ra, "dec_deg": dec, "alt_deg": alt, "azim_deg": azim},
            "dome": {
                "azim_deg": observatory.dome.true_azimuth(now),
                "shutter": observatory.dome.shutter(now),
                "light_fraction": observatory.light_fraction(now),
            },
            "exposures": [asdict(truth) for truth in list(observatory.camera.truths)],
        }
        return JSONResponse(body)

    async def weather(self, request: Request) -> Response:
        """Return the weather; with PUT change it first: ``{"safe": bool|null, "values": {}}``."""
        weather = self._observatory.weather
        if request.method == "PUT":
            try:
                order = WeatherOrder.model_validate_json(await _body(request))
                weather.change(order.values)
            except ValueError as error:
                return PlainTextResponse(str(error), 400)
            if "safe" in order.model_fields_set:
                weather.forced = order.safe
        return JSONResponse(
            {
                "safe": weather.safe,
                "unsafe_because": weather.unsafe_because(),
                "forced": weather.forced,
                "values": weather.values(),
            }
        )


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise ValueError("the body is too long")
    return bytes(body)


class WeatherOrder(BaseModel):
    """The body of a PUT to the weather."""

    model_config = ConfigDict(extra="forbid", strict=True)

    safe: bool | None = None
    values: dict[str, float] = {}


def make_app(observatory: Observatory, location: str, port: Callable[[], int]) -> Starlette:
    """Return the application.

    Parameters
    ----------
    observatory : Observatory
        What it serves.
    location : str
        The place, for people.
    port : callable
        Returns the TCP port, for discovery.
    """
    management, simulator = Management(observatory, location), SimulatorApi(observatory)
    protocol = Protocol(observatory.devices)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        settings = observatory.settings
        transports = []
        if settings.discovery:
            for sock in bind(str(settings.discovery_host), settings.discovery_port):
                transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                    lambda: DiscoveryResponder(port()), sock=sock
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
        Route("/simulator/v1/truth", simulator.truth),
        Route("/simulator/v1/weather", simulator.weather, methods=["GET", "PUT"]),
    ]
    return Starlette(routes=routes, lifespan=lifespan)
