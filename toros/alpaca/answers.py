"""What an Alpaca server answers, and which of our errors it means.

alpyca's own exception of each ASCOM error number is kept as the cause of ours, so that a caller
can tell "not implemented" (`is_not_implemented`) from "not now".
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from alpaca import exceptions as ascom

from toros.common.errors import DeviceError, DeviceRefused
from toros.common.wire import printable

_ASCOM: dict[int, type[Exception]] = {
    0x400: ascom.NotImplementedException,
    0x401: ascom.InvalidValueException,
    0x402: ascom.ValueNotSetException,
    0x407: ascom.NotConnectedException,
    0x408: ascom.ParkedException,
    0x409: ascom.SlavedException,
    0x40B: ascom.InvalidOperationException,
    0x40C: ascom.ActionNotImplementedException,
    0x40E: ascom.OperationCancelledException,
}
_MOST_TEXT = 200


def raise_for_number(number: int, text: str, what: str) -> None:
    """Raise `DeviceRefused`, caused by alpyca's exception, if `number` is an ASCOM error."""
    if number == 0:
        return
    text = printable(text)
    known = _ASCOM.get(number)
    cause = known(text) if known else ascom.DriverException(number, text)
    raise DeviceRefused(f"{what}: {text or 'no reason given'} (error 0x{number:X}).") from cause


def parse(status: int, body: bytes, what: str) -> dict[str, Any]:
    """Return the JSON object of an answer.

    Parameters
    ----------
    status : int
        The HTTP status.
    body : bytes
        The body.
    what : str
        Which member of which device was asked, for the message.

    Raises
    ------
    DeviceRefused
        The device refuses: an ASCOM error, or HTTP 4xx (a bad value is 400 on some servers, 422
        or 0x401 on others; a missing member is 404).
    DeviceError
        The answer makes no sense, or the server itself failed.
    """
    # What a device says goes into journal and mails, which cannot hold every byte of it.
    text = printable(body[:_MOST_TEXT].decode("utf-8", "replace").strip())
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise DeviceError(f"{what}: the server failed with HTTP {status} {text}.")
    if status >= HTTPStatus.BAD_REQUEST:
        cause = ascom.AlpacaRequestException(status, text)
        raise DeviceRefused(f"{what}: HTTP {status} {text}.") from cause
    try:
        answer = json.loads(body)
        number = int(answer.get("ErrorNumber", 0))
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise DeviceError(f"{what}: the answer is not Alpaca JSON: {text!r}.") from error
    raise_for_number(number, str(answer.get("ErrorMessage", "")), what)
    result: dict[str, Any] = answer
    return result


def value_of(answer: dict[str, Any], what: str) -> Any:
    """Return the ``Value`` of a successful answer."""
    try:
        return answer["Value"]
    except KeyError as error:
        raise DeviceError(f"{what}: the answer holds no Value.") from error


def is_not_implemented(error: BaseException) -> bool:
    """Return whether a device refused because it does not have that member at all."""
    cause = error.__cause__
    if isinstance(cause, ascom.AlpacaRequestException):
        return bool(cause.number in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED))
    return isinstance(cause, ascom.NotImplementedException)


def is_not_set(error: BaseException) -> bool:
    """Return whether a device refused because it has no value yet."""
    return isinstance(error.__cause__, ascom.ValueNotSetException | ascom.InvalidOperationException)


def is_not_connected(error: BaseException) -> bool:
    """Return whether a device refused because it is not connected to its hardware."""
    return isinstance(error.__cause__, ascom.NotConnectedException)
