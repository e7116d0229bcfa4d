"""The alert daemon as a module."""

from __future__ import annotations

from toros.common.module import Context, Loop, Module
from toros.lvcgcn.requests import TABLE
from toros.lvcgcn.state import AlertDesk


def build(context: Context) -> Module[AlertDesk]:
    """Return the module, ready to be served."""
    desk = AlertDesk(context)
    return Module(
        "lvcgcn",
        desk,
        TABLE,
        loops=(Loop("lvcgcn-relay", desk.relay.run),),
        describe=desk.describe,
    )
