"""XML-RPC on the wire: a call read strictly, an answer that every client can read.

The standard library's parser takes document types, entities, numbers of any length and any depth.
This one has its own handlers for the same `Unmarshaller`; nothing of the library is patched.
"""

from __future__ import annotations

import re
import xmlrpc.client
from typing import Any
from xml.parsers import expat

METHOD = "front_desk"
MAX_DEPTH = 120  # of elements: each array or struct within another takes three or four
MAX_NUMBER = 64  # characters
INT32 = range(-(2**31), 2**31)
NUMBERS = frozenset({"int", "i1", "i2", "i4", "i8", "biginteger", "double", "float", "boolean"})
# What XML 1.0 cannot carry, escaped or not.
NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class Malformed(ValueError):
    """A body that is not one call of `front_desk` with one argument."""


class _Reader:
    """Feeds a body to an `Unmarshaller` under stricter rules than the standard library's."""

    def __init__(self) -> None:
        self._values = xmlrpc.client.Unmarshaller(use_builtin_types=True)
        self._depth = 0
        self._number: int | None = None  # characters of the number that is being read
        parser = expat.ParserCreate(None, None)
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._data
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse
        parser.ProcessingInstructionHandler = self._refuse
        self._parser = parser

    def read(self, body: bytes) -> tuple[Any, str | None]:
        """Return the arguments and the method's name."""
        self._values.xml("", None)  # expat gives text, decoded already
        # In one piece: expat's time is quadratic in a token that comes in many.
        self._parser.Parse(body, True)
        return self._values.close(), self._values.getmethodname()

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Malformed(f"The body is nested more than {MAX_DEPTH} elements deep.")
        self._number = 0 if tag in NUMBERS else None
        self._values.start(tag, attributes)

    def _end(self, tag: str) -> None:
        self._depth -= 1
        self._number = None
        self._values.end(tag)

    def _data(self, text: str) -> None:
        if self._number is not None:
            self._number += len(text)
            if self._number > MAX_NUMBER:
                raise Malformed(f"A number has more than {MAX_NUMBER} characters.")
        self._values.data(text)

    def _refuse(self, *_: object) -> None:
        raise Malformed("Document types, entities and processing instructions are not taken.")


def read_call(body: bytes) -> object:
    """Return the argument of the one call that `body` holds.

    Raises
    ------
    Malformed
        Saying what was wrong with it.
    """
    try:
        arguments, method = _Reader().read(body)
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


def write_reply(reply: dict[str, Any]) -> bytes:
    """Return the XML of an answer."""
    text = xmlrpc.client.dumps(
        (_portable(reply),), methodresponse=True, allow_none=True, encoding="utf-8"
    )
    return text.encode()


def write_fault(code: int, message: str) -> bytes:
    """Return the XML of a Fault: no order was read."""
    fault = xmlrpc.client.Fault(code, NOT_XML.sub("\ufffd", message))
    return xmlrpc.client.dumps(fault, methodresponse=True, encoding="utf-8").encode()


def _portable(value: Any) -> Any:
    """Return `value` without what XML-RPC cannot say: wide integers and control characters."""
    match value:
        case bool() | None:
            return value
        case int():
            return value if value in INT32 else float(value)
        case str():
            return NOT_XML.sub("\ufffd", value)
        case dict():
            return {NOT_XML.sub("\ufffd", str(key)): _portable(item) for key, item in value.items()}
        case list() | tuple():
            return [_portable(item) for item in value]
    return value
