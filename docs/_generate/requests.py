"""The requests of every module, from the tables by which they work."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from _generate.words import Rows, Schema, one_line, row, table
from toros.cli.modules import ROOMS
from toros.common.clock import Clock
from toros.common.desk import Desk
from toros.common.module import Module
from toros.common.requests import Request, RequestTable


def page() -> str:
    """Return the requests of every module."""
    lines = ["## Every module", ""]
    for request in common_requests():
        lines += _request("module", request)
    for name in ROOMS:
        lines += [f"## {name}", ""]
        for request in requests_of(name):
            lines += _request(name, request)
    return "\n".join(lines)


def requests_of(module: str) -> RequestTable[Any]:
    """Return the request table of a module."""
    found: RequestTable[Any] = import_module(f"toros.{module}.requests").TABLE
    return found


def common_requests() -> list[Request[Any, Any]]:
    """Return the requests that every module answers."""
    module: Module[None] = Module("any", None, RequestTable([]))
    nobody: Any = None  # nothing is asked of journal and workers when the table is only read
    return Desk(module, nobody, nobody, Clock())._common_requests()


def _request(module: str, request: Request[Any, Any]) -> Iterator[str]:
    yield from (f"({module}-{request.name})=", f"### `{request.name}`", "", request.summary, "")
    yield from (_delivery(request), "")
    schema = request.fields.model_json_schema()
    if schema.get("properties"):
        yield from _fields(schema, schema.get("$defs", {}))
    for name, inner in schema.get("$defs", {}).items():
        if "properties" in inner:
            yield from (f"Each **{name}**: {one_line(inner.get('description', ''))}", "")
            yield from _fields(inner, schema["$defs"])


def _fields(schema: Schema, known: Schema) -> Iterator[str]:
    rows: Rows = [row(name, item, schema, known) for name, item in schema["properties"].items()]
    yield from table(("Field", "Type", "Default", "Meaning"), rows)


def _delivery(request: Request[Any, Any]) -> str:
    """Return how an order is answered, in one paragraph."""
    parts = []
    if request.aliases:
        parts.append(f"Also spelt {', '.join(f'`{name}`' for name in request.aliases)}.")
    if not request.journaled:
        return " ".join([*parts, "Answered at once; not journaled."])
    held = f"the reply is held up to {request.wait_s:g} s" if request.wait_s else "not waited for"
    after = {"repeat": "done again", "interrupt": "marked interrupted"}[request.restart]
    parts.append(f"Journaled, in the lane *{request.lane}*; {held} unless `wait` says otherwise.")
    parts.append(f"If the module dies meanwhile the order is {after}.")
    return " ".join(parts)
