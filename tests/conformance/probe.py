"""A client that checks the form of everything it is told."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

import pytest
import requests

NOT_IMPLEMENTED, INVALID, NOT_SET, OFFLINE, PARKED = 0x400, 0x401, 0x402, 0x407, 0x408
WRONG_STATE, NO_ACTION = 0x40B, 0x40C
RESERVED = range(0x400, 0x1000)
REPLY_KEYS = {"ClientTransactionID", "ServerTransactionID", "ErrorNumber", "ErrorMessage"}
POLL_S = 0.02


class Refused(Exception):
    """The device answered with an error."""

    def __init__(self, what: str, number: int, message: str) -> None:
        super().__init__(f"{what}: error 0x{number:X}: {message}")
        self.number = number


class Server:
    """An Alpaca server.

    Parameters
    ----------
    url : str
        Its base URL.
    fresh : bool
        Whether nobody has used it before us.
    wait_s : float
        How long its devices may take to finish what they began.
    """

    def __init__(self, url: str, fresh: bool, wait_s: float) -> None:
        self.url = url
        self.fresh = fresh
        self.wait_s = wait_s
        self.client_id = 4711
        self.transactions = itertools.count(1)
        self._session = requests.Session()
        self._session.trust_env = False

    def close(self) -> None:
        self._session.close()

    def request(self, verb: str, path: str, **more: Any) -> requests.Response:
        """Return the reply to any request, whatever its status."""
        return self._session.request(verb, f"{self.url}{path}", timeout=60, **more)

    @cached_property
    def listed(self) -> list[dict[str, Any]]:
        """The configured devices."""
        reply = self.request("GET", "/management/v1/configureddevices")
        assert reply.status_code == 200, reply.text
        value: list[dict[str, Any]] = reply.json()["Value"]
        return value

    def numbers(self, kind: str) -> list[int]:
        """Return the numbers of the devices of a kind.

        Of a server without the management API, which other tests find wanting, we only know
        whether it has a number 0.
        """
        if self.request("GET", "/management/v1/configureddevices").status_code != 200:
            return [0] if self.request("GET", f"/api/v1/{kind}/0/name").status_code == 200 else []
        return sorted(
            entry["DeviceNumber"] for entry in self.listed if entry["DeviceType"].lower() == kind
        )


class Probe:
    """One device."""

    def __init__(self, server: Server, kind: str, number: int) -> None:
        self.server = server
        self.kind = kind
        self.path = f"/api/v1/{kind}/{number}"

    def raw(self, verb: str, member: str, **more: Any) -> requests.Response:
        """Return the reply to any request to a member."""
        return self.server.request(verb, f"{self.path}/{member}", **more)

    def _ask(self, verb: str, member: str, fields: dict[str, Any]) -> Any:
        sent = next(self.server.transactions)
        ids = {"ClientID": self.server.client_id, "ClientTransactionID": sent}
        where = "params" if verb == "GET" else "data"
        reply = self.raw(verb, member.lower(), **{where: {**fields, **ids}})
        what = f"{self.kind} {verb} {member}"
        assert reply.status_code == 200, f"{what}: HTTP {reply.status_code} {reply.text[:200]}"
        body = reply.json()
        assert set(body) >= REPLY_KEYS, f"{what}: {sorted(REPLY_KEYS - set(body))} is missing"
        assert body["ClientTransactionID"] == sent, what
        assert body["ServerTransactionID"] >= 1, what
        if body["ErrorNumber"]:
            assert body["ErrorNumber"] in RESERVED, f"{what}: error {body['ErrorNumber']}"
            assert body["ErrorMessage"], f"{what}: an error without a message"
            raise Refused(what, body["ErrorNumber"], body["ErrorMessage"])
        assert body["ErrorMessage"] in ("", None), what
        if verb == "GET":
            assert "Value" in body, f"{what}: no Value"
        return body.get("Value")

    def get(self, member: str, **query: Any) -> Any:
        """Return the value of a member."""
        return self._ask("GET", member, query)

    def put(self, member: str, **form: Any) -> Any:
        """Order something that the device must take."""
        return self._ask("PUT", member, {key: _text(value) for key, value in form.items()})

    def set(self, member: str, value: Any) -> None:
        """Write a property."""
        self.put(member, **{member: value})

    def error(self, verb: str, member: str, **fields: Any) -> int:
        """Return the error number of a request, 0 if it succeeds.

        HTTP 400 is a value that is not understood, and means the same as an invalid one.
        """
        where = "params" if verb == "GET" else "data"
        texts = {key: _text(value) for key, value in fields.items()}
        if self.raw(verb, member.lower(), **{where: texts}).status_code == 400:
            return INVALID
        try:
            self._ask(verb, member, texts)
        except Refused as refused:
            return refused.number
        return 0

    def refuses(self, member: str, *numbers: int, verb: str = "PUT", **fields: Any) -> None:
        """Assert that a request is refused for one of the given reasons."""
        got = self.error(verb, member, **fields)
        expected = " or ".join(f"0x{number:X}" for number in numbers)
        assert got in numbers, f"{self.kind} {member} {fields}: error 0x{got:X}, not {expected}"

    def refuses_values(self, member: str, values: Iterable[Any]) -> None:
        """Assert that each of the values is invalid for a property."""
        for value in values:
            self.refuses(member, INVALID, **{member: value})

    def can(self, flag: str) -> bool:
        """Return a Can* flag."""
        value = self.get(flag)
        assert isinstance(value, bool), f"{flag} is {value!r}"
        return value

    def need(self, flag: str) -> None:
        """Skip the test unless the device can do something."""
        if not self.can(flag):
            pytest.skip(f"{flag} is false")

    def implements(self, member: str, **query: Any) -> bool:
        """Return whether a member can be read, or only fails as in this state it may."""
        return self.error("GET", member, **query) != NOT_IMPLEMENTED

    def wait(self, condition: Callable[[], Any], what: str) -> None:
        """Wait until the device has done something."""
        deadline = time.monotonic() + self.server.wait_s
        while not condition():
            assert time.monotonic() < deadline, f"{self.kind}: waited in vain for {what}"
            time.sleep(POLL_S)  # noqa: TID251 - a server of any make is only to be polled

    def ensure_connected(self) -> None:
        """Connect, if that has not been done."""
        if self.get("Connected"):
            return
        if self.get("InterfaceVersion") >= PLATFORM_7[self.kind]:
            self.put("Connect")
            self.wait(lambda: not self.get("Connecting"), "the connection")
        else:
            self.set("Connected", True)
        assert self.get("Connected") is True

    def roundtrip(self, member: str, value: Any, tolerance: float = 0.0) -> None:
        """Assert that what is written to a property is read from it."""
        self.set(member, value)
        got = self.get(member)
        assert got == pytest.approx(value, abs=tolerance), f"{member}: {got} after {value}"


PLATFORM_7 = {
    "telescope": 4,
    "camera": 4,
    "focuser": 4,
    "dome": 3,
    "filterwheel": 3,
    "safetymonitor": 3,
    "observingconditions": 2,
    "covercalibrator": 2,
}


def _text(value: Any) -> str:
    return str(value)


def turn(first_deg: float, last_deg: float) -> float:
    """Return the signed angle from one direction to another, degrees."""
    return math.remainder(last_deg - first_deg, 360.0)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
