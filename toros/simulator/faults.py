"""Faults on demand: what is wrong with which device, until when.

Faults of the wire (`hang`, `slow`, `refuse`, `drop`, `garbage`, `wrong_value`, `frozen_value`) are
looked up by the protocol for each request. Faults of the metal (`stuck`, `lost_steps`) are told to
the device when they begin and when they are cleared early.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from toros.common.clock import Clock
from toros.simulator.devices.base import Device

METAL = ("stuck", "lost_steps")
VALUES = ("wrong_value", "frozen_value")
Kind = Literal[
    "hang",
    "slow",
    "refuse",
    "drop",
    "garbage",
    "wrong_value",
    "frozen_value",
    "stuck",
    "lost_steps",
]


class FaultOrder(BaseModel):
    """A fault as it is ordered: the body of ``POST /simulator/v1/faults``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fault: Kind
    device: str | None = Field(
        default=None, description="Kind of device, as in its URL; left out: every device."
    )
    number: int | None = Field(default=None, ge=0, description="Left out: every number.")
    member: str | None = Field(
        default=None,
        description="Alpaca member, or for stuck and lost_steps the part; left out: every one.",
    )
    method: Literal["GET", "PUT"] | None = Field(default=None, description="Left out: both.")
    duration_s: float | None = Field(
        default=None, gt=0, description="Observatory seconds; left out: until it is cleared."
    )
    count: int | None = Field(
        default=None, ge=1, description="How many requests it hits; left out: every one."
    )
    done: bool = Field(
        default=False, description="hang, drop, garbage: the order is carried out all the same."
    )
    delay_s: float = Field(
        default=5.0, gt=0, description="slow: machine seconds, as a client's time-outs are."
    )
    error: int = Field(
        default=0x500, ge=0x400, le=0xFFF, description="refuse: the Alpaca error number."
    )
    message: str = Field(default="A fault was ordered.", description="refuse: what it says.")
    status: int | None = Field(
        default=None, ge=300, le=599, description="refuse: an HTTP status, instead of an error."
    )
    value: JsonValue = Field(default=None, description="wrong_value: what is said.")
    add: float | None = Field(default=None, description="wrong_value: added to what is true.")
    amount: float | None = Field(
        default=None, description="lost_steps: error of each move, in the part's own unit."
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.fault == "lost_steps" and self.amount is None:
            raise ValueError("lost_steps wants an amount")
        if self.fault in VALUES and not self.member:
            raise ValueError(f"{self.fault} wants a member")
        if self.fault == "wrong_value" and not {"value", "add"} & self.model_fields_set:
            raise ValueError("wrong_value wants a value, or what to add")
        if self.fault in METAL and self.device is None:
            raise ValueError(f"{self.fault} wants a device")
        return self


@dataclass
class Fault:
    """A fault in force.

    Parameters
    ----------
    id : int
        By which it is cleared.
    order : FaultOrder
        What was ordered.
    until_unix : float
        When it ends by itself.
    """

    id: int
    order: FaultOrder
    until_unix: float
    hits: int = 0
    cleared: bool = False
    frozen: dict[tuple[str, int], Any] = field(default_factory=dict)

    def hits_request(self, device: Device, member: str, method: str) -> bool:
        """Return whether a request to a member is meant."""
        order = self.order
        return (
            order.fault not in METAL
            and order.device in (None, device.kind)
            and order.number in (None, device.number)
            and (order.member is None or order.member.lower() == member.lower())
            and order.method in (None, method)
        )


class FaultBoard:
    """The faults in force.

    Parameters
    ----------
    devices : mapping
        By kind and number.
    clock : Clock
        The observatory's time.
    """

    def __init__(self, devices: Mapping[tuple[str, int], Device], clock: Clock) -> None:
        self._devices = devices
        self._clock = clock
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._faults: list[Fault] = []

    def add(self, order: FaultOrder) -> Fault:
        """Let a fault begin; raise `ValueError` if there is nothing that it could happen to."""
        targets = self._targets(order)
        if order.device is not None and not targets:
            number = "" if order.number is None else f" {order.number}"
            raise ValueError(f"there is no device {order.device}{number}")
        now = self._clock.unix()
        until = math.inf if order.duration_s is None else now + order.duration_s
        if order.fault in METAL:
            self._begin(order, until)
        with self._lock:
            fault = Fault(next(self._numbers), order, until)
            self._faults.append(fault)
        return fault

    def _begin(self, order: FaultOrder, until: float) -> None:
        """Tell the parts that it is about; raise `ValueError` if there is none."""
        found = False
        for device in self._targets(order):
            known = device.parts if order.fault == "stuck" else device.slipping_parts
            for part in known:
                if order.member not in (None, part):
                    continue
                found = True
                if order.fault == "stuck":
                    device.jam(part, until)
                else:
                    device.slip(part, order.amount or 0.0, until)
        if not found:
            what = f"no part of a {order.device}" if order.member is None else repr(order.member)
            raise ValueError(f"{order.fault}: {what} can have it")

    def _targets(self, order: FaultOrder) -> list[Device]:
        return [
            device
            for (kind, number), device in self._devices.items()
            if kind == order.device and order.number in (None, number)
        ]

    def listed(self) -> list[Fault]:
        """Return the faults in force, oldest first."""
        now = self._clock.unix()
        with self._lock:
            self._faults = [fault for fault in self._faults if _in_force(fault, now)]
            return list(self._faults)

    def active(self, fault: Fault) -> bool:
        """Return whether a fault is still in force."""
        return not fault.cleared and self._clock.unix() < fault.until_unix

    def clear(self, number: int | None = None) -> int:
        """End one fault, or all; return how many there were."""
        ended = [fault for fault in self.listed() if number in (None, fault.id)]
        for fault in ended:
            fault.cleared = True
            if fault.order.fault in METAL:
                self._begin(fault.order, -math.inf)
        # Of two faults of one part the other must not end with the first.
        for fault in self.listed():
            if fault.order.fault in METAL:
                self._begin(fault.order, fault.until_unix)
        return len(ended)

    def take(self, device: Device, member: str, method: str) -> Fault | None:
        """Return the fault that this request meets, if any, and count the hit."""
        for fault in self.listed():
            if fault.order.fault not in VALUES and fault.hits_request(device, member, method):
                return self._hit(fault)
        return None

    def _hit(self, fault: Fault) -> Fault | None:
        with self._lock:
            if fault.order.count is not None and fault.hits >= fault.order.count:
                return None
            fault.hits += 1
            return fault

    def told(self, device: Device, member: str, value: Any) -> Any:
        """Return what is said instead of the value of a member; the value itself without fault."""
        for fault in self.listed():
            if fault.order.fault in VALUES and fault.hits_request(device, member, "GET"):
                if self._hit(fault) is None:
                    continue
                if fault.order.fault == "frozen_value":
                    return fault.frozen.setdefault((device.kind, device.number), value)
                if fault.order.add is not None:
                    return value + fault.order.add
                return fault.order.value
        return value

    def told_state(self, device: Device, state: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return a DeviceState with the wrong values in it."""
        return [
            {**entry, "Value": self.told(device, entry["Name"], entry["Value"])} for entry in state
        ]


def _in_force(fault: Fault, now: float) -> bool:
    spent = fault.order.count is not None and fault.hits >= fault.order.count
    # A hang that was met for the last time still hangs; the protocol asks `active` about it.
    return not fault.cleared and now < fault.until_unix and not spent
