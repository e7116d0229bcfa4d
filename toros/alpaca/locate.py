"""Where a device is: as configured, or found by discovery when exactly one of its kind answers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from toros.alpaca import answers
from toros.alpaca.discovery import search
from toros.alpaca.http import Http
from toros.common.config import Device
from toros.common.errors import DeviceError, DeviceRefused, DeviceUnreachable

_log = logging.getLogger(__name__)

# What the configuration calls a device, where ASCOM has another name for it.
KEYS = {
    "telescope": "mount",
    "filterwheel": "filter_wheel",
    "safetymonitor": "safety_monitor",
    "observingconditions": "weather",
}


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
        return _url(server, kind, next(iter(numbers)))
    had = ", ".join(map(str, sorted(numbers))) or "none"
    raise DeviceUnreachable(f"{server} has no {kind} number {default} (it has: {had}).")


def _numbers(http: Http, server: str, kind: str) -> dict[int, str] | None:
    """Return a server's devices of `kind`, number and unique id; None if it does not tell."""
    what = f"{server} configureddevices"
    try:
        status, body = http.read(f"{server}/management/v1/configureddevices", {}, what=what)
        devices: list[dict[str, Any]] = answers.value_of(answers.parse(status, body, what), what)
        return {
            int(device["DeviceNumber"]): str(device.get("UniqueID", ""))
            for device in devices
            if str(device["DeviceType"]).casefold() == kind
        }
    except DeviceRefused:
        return None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DeviceError(f"{what}: the answer is not a list of devices.") from error


def discover(http: Http, kind: str) -> list[str]:
    """Return the URLs of all devices of `kind` whose servers answer on the local network."""
    try:
        servers = search()
    except OSError as error:
        raise DeviceUnreachable(f"discovery failed: {error.strerror or error}.") from error
    # A server on several networks answers on each: its devices are known by their unique ids.
    found: dict[str, str] = {}
    for server in servers:
        base = f"http://{server}"
        try:
            for number, unique in (_numbers(http, base, kind) or {}).items():
                url = _url(base, kind, number)
                found.setdefault(unique or url, url)
        except DeviceError as error:
            _log.warning("discovered %s, which does not say what it has: %s", base, error)
    return list(found.values())


def _discovered(kind: str, http: Http) -> str:
    found = discover(http, kind)
    if len(found) == 1:
        _log.info("%s found by discovery: %s", kind, found[0])
        return found[0]
    key = KEYS.get(kind, kind)
    if not found:
        raise DeviceUnreachable(
            f"no {key} is configured and none answers to discovery: name it as devices.{key}."
        )
    raise DeviceUnreachable(
        f"no {key} is configured and several answer to discovery ({', '.join(found)}): "
        f"name one as devices.{key}."
    )
