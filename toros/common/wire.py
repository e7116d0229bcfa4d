"""XML-RPC on the wire: a call read strictly, an answer that every client can read."""

from __future__ import annotations

import re
import xmlrpc.client
from typing import Any
from xml.parsers.expat import ExpatError

METHOD = "front_desk"
INT32 = range(-(2**31), 2**31)
# What XML 1.0 cannot carry, escaped or not.
NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class Malformed(ValueError):
    """A body that is not one call of `front_desk` with one argument."""


def read_call(body: bytes) -> object:
    """Return the argument of the one call that `body` holds.

    Raises
    ------
    Malformed
        Saying what was wrong with it.
    """
    try:
        arguments, method = xmlrpc.client.loads(body, use_builtin_types=True)
    except xmlrpc.client.Error as error:
        raise Malformed(f"The body is not an XML-RPC call: {error}.") from error
    except (ValueError, TypeError, LookupError, SyntaxError, RecursionError, ExpatError) as error:
        raise Malformed(f"The body is not well-formed XML-RPC ({type(error).__name__}).") from error
    if method != METHOD:
        raise Malformed(f"There is one method here, {METHOD}(work_order), and no {method!r}.")
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
