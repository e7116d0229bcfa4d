"""The head of a request: read as the standard library reads it where it is well-formed."""

from __future__ import annotations

import http.client
import io
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toros.common.http_head import MAX_FIELDS, MAX_HEAD, BadHead, Head, HeadReader, read_head

TOKEN = "!#$%&'*+-.^_`|~" + string.digits + string.ascii_letters
NAMES = st.text(TOKEN, min_size=1, max_size=12)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30)


def head_of(text: bytes) -> Head:
    reader = HeadReader(io.BytesIO(text))  # type: ignore[arg-type]  # as raw as a socket's
    return read_head(reader.readline(), reader)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=20))
def test_a_well_formed_head_is_read_as_the_standard_library_reads_it(
    fields: list[tuple[str, str]],
) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    theirs = http.client.parse_headers(io.BytesIO(f"{lines}\r\n".encode()))
    expected: dict[str, list[str]] = {}
    for name, value in theirs.items():
        expected.setdefault(name.lower(), []).append(value.strip(" \t"))
    found = head_of(f"POST /RPC2 HTTP/1.1\r\n{lines}\r\n".encode())
    assert (found.method, found.path, found.fields) == ("POST", "/RPC2", expected)


@pytest.mark.parametrize(
    ("text", "keep_alive"),
    [
        (b"POST / HTTP/1.1\r\n\r\n", True),
        (b"POST / HTTP/1.1\nConnection: Keep-Alive\n\n", True),
        (b"POST / HTTP/1.1\r\nConnection: TE, Close\r\n\r\n", False),
        (b"POST / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", False),
    ],
)
def test_a_connection_is_kept_when_both_know_that_it_is(text: bytes, keep_alive: bool) -> None:
    assert head_of(text).keep_alive is keep_alive


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"POST /\r\n\r\n",
        b"POST  / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/2.0\r\n\r\n",
        b"POST / HTTP/1.10\r\n\r\n",
        b"post / HTTP/1.1\r\n\r\n",
        b"POST /a b HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1",
        b"POST / HTTP/1.1\r\n",
        b"POST / HTTP/1.1\r\nHost: here",
        b"POST / HTTP/1.1\r\nHost: here\r\n",
        b"POST / HTTP/1.1\r\nHost : here\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: here\r\n there\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost\r\n\r\n",
        b"POST / HTTP/1.1\r\n: here\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: he\0re\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: here\rContent-Length: 3\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + b"a: b\r\n" * (MAX_FIELDS + 1) + b"\r\n",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(text: bytes) -> None:
    with pytest.raises(BadHead):
        head_of(text)


def test_as_many_headers_and_bytes_as_are_allowed_and_no_more() -> None:
    many = b"POST / HTTP/1.1\r\n" + b"a: b\r\n" * MAX_FIELDS + b"\r\n"
    assert head_of(many).fields == {"a": ["b"] * MAX_FIELDS}
    long = b"POST / HTTP/1.1\r\na: " + b"b" * (MAX_HEAD - 24) + b"\r\n\r\n"
    assert len(long) == MAX_HEAD
    assert len(head_of(long).fields["a"][0]) == MAX_HEAD - 24
    with pytest.raises(http.client.LineTooLong):
        head_of(long.replace(b"a: b", b"a: bb"))
