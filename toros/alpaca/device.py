"""What the careful devices share."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from toros.alpaca.answers import is_not_implemented
from toros.alpaca.http import Limits
from toros.alpaca.link import Link
from toros.alpaca.locate import locator
from toros.common.clock import Clock
from toros.common.config import Device
from toros.common.errors import DeviceError, DeviceRefused

_Members = TypeVar("_Members")
_Value = TypeVar("_Value")


class AlpacaDevice(Generic[_Members]):
    """One device: its alpyca members behind a link, and the observatory's clock."""

    def __init__(
        self,
        kind: str,
        members: Callable[[Link], _Members],
        address: Device | None,
        clock: Clock,
        limits: Limits | None = None,
    ) -> None:
        self._link = Link(kind, locator(kind, address), limits)
        self._members = members(self._link)
        self._clock = clock

    def close(self) -> None:
        """Let go of the connections. The device stays as it is."""
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def number(value: Any, what: str) -> float:
    """Return a reading as a finite number, or raise `DeviceError`: servers answer null, or text."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DeviceError(f"{what}: {value!r} is no number.")
    return float(value)


def truth(value: Any, what: str) -> bool:
    """Return a reading that must be true or false."""
    if not isinstance(value, bool):
        raise DeviceError(f"{what}: {value!r} is neither true nor false.")
    return value


def optional(read: Callable[[], _Value]) -> _Value | None:
    """Return what `read` gives, or None if the device does not have that member."""
    try:
        return read()
    except DeviceRefused as error:
        if is_not_implemented(error):
            return None
        raise
