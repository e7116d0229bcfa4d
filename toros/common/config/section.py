"""The base of every section of the configuration."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator, model_validator


class Section(BaseModel):
    """A mapping of the configuration: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

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


def _kinds(annotation: Any) -> set[Any]:
    """Return the types that a value of this annotation may have, seen through unions."""
    inner = [_kinds(item) for item in get_args(annotation)]
    return set().union(*inner) if inner else {annotation}
