"""Serve the requests of every module, with handlers that do nothing, on one front desk.

So that every field of every request can be attacked over the wire, without an observatory.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib import import_module
from typing import Any

from toros.cli.modules import ROOMS
from toros.common.config import parse_config
from toros.common.daemon import Daemon
from toros.common.database import make_engine, make_sessions
from toros.common.module import Context, Module
from toros.common.requests import Request, RequestTable

TABLES = {name: import_module(f"toros.{name}.requests").TABLE for name in ROOMS}


def name_of(module: str, request: Request[Any, Any]) -> str:
    """The name of a module's request on the common desk."""
    return f"{module}_{request.name}"


def tables() -> RequestTable[None]:
    return RequestTable(
        replace(
            request,
            name=name_of(module, request),
            aliases=(),
            handler=lambda _state, _fields, _task: None,
        )
        for module, table in TABLES.items()
        for request in table
    )


if __name__ == "__main__":
    url, port, *_ = sys.argv[1:]
    config = parse_config(f"services: {{dome: {{ip: 127.0.0.1, port: {port}}}}}")
    engine = make_engine(url)
    context = Context(config, config.make_clock(), make_sessions(engine))
    Daemon(Module(name="dome", state=None, table=tables()), context).serve()
    engine.dispose()
