"""The base of every section of the configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator

_CENTURY_S = 100 * 365.25 * 86400.0
# How names end that carry a unit of time, and how long it is.
_SECONDS_IN = {"s": 1.0, "h": 3600.0, "hours": 3600.0, "days": 86400.0}


class Section(BaseModel):
    """A mapping of the configuration: unknown keys are errors, values do not change.

    Every number is finite, and every time is at most a century: dates and waits can take no more.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False
    )

    @model_validator(mode="before")
    @classmethod
    def _empty(cls, value: Any) -> Any:
        """Take a section of which only the name is written for one of defaults."""
        return {} if value is None else value

    @field_validator("*", mode="before")
    @classmethod
    def _yes_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse YAML's yes and no where a number is wanted: pydantic takes them for 1 and 0."""
        if isinstance(value, bool) and info.field_name is not None:
            kinds = _kinds(cls.model_fields[info.field_name].annotation)
            if bool not in kinds and kinds & {int, float}:
                raise ValueError("input should be a number")
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _no_home(cls, value: Any) -> Any:
        """Refuse a path of somebody's home: whose, a service cannot know."""
        if isinstance(value, Path) and value.parts[:1] and value.parts[0].startswith("~"):
            raise ValueError("~ is not known to a service: write the whole path")
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _within_a_century(cls, value: Any, info: ValidationInfo) -> Any:
        unit = (info.field_name or "").rpartition("_")[2]
        if unit in _SECONDS_IN and isinstance(value, int | float):
            longest = _CENTURY_S / _SECONDS_IN[unit]
            if value > longest:
                raise ValueError(f"input should be less than or equal to {longest:.0f}, a century")
        return value


def _kinds(annotation: Any) -> set[Any]:
    """Return the types that a value of this annotation may have, seen through unions."""
    inner = [_kinds(item) for item in get_args(annotation)]
    return set().union(*inner) if inner else {annotation}
