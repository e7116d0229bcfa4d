"""What a test may ask and change: `/simulator/v1`."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from functools import wraps
from typing import Any, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from toros.common.clock import iso
from toros.simulator.faults import Fault, FaultBoard, FaultOrder
from toros.simulator.observatory import Observatory
from toros.simulator.weather import Step, check

LARGEST_BODY = 1 << 20
OrderT = TypeVar("OrderT", bound=BaseModel)
Answer = Callable[["SimulatorApi", Request], Awaitable[Response]]


class _Order(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WeatherOrder(_Order):
    """Weather at once; ``safe`` null: the monitor judges by the values."""

    model_config = ConfigDict(extra="forbid", strict=True)

    safe: bool | None = None
    values: dict[str, float] = {}


class StepOrder(_Order):
    """One step of a weather script."""

    model_config = ConfigDict(extra="forbid", strict=True)

    after_s: float = Field(default=0.0, ge=0)
    over_s: float = Field(default=0.0, ge=0)
    safe: bool | None = None
    values: dict[str, float] = {}


class ScriptOrder(_Order):
    """A weather script."""

    steps: tuple[StepOrder, ...] = Field(min_length=1, max_length=1000)
    every_s: float | None = Field(default=None, gt=0)
    times: int = Field(default=1, ge=1, le=1000)


class ClockOrder(_Order):
    """What time it is, or by how much it jumps, and at what pace it goes on."""

    time: AwareDatetime | None = None
    advance_s: float | None = Field(default=None, ge=0)
    rate: float | None = Field(default=None, gt=0, le=10000)


class RestartOrder(_Order):
    """How the server comes back, and perhaps on which date."""

    time: AwareDatetime | None = None
    down_s: float = Field(default=0.0, ge=0)
    shutter_unknown: bool = False
    azimuth_lost: bool = False


def _said(handler: Answer) -> Answer:
    """Let a `ValueError` be the reply: 400 and the sentence."""

    @wraps(handler)
    async def wrapped(self: SimulatorApi, request: Request) -> Response:
        try:
            return await handler(self, request)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            return _refuse(f"{where}: {first['msg']}" if where else first["msg"])
        except ValueError as error:
            return _refuse(str(error))

    return wrapped


class SimulatorApi:
    """The simulator's own API, beside Alpaca's.

    Parameters
    ----------
    observatory : Observatory
        The observatory.
    faults : FaultBoard
        Its faults.
    """

    def __init__(self, observatory: Observatory, faults: FaultBoard) -> None:
        self._observatory = observatory
        self._faults = faults

    def routes(self) -> list[Route]:
        """Return the routes."""
        root = "/simulator/v1"
        return [
            Route(f"{root}/truth", self.truth),
            Route(f"{root}/weather", self.weather, methods=["GET", "PUT"]),
            Route(f"{root}/weather/script", self.script, methods=["PUT"]),
            Route(f"{root}/clock", self.clock, methods=["GET", "PUT"]),
            Route(f"{root}/restart", self.restart, methods=["POST"]),
            Route(f"{root}/faults", self.faults, methods=["GET", "POST", "DELETE"]),
            Route(f"{root}/faults/{{number:int}}", self.fault, methods=["DELETE"]),
        ]

    async def truth(self, _request: Request) -> Response:
        """Return the settings, where everything is, and the truth of the last exposures."""
        observatory = self._observatory
        train, now = observatory.train(0), observatory.clock.unix()
        ra, dec, alt, azim = train.pointing(now)
        body = {
            "time": iso(observatory.clock.now()),
            "clock": asdict(observatory.clock.in_force),
            "site": asdict(observatory.observer),
            "settings": observatory.settings.model_dump(mode="json"),
            "telescope": {"ra_deg": ra, "dec_deg": dec, "alt_deg": alt, "azim_deg": azim},
            "dome": {
                "azim_deg": observatory.dome.true_azimuth(now),
                "shutter": observatory.dome.shutter(now),
                "light_fraction": train.light_fraction(now),
            },
            "exposures": [asdict(truth) for truth in list(observatory.camera.truths)],
        }
        return JSONResponse(body)

    @_said
    async def weather(self, request: Request) -> Response:
        """Return the weather; with PUT change it first."""
        weather = self._observatory.weather
        if request.method == "PUT":
            order = await _read(request, WeatherOrder)
            check(order.values)
            if order.values:
                weather.change(order.values)
            if "safe" in order.model_fields_set:
                weather.forced = order.safe
        return self._weather()

    @_said
    async def script(self, request: Request) -> Response:
        """Let the weather follow a script from now on, instead of any other."""
        order = await _read(request, ScriptOrder)
        steps = [
            Step(
                step.after_s,
                step.over_s,
                step.values,
                step.safe,
                judged="safe" in step.model_fields_set and step.safe is None,
            )
            for step in order.steps
        ]
        if [step.after_s for step in steps] != sorted(step.after_s for step in steps):
            raise ValueError("steps: they must be in the order of after_s")
        if order.times > 1 and (order.every_s is None or order.every_s < steps[-1].after_s):
            raise ValueError("every_s: a script that is repeated wants to know after how long")
        self._observatory.weather.play(steps, every_s=order.every_s or 0.0, times=order.times)
        return self._weather()

    def _weather(self) -> Response:
        weather = self._observatory.weather
        return JSONResponse(
            {
                "safe": weather.safe,
                "unsafe_because": weather.unsafe_because(),
                "forced": weather.forced,
                "values": weather.values(),
            }
        )

    @_said
    async def clock(self, request: Request) -> Response:
        """Return the clock; with PUT set it first. It never goes back."""
        clock = self._observatory.clock
        if request.method == "PUT":
            order = await _read(request, ClockOrder)
            moment: datetime | None = order.time
            if order.advance_s is not None:
                if moment is not None:
                    raise ValueError("time and advance_s: one or the other")
                moment = datetime.fromtimestamp(clock.unix() + order.advance_s, clock.now().tzinfo)
            if moment is not None and moment < clock.now():
                raise ValueError("time: it cannot go back but by a restart")
            clock.set(moment, order.rate)
        return JSONResponse({"time": iso(clock.now()), "rate": clock.in_force.rate})

    @_said
    async def restart(self, request: Request) -> Response:
        """Let the server be gone and come back without its state."""
        order = await _read(request, RestartOrder)
        if order.time is not None:
            # Another night: what moved in this one has not moved in that, and nothing is wrong yet.
            self._faults.clear()
            self._observatory.clock.set(order.time)
        self._observatory.restart(
            order.down_s, shutter_unknown=order.shutter_unknown, azimuth_lost=order.azimuth_lost
        )
        return JSONResponse({"down_s": order.down_s})

    @_said
    async def faults(self, request: Request) -> Response:
        """Return the faults in force; with POST add one, with DELETE clear all."""
        if request.method == "POST":
            fault = self._faults.add(await _read(request, FaultOrder))
            return JSONResponse(self._shown(fault), 201)
        if request.method == "DELETE":
            return JSONResponse({"cleared": self._faults.clear()})
        return JSONResponse([self._shown(fault) for fault in self._faults.listed()])

    async def fault(self, request: Request) -> Response:
        """Clear one fault."""
        number = int(request.path_params["number"])
        if not self._faults.clear(number):
            return _refuse(f"there is no fault {number}", 404)
        return JSONResponse({"cleared": 1})

    def _shown(self, fault: Fault) -> dict[str, Any]:
        left = fault.until_unix - self._observatory.clock.unix()
        order = fault.order.model_dump(mode="json", exclude_unset=True)
        remaining = {"remaining_s": round(left, 3) if math.isfinite(left) else None}
        return {"id": fault.id, **order, "hits": fault.hits, **remaining}


def _refuse(message: str, status: int = 400) -> Response:
    return JSONResponse({"error": message}, status)


async def _read(request: Request, kind: type[OrderT]) -> OrderT:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise ValueError("the body is too long")
    return kind.model_validate_json(bytes(body))
