"""Where a device is: as configured, or found by discovery when exactly one of its kind answers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from alpaca import discovery

from toros.alpaca import answers
from toros.alpaca.http import Http
from toros.common.config import Device
from toros.common.errors import DeviceError, DeviceRefused, DeviceUnreachable

_log = logging.getLogger(__name__)


def locator(kind: str, address: Device | None) -> Callable[[Http], str]:
    """Return a function that finds the URL of a device.

    Parameters
    ----------
    kind : str
        The ASCOM device type in lower case.
    address : Device or None
        What the configuration says; None: to be discovered.
    """
    if address is None:
        return lambda http: _discovered(kind, http)
    # A number that was not written down is a default, and some servers number as they like.
    number = address.number if "number" in address.model_fields_set else None
    server = address.alpaca.rstrip("/").replace("//localhost", "//127.0.0.1")
    return lambda http: _configured(kind, http, server, number, address.number)


def _url(server: str, kind: str, number: int) -> str:
    return f"{server}/api/v1/{kind}/{number}"


def _configured(kind: str, http: Http, server: str, number: int | None, default: int) -> str:
    if number is not None:
        return _url(server, kind, number)
    numbers = _numbers(http, server, kind)
    if numbers is None or default in numbers:
        return _url(server, kind, default)
    if len(numbers) == 1:
        return _url(server, kind, numbers[0])
    had = ", ".join(map(str, numbers)) or "none"
    raise DeviceUnreachable(f"{server} has no {kind} number {default} (it has: {had}).")


def _numbers(http: Http, server: str, kind: str) -> list[int] | None:
    """Return the numbers of a server's devices of `kind`; None if it does not tell."""
    what = f"{server} configureddevices"
    try:
        status, body = http.read(f"{server}/management/v1/configureddevices", {}, what=what)
        devices: list[dict[str, Any]] = answers.value_of(answers.parse(status, body, what), what)
        return sorted(
            int(device["DeviceNumber"])
            for device in devices
            if str(device["DeviceType"]).casefold() == kind
        )
    except DeviceRefused:
        return None
    except (KeyError, TypeError, ValueError) as error:
        raise DeviceError(f"{what}: the answer is not a list of devices.") from error


def discover(http: Http, kind: str) -> list[str]:
    """Return the URLs of all devices of `kind` whose servers answer on the local network."""
    found: list[str] = []
    try:
        servers = discovery.search_ipv4(numquery=1, timeout=1)
    except OSError as error:
        raise DeviceUnreachable(f"discovery failed: {error.strerror or error}.") from error
    for server in servers:
        base = f"http://{server}"
        try:
            found += [_url(base, kind, number) for number in _numbers(http, base, kind) or []]
        except DeviceError as error:
            _log.warning("discovered %s, which does not say what it has: %s", base, error)
    return found


def _discovered(kind: str, http: Http) -> str:
    found = discover(http, kind)
    if len(found) == 1:
        _log.info("%s found by discovery: %s", kind, found[0])
        return found[0]
    if not found:
        raise DeviceUnreachable(
            f"no {kind} is configured and none answers to discovery: name it under devices."
        )
    raise DeviceUnreachable(
        f"no {kind} is configured and several answer to discovery ({', '.join(found)}): "
        "name one under devices."
    )
