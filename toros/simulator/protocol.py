"""The Alpaca protocol: one HTTP request to one member of one device, and its reply.

The rules are those of the ASCOM Alpaca API Reference. Names in a query (GET) match in any case;
names in a form (PUT) must be exact. What cannot be read is HTTP 400; what the device will not do is
HTTP 200 with an error number; what does not exist is 404.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
from numpy.typing import NDArray
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse

from toros.common.clock import Clock
from toros.simulator.connections import drop
from toros.simulator.devices.base import Device
from toros.simulator.errors import AlpacaError, BadRequest, OperationCancelled
from toros.simulator.faults import FaultBoard
from toros.simulator.image_bytes import MEDIA_TYPE, chunks, encode_error, length
from toros.simulator.members import Member, Picture, Value, Wait

log = logging.getLogger(__name__)

LARGEST_ID = 2**32 - 1
LARGEST_BODY = 1 << 16
INT32_TYPE = 2
HANG_LOOKS_S = 0.05
MOTION_LOOKS_S = 0.1


class Arguments:
    """The parameters of a request, with the case rule of its verb."""

    def __init__(self, verb: str, pairs: list[tuple[str, str]]) -> None:
        self._exact = verb == "PUT"
        self._values: dict[str, str] = {}
        for name, value in pairs:
            self._values.setdefault(self._key(name), value)

    def _key(self, name: str) -> str:
        return name if self._exact else name.lower()

    def get(self, name: str) -> str | None:
        """Return the text of a parameter, or None."""
        return self._values.get(self._key(name))

    def number(self, name: str) -> int:
        """Return one of the client's numbers; zero if it sent none that can be read."""
        given = (self.get(name) or "").strip()
        if not (given.isascii() and given.isdigit()):
            return 0
        number = int(given[:11])
        return number if number <= LARGEST_ID else 0

    def transaction_id(self) -> int:
        """Return the client's transaction number."""
        return self.number("ClientTransactionID")


@dataclass(frozen=True)
class Asked:
    """A request that could be read."""

    device: Device
    member: Member
    values: list[Value]
    client_id: int
    transaction_id: int
    as_bytes: bool


async def read_arguments(request: Request) -> Arguments:
    """Return the parameters of a request; raise `BadRequest` if they cannot be read."""
    if request.method == "GET":
        return Arguments("GET", list(request.query_params.multi_items()))
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise BadRequest("The form is too long.")
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise BadRequest("The form is not UTF-8.") from None
    return Arguments("PUT", parse_qsl(text, keep_blank_values=True))


class Protocol:
    """Answers requests to devices.

    Parameters
    ----------
    devices : mapping
        By kind (lower case, as in the URL) and number.
    faults : FaultBoard
        What is wrong with them.
    transactions : iterator of int
        The server's own numbers of its transactions.
    """

    def __init__(
        self,
        devices: Mapping[tuple[str, int], Device],
        faults: FaultBoard,
        transactions: Iterator[int],
    ) -> None:
        self._devices = devices
        self._faults = faults
        self._transactions = transactions

    async def answer(self, request: Request) -> Response:
        """Return the reply to ``/api/v1/{kind}/{number}/{member}``."""
        kind, number = request.path_params["kind"], request.path_params["number"]
        path = request.path_params["member"]
        plain = number.isascii() and number.isdigit() and len(number) < 11
        device = self._devices.get((kind, int(number))) if plain else None
        if device is None:
            return PlainTextResponse(f"There is no device {kind} {number}.", 404)
        member = device.table.find(path, request.method)
        if member is None:
            known = device.table.knows(path)
            return PlainTextResponse(
                f"{kind} has no member {request.method} {path}.", 405 if known else 404
            )
        try:
            arguments = await read_arguments(request)
            values = _values(member, arguments)
        except BadRequest as error:
            return PlainTextResponse(str(error), 400)
        wants_bytes = MEDIA_TYPE in request.headers.get("accept", "").lower()
        asked = Asked(
            device,
            member,
            values,
            arguments.number("ClientID"),
            arguments.transaction_id(),
            as_bytes=wants_bytes and member.name == "ImageArray",
        )
        return await self._perform(request, asked)

    async def _perform(self, request: Request, asked: Asked) -> Response:
        """Answer, if no fault comes between."""
        fault = self._faults.take(asked.device, asked.member.name, asked.member.verb)
        if fault is None:
            return await self._answer(asked)
        order = fault.order
        if order.fault == "slow":
            reply = await self._answer(asked)
            await asyncio.sleep(order.delay_s)
            return reply
        if order.fault == "refuse":
            if order.status is not None:
                return PlainTextResponse(order.message, order.status)
            return self._refuse(asked, next(self._transactions), order.error, order.message)
        if order.done:
            await self._answer(asked)
        if order.fault == "garbage":
            return Response(b'{"Value": tru', media_type="application/json")
        if order.fault == "hang":
            while self._faults.active(fault) and not await request.is_disconnected():
                await asyncio.sleep(HANG_LOOKS_S)
        await drop(request.scope)
        return Response()

    async def _answer(self, asked: Asked) -> Response:
        device, member, server_id = asked.device, asked.member, next(self._transactions)
        try:
            result = call(device, member, asked.values, asked.client_id)
            if member.verb == "GET" and not isinstance(result, Picture):
                result = self._told(device, member, result)
        except AlpacaError as error:
            return self._refuse(asked, server_id, error.number, error.message)
        except Exception as error:
            log.exception("%s %s failed", device.name, member.name)
            message = f"{type(error).__name__} in the simulator: {error}"
            return self._refuse(asked, server_id, 0x500, message)
        if isinstance(result, Wait):
            try:
                await _end_of(result, device.clock)
            except AlpacaError as error:
                return self._refuse(asked, server_id, error.number, error.message)
            result = None
        if isinstance(result, Picture):
            as_bytes = asked.as_bytes
            return await run_in_threadpool(
                _picture, result.pixels, as_bytes, asked.transaction_id, server_id
            )
        body: dict[str, Any] = dict(envelope(asked.transaction_id, server_id))
        if member.verb == "GET" or result is not None:
            body = {"Value": result, **body}
        return JSONResponse(body)

    def _told(self, device: Device, member: Member, value: Any) -> Any:
        if member.name == "DeviceState":
            return self._faults.told_state(device, value)
        return self._faults.told(device, member.name, value)

    def _refuse(self, asked: Asked, server_id: int, number: int, message: str) -> Response:
        if asked.as_bytes:
            body = encode_error(number, message, asked.transaction_id, server_id)
            return Response(body, media_type=MEDIA_TYPE)
        return JSONResponse(envelope(asked.transaction_id, server_id, number, message))


async def _end_of(motion: Wait, clock: Clock) -> None:
    """Return when a motion has ended; raise `OperationCancelled` when it was stopped before."""
    while (left_s := motion.until_unix - clock.unix()) > 0.0:
        # In this order: at its end it is no longer under way.
        if not motion.goes_on() and clock.unix() < motion.until_unix:
            raise OperationCancelled("The slew was stopped by another order.")
        # In pieces: the clock may be set meanwhile.
        await asyncio.sleep(min(clock.machine_seconds(left_s), MOTION_LOOKS_S))


def _values(member: Member, arguments: Arguments) -> list[Value]:
    return [
        parameter.read(name, arguments.get(name)) for name, parameter in member.parameters.items()
    ]


def call(device: Device, member: Member, values: list[Value], client_id: int = 0) -> Any:
    """Call a member: first the connection, then the bounds, then the device itself."""
    if not member.offline:
        device.require_connection()
    for (name, parameter), value in zip(member.parameters.items(), values, strict=True):
        parameter.check(name, value)
    return member.answer(device, *([client_id] if member.by_client else []), *values)


def envelope(
    client_id: int, server_id: int, number: int = 0, message: str = ""
) -> dict[str, int | str]:
    """Return the fields that every reply has."""
    return {
        "ClientTransactionID": client_id,
        "ServerTransactionID": server_id,
        "ErrorNumber": number,
        "ErrorMessage": message,
    }


def _picture(
    pixels: NDArray[np.uint16], as_bytes: bool, client_id: int, server_id: int
) -> Response:
    if as_bytes:
        return StreamingResponse(
            _stream(pixels, client_id, server_id),
            media_type=MEDIA_TYPE,
            headers={"Content-Length": str(length(pixels))},
        )
    body = {
        "Type": INT32_TYPE,
        "Rank": 2,
        "Value": pixels.tolist(),
        **envelope(client_id, server_id),
    }
    return Response(json.dumps(body, separators=(",", ":")), media_type="application/json")


async def _stream(
    pixels: NDArray[np.uint16], client_id: int, server_id: int
) -> AsyncIterator[bytes]:
    for chunk in chunks(pixels, client_id, server_id):
        yield chunk
        # Other clients are answered while a large frame goes out.
        await asyncio.sleep(0)
