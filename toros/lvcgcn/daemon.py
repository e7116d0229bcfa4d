"""The alert daemon as a module."""

from __future__ import annotations

from toros.common.module import Context, Module
from toros.lvcgcn.requests import TABLE
from toros.lvcgcn.sources.configured import sources_of
from toros.lvcgcn.state import AlertDesk


def build(context: Context) -> Module[AlertDesk]:
    """Return the module, ready to be served."""
    desk = AlertDesk(context, sources_of(context))
    return Module("lvcgcn", desk, TABLE, loops=desk.loops(), describe=desk.describe)
