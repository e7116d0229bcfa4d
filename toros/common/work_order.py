"""The envelope: every order that enters a front desk, and every reply that leaves it."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import itertools
import json
import math
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import uuid4

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    StrictStr,
    ValidationError,
)

from toros.common.clock import iso
from toros.common.errors import InvalidField, TorosError

Json = None | bool | int | float | str | list[Any] | dict[str, Any]

MAX_WAIT_S = 300.0
MAX_DEPTH = 20
MAX_ID = 200
# Ids of our own making: unique over processes and nodes, and cheap.
_PROCESS = uuid4().hex[:16]
_COUNT = itertools.count(1)


class OrderStatus(StrEnum):
    """What became of an order."""

    COMPLETED = "completed"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    CANCELLED = "cancelled"


def as_utc(moment: datetime) -> datetime:
    """Return `moment` in UTC; a time that names no zone is taken as UTC, as the contract says."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


UtcTime = Annotated[datetime, AfterValidator(as_utc)]


def _is_id(value: object) -> object:
    """Refuse what is no id in one sentence: a union would name each kind that it is not."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("must be a string or an integer")  # noqa: TRY004 - as pydantic wants it
    if not 1 <= len(str(value)) <= MAX_ID:
        raise ValueError(f"must have 1 to {MAX_ID} characters")
    return value


OrderId = Annotated[StrictStr | StrictInt, BeforeValidator(_is_id)]


class WorkOrder(BaseModel):
    """One order: the envelope's own keys, and in `fields` those of the request."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: OrderId | None = None
    request: Annotated[StrictStr, Field(min_length=1, max_length=100)]
    datetime: UtcTime | None = None
    user: Annotated[StrictStr, Field(max_length=200)] | None = None
    priority: Annotated[float, Field(ge=0, le=10)] | None = None
    wait: Annotated[float, Field(ge=0, le=MAX_WAIT_S)] | None = None
    fields: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def read(cls, struct: object) -> WorkOrder:
        """Return the order that a client's struct holds, with an id of ours if it has none.

        Raises
        ------
        InvalidField
            When it is not a struct, or a key of the envelope is missing or of the wrong kind.
        """
        if not isinstance(struct, dict):
            raise InvalidField(
                f"A work order is a struct with at least the key 'request', not {_kind(struct)}."
            )
        own = {key: struct[key] for key in _ENVELOPE if key in struct}
        rest = {str(key): _as_json(value) for key, value in struct.items() if key not in _ENVELOPE}
        if own.get("id") is None:
            own["id"] = f"{_PROCESS}-{next(_COUNT)}"
        try:
            return cls(**own, fields=rest)
        except ValidationError as error:
            raise InvalidField(explain(error, "Work order")) from error

    @property
    def key(self) -> str:
        """The identity under which the journal keeps the order."""
        return str(self.id)

    def sent_by(self, name: str | None) -> WorkOrder:
        """Return the order in the name of its sender, where it is known who that is.

        Raises
        ------
        InvalidField
            When the order names another user.
        """
        if name is None or name == self.user:
            return self
        if self.user is not None:
            raise InvalidField(
                f"Work order: field 'user' says '{self.user}', but you are '{name}'."
            )
        return self.model_copy(update={"user": name})

    def digest(self, request: str) -> str:
        """Return the sha256 of the order's content.

        Parameters
        ----------
        request : str
            The canonical name of the request, so that spellings do not matter. When an order was
            written and how long its sender waits are matters of delivery, not of content.
        """
        content = {
            "request": request,
            "user": self.user,
            "priority": self.priority,
            "fields": self.fields,
        }
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


_ENVELOPE = frozenset(WorkOrder.model_fields) - {"fields"}


class Reply(BaseModel):
    """What a front desk answers, always a struct of these keys."""

    model_config = ConfigDict(frozen=True)

    id: str | int | None
    module: str
    request: str
    status: OrderStatus
    code: int = 0
    message: str = ""
    result: Any = None
    datetime: str

    def as_struct(self) -> dict[str, Any]:
        """Return the reply as it goes over the wire."""
        return {**vars(self), "status": self.status.value}

    @classmethod
    def refusal(
        cls, module: str, order: WorkOrder | None, error: TorosError, now: dt.datetime
    ) -> Reply:
        """Return the reply to an order that is not taken."""
        return cls(
            id=order.id if order else None,
            module=module,
            request=order.request if order else "",
            status=OrderStatus.REJECTED,
            code=error.code,
            message=error.message,
            datetime=iso(now),
        )


def explain(error: ValidationError, what: str) -> str:
    """Return one sentence that names each wrong field and what was wrong with it."""
    parts = []
    for item in error.errors(include_url=False):
        where = ".".join(str(part) for part in item["loc"]) or "content"
        if item["type"] == "extra_forbidden":
            parts.append(f"unknown field '{where}'")
        elif item["type"] == "missing":
            parts.append(f"field '{where}' is missing")
        else:
            text = item["msg"].removeprefix("Value error, ")
            parts.append(f"field '{where}': {text[:1].lower()}{text[1:]}")
    return f"{what}: {'; '.join(parts)}."


def _kind(value: object) -> str:
    names = {list: "an array", tuple: "an array", str: "a string", type(None): "nil"}
    return names.get(type(value), f"a value of type {type(value).__name__}")


def _as_json(value: object, depth: int = 0) -> Json:
    """Return `value` in JSON's types, since the journal keeps orders as JSON.

    XML-RPC's base64 becomes base64 text and its dateTime ISO 8601.
    """
    if depth > MAX_DEPTH:
        raise InvalidField(f"Work order: fields are nested more than {MAX_DEPTH} levels deep.")
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            if not math.isfinite(value):
                raise InvalidField(f"Work order: {value} is not a finite number.")
            return value
        case datetime():
            return iso(as_utc(value))
        case bytes():
            return base64.b64encode(value).decode()
        case dict():
            return {str(key): _as_json(item, depth + 1) for key, item in value.items()}
        case list() | tuple():
            return [_as_json(item, depth + 1) for item in value]
    raise InvalidField(f"Work order: {_kind(value)} cannot be a field.")
