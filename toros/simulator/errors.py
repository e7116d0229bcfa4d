"""What a device answers when it cannot do as asked: the error numbers of ASCOM Alpaca.

These travel to the client inside a reply of HTTP status 200. They are not `TorosError`: they are
the simulated hardware's words, not failures of ours.
"""

from __future__ import annotations

from typing import ClassVar


class AlpacaError(Exception):
    """An error of a device; `number` is what the reply carries."""

    number: ClassVar[int] = 0x500

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotImplementedByDevice(AlpacaError):
    """The device has no such member."""

    number = 0x400


class InvalidValue(AlpacaError):
    """A value is out of range."""

    number = 0x401


class ValueNotSet(AlpacaError):
    """The value was never set."""

    number = 0x402


class NotConnected(AlpacaError):
    """The device is not connected."""

    number = 0x407


class Parked(AlpacaError):
    """The device is parked."""

    number = 0x408


class InvalidOperation(AlpacaError):
    """The device cannot do that in the state it is in."""

    number = 0x40B


class ActionNotImplemented(AlpacaError):
    """The device has no such action."""

    number = 0x40C


class OperationCancelled(AlpacaError):
    """What the caller waits for was stopped by another order."""

    number = 0x40E


class BadRequest(Exception):
    """The request itself is malformed: HTTP status 400."""
