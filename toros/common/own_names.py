"""Settings under names of the user's own: of observatories, filters, classes of events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

Value = TypeVar("Value")


def value_of(values: Mapping[str, Value], name: str) -> Value | None:
    """Return what stands under `name`, or under the only other spelling that differs in case."""
    if name in values:
        return values[name]
    alike = [key for key in values if key.casefold() == name.casefold()]
    return values[alike[0]] if len(alike) == 1 else None
