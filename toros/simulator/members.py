"""The vocabulary in which each device declares its Alpaca members.

A device has one table. An entry names a member, says whether it is read (GET) or written (PUT),
what parameters it takes and within which bounds, and which function answers. The protocol layer
knows nothing else of a device.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from toros.simulator.errors import BadRequest, InvalidValue, NotImplementedByDevice

Verb = Literal["GET", "PUT"]
Value = str | int | float | bool


@dataclass(frozen=True)
class Wait:
    """An answer that is given only when a motion has ended (the old blocking methods).

    Parameters
    ----------
    until_unix : float
        When it ends.
    goes_on : callable
        Returns whether, before that time, it is still under way: nothing stopped it.
    """

    until_unix: float
    goes_on: Callable[[], bool]


@dataclass(frozen=True)
class Picture:
    """An answer that is an image: uint16, indexed ``[x][y]``."""

    pixels: NDArray[np.uint16]


@dataclass(frozen=True)
class Parameter:
    """How the text of one parameter becomes a value.

    Parameters
    ----------
    parse : callable
        From text; raises `ValueError` for what cannot be read.
    low, high : float, optional
        Inclusive bounds; outside them the reply is "invalid value".
    below : float, optional
        Exclusive upper bound.
    required : bool
        Whether leaving it out is malformed; else it is the empty text.
    """

    parse: Callable[[str], Value]
    low: float | None = None
    high: float | None = None
    below: float | None = None
    required: bool = True

    def read(self, name: str, text: str | None) -> Value:
        """Return the value of `text`; raise `BadRequest` if it is missing or unreadable."""
        if text is None or (not text.strip() and self.required):
            if self.required:
                raise BadRequest(f"Parameter {name} is missing or empty.")
            return ""
        try:
            return self.parse(text.strip())
        except ValueError:
            raise BadRequest(f"Parameter {name} cannot be read: {text[:40]!r}.") from None

    def check(self, name: str, value: Value) -> None:
        """Raise `InvalidValue` if `value` is out of bounds."""
        if isinstance(value, str):
            return
        too_low = self.low is not None and value < self.low
        too_high = (self.high is not None and value > self.high) or (
            self.below is not None and value >= self.below
        )
        if too_low or too_high:
            upper = self.high if self.high is not None else self.below
            raise InvalidValue(f"{name} = {value} is outside {self.low} to {upper}.")


def _parse_integer(text: str) -> int:
    if not text.lstrip("+-").isascii() or "_" in text:
        raise ValueError(text)
    return int(text)


def _parse_real(text: str) -> float:
    if "_" in text:
        raise ValueError(text)
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _parse_moment(text: str) -> str:
    datetime.fromisoformat(text)  # or ValueError
    return text


def _parse_boolean(text: str) -> bool:
    try:
        return {"true": True, "false": False}[text.lower()]
    except KeyError:
        raise ValueError(text) from None


def integer(low: int | None = None, high: int | None = None) -> Parameter:
    """Return an integer parameter within inclusive bounds."""
    return Parameter(_parse_integer, low, high)


def real(
    low: float | None = None, high: float | None = None, *, below: float | None = None
) -> Parameter:
    """Return a parameter that is a finite number within bounds."""
    return Parameter(_parse_real, low, high, below)


def boolean() -> Parameter:
    """Return a parameter that is True or False, in any case."""
    return Parameter(_parse_boolean)


def moment() -> Parameter:
    """Return a parameter that is a date and time in ISO 8601; the value is its text."""
    return Parameter(_parse_moment)


def text(*, required: bool = True) -> Parameter:
    """Return a parameter that is text."""
    return Parameter(str, required=required)


@dataclass(frozen=True)
class Member:
    """One entry of a device's table.

    Parameters
    ----------
    name : str
        As in the interface specification, such as ``SlewToAzimuth``.
    verb : "GET" or "PUT"
        A property that can be written has two entries.
    answer : callable
        Takes the device and the parameters by position; returns the value, if there is one.
    parameters : mapping
        By name, in the order `answer` takes them.
    offline : bool
        Whether it answers without a connection.
    by_client : bool
        Whether `answer` takes the client's number before the parameters.
    """

    name: str
    verb: Verb
    answer: Callable[..., Any]
    parameters: Mapping[str, Parameter]
    offline: bool = False
    by_client: bool = False


Answer = Callable[..., Any]


def read(name: str, answer: Answer, **parameters: Parameter) -> Member:
    """Return a member that is read."""
    return Member(name, "GET", answer, parameters)


def write(name: str, answer: Answer, **parameters: Parameter) -> Member:
    """Return a member that is written or done."""
    return Member(name, "PUT", answer, parameters)


def always(*members: Member) -> list[Member]:
    """Return members that answer even without a connection."""
    return [replace(member, offline=True) for member in members]


def by_client(*members: Member) -> list[Member]:
    """Return members whose answer depends on who asks."""
    return [replace(member, by_client=True) for member in members]


def constant(**values: object) -> list[Member]:
    """Return members that always read the same."""
    return [read(name, lambda _device, value=value: value) for name, value in values.items()]


def absent(name: str, verb: Verb = "GET", **parameters: Parameter) -> Member:
    """Return a member that the device does not implement."""

    def refuse(device: object, *_values: Value) -> None:
        raise NotImplementedByDevice(f"{type(device).__name__} does not implement {name}.")

    return Member(name, verb, refuse, parameters)


class MemberTable:
    """The members of one device.

    Parameters
    ----------
    entries : iterable of Member or list of Member
        A later entry replaces an earlier one of the same name and verb.
    """

    def __init__(self, entries: Iterable[Member | list[Member]]) -> None:
        self._members: dict[tuple[str, str], Member] = {}
        for entry in entries:
            for member in entry if isinstance(entry, list) else [entry]:
                self._members[member.name.lower(), member.verb] = member

    def find(self, path: str, verb: str) -> Member | None:
        """Return the member at a (lower-case) path, or None."""
        return self._members.get((path, verb))

    def knows(self, path: str) -> bool:
        """Return whether there is a member at a path, whatever the verb."""
        return (path, "GET") in self._members or (path, "PUT") in self._members

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def joined(self, entries: Iterable[Member | list[Member]]) -> MemberTable:
        """Return a table with `entries` added."""
        return MemberTable([*self._members.values(), *entries])
