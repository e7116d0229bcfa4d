"""XML-RPC on the wire: a call read strictly, an answer that every client can read.

The standard library's parser takes document types and entities. This one drives the same
`Unmarshaller` with handlers of its own; nothing of the library is patched. Numbers need no rule
here: Python refuses integers of over 4300 digits by itself. Nesting does: an open element costs
expat 200 bytes, so that a body of a mebibyte could take 70 times its size.
"""

from __future__ import annotations

import re
import xmlrpc.client
from collections.abc import Callable
from typing import Any
from xml.parsers import expat

METHOD = "front_desk"
MAX_DEPTH = 120  # of elements; an array or struct within another takes three or four
Write = Callable[[str], object]
INT32 = range(-(2**31), 2**31)
# What XML 1.0 cannot carry, escaped or not.
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# What cannot be written as it is; most text has none of it.
_SPECIAL = re.compile(f"{_NOT_XML.pattern}|[&<>]")


def printable(text: str) -> str:
    """Return a text with what XML cannot carry, nor every database keep, replaced by U+FFFD."""
    return _NOT_XML.sub("\ufffd", text)


class Malformed(ValueError):
    """A body that is not one call of `front_desk` with one argument."""


def _refuse(*_: object) -> None:
    raise Malformed("Document types, entities and processing instructions are not taken.")


def _read(body: bytes) -> tuple[Any, str | None]:
    """Return the arguments and the method's name."""
    values = xmlrpc.client.Unmarshaller(use_builtin_types=True)
    values.xml("", None)  # expat gives text, decoded already
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise Malformed(f"The body is nested more than {MAX_DEPTH} elements deep.")
        values.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        values.end(tag)

    parser = expat.ParserCreate(None, None)
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = values.data
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.ProcessingInstructionHandler = _refuse
    # In one piece: expat's time is quadratic in a token that comes in many.
    parser.Parse(body, True)
    return values.close(), values.getmethodname()


def read_call(body: bytes) -> object:
    """Return the argument of the one call that `body` holds.

    Raises
    ------
    Malformed
        Saying what was wrong with it.
    """
    try:
        arguments, method = _read(body)
    except Malformed:
        raise
    except xmlrpc.client.Error as error:
        raise Malformed("The body is not an XML-RPC call.") from error
    except (ValueError, TypeError, LookupError, ArithmeticError, expat.ExpatError) as error:
        raise Malformed(f"The body is not well-formed XML-RPC ({type(error).__name__}).") from error
    if method != METHOD:
        raise Malformed(f"There is one method here, {METHOD}(work_order).")
    if len(arguments) != 1:
        raise Malformed(
            f"{METHOD} takes one argument, the work order; {len(arguments)} were given."
        )
    return arguments[0]


class _Marshaller(xmlrpc.client.Marshaller):
    """Writes what XML-RPC cannot say as what comes nearest: every client can read the answer."""

    dispatch = dict(xmlrpc.client.Marshaller.dispatch)  # noqa: RUF012 - the base class's own idiom

    def dump_integer(self, value: int, write: Write) -> None:
        """Write an integer of over 32 bits as a double."""
        if value in INT32:
            write(f"<value><int>{value}</int></value>\n")
        else:
            write(f"<value><double>{float(value)!r}</double></value>\n")

    def dump_text(self, value: str, write: Write) -> None:
        """Write text without the characters that XML does not have."""
        write(f"<value><string>{_escaped(value)}</string></value>\n")

    def dump_mapping(self, value: dict[str, Any], write: Write) -> None:
        """Write a struct; its names are text as well."""
        write("<value><struct>\n")
        for name, item in value.items():
            write(f"<member>\n<name>{_escaped(str(name))}</name>\n")
            self.dispatch[type(item)](self, item, write)
            write("</member>\n")
        write("</struct></value>\n")

    dispatch[int] = dump_integer  # type: ignore[assignment]  # of this class, not of its base
    dispatch[str] = dump_text  # type: ignore[assignment]
    dispatch[dict] = dump_mapping  # type: ignore[assignment]


def _escaped(text: str) -> str:
    if _SPECIAL.search(text) is None:
        return text
    return xmlrpc.client.escape(printable(text))


def write_reply(reply: dict[str, Any]) -> bytes:
    """Return the XML of an answer."""
    return _response(_Marshaller("utf-8", allow_none=True).dumps((reply,)))


def write_fault(code: int, message: str) -> bytes:
    """Return the XML of a Fault: no order was read."""
    return _response(_Marshaller("utf-8").dumps(xmlrpc.client.Fault(code, message)))


def _response(content: str) -> bytes:
    return (
        f"<?xml version='1.0' encoding='utf-8'?>\n<methodResponse>\n{content}</methodResponse>\n"
    ).encode()
