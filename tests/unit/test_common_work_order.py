from __future__ import annotations

import math
import xmlrpc.client
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toros.common.errors import InvalidField
from toros.common.wire import Malformed, read_call, write_reply
from toros.common.work_order import WorkOrder

# XML folds carriage returns into line feeds.
TEXT = st.text(st.characters(exclude_characters="\r"), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("struct", "message"),
    [
        (None, "A work order is a struct with at least the key 'request', not nil."),
        ([1], "A work order is a struct with at least the key 'request', not an array."),
        ("status", "A work order is a struct with at least the key 'request', not a string."),
        ({}, "Work order: field 'request' is missing."),
        ({"request": 3}, "Work order: field 'request': input should be a valid string."),
        ({"request": "x", "priority": 11}, "Work order: field 'priority': input should be less"),
        ({"request": "x", "wait": 301}, "Work order: field 'wait': input should be less than"),
        ({"request": "x", "azim": math.nan}, "Work order: nan is not a finite number."),
    ],
)
def test_a_bad_envelope_is_explained(struct: Any, message: str) -> None:
    with pytest.raises(InvalidField) as caught:
        WorkOrder.read(struct)
    assert str(caught.value).startswith(message)


def test_a_deep_field_is_refused() -> None:
    value: Any = 1
    for _ in range(30):
        value = [value]
    with pytest.raises(InvalidField, match="nested more than 20 levels"):
        WorkOrder.read({"request": "x", "deep": value})


def test_naive_times_are_utc() -> None:
    order = WorkOrder.read({"request": "x", "datetime": "2017-08-17T12:41:04"})
    assert order.datetime == datetime(2017, 8, 17, 12, 41, 4, tzinfo=UTC)


def test_the_digest_is_of_the_content_only() -> None:
    one = WorkOrder.read({"id": 1, "request": "Add", "a": 1, "b": 2, "wait": 3})
    two = WorkOrder.read({"b": 2, "a": 1, "request": "add", "id": "1"})
    other = WorkOrder.read({"b": 2, "a": 2, "request": "add", "id": "1"})
    assert one.digest("add") == two.digest("add") != other.digest("add")


@given(JSON)
def test_what_a_client_sends_is_what_we_read(value: Any) -> None:
    try:
        body = xmlrpc.client.dumps(({"request": "x", "v": value},), "front_desk", allow_none=True)
        struct = read_call(body.encode())
    except (Malformed, UnicodeEncodeError):
        return  # characters that XML cannot carry
    got = WorkOrder.read(struct).fields["v"]
    assert got == value


@given(st.dictionaries(st.text(max_size=5), JSON | st.integers() | st.text()))
def test_every_reply_can_be_read_by_a_client(result: dict[str, Any]) -> None:
    (reply,), _ = xmlrpc.client.loads(write_reply({"result": result}))
    assert set(reply) == {"result"}


@given(st.binary(max_size=300))
def test_any_bytes_are_a_call_or_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        read_call(body)
