"""The preprocessor as a module."""

from __future__ import annotations

from toros.common.module import Context, Loop, Module
from toros.preprocessor.requests import RESUME, TABLE
from toros.preprocessor.requeueing import Requeueing
from toros.preprocessor.state import Preprocessor


def build(context: Context) -> Module[Preprocessor]:
    """Return the module, ready to be served."""
    state = Preprocessor(context)
    requeueing = Loop("requeueing", Requeueing(context, RESUME).run)
    return Module("preprocessor", state, TABLE, loops=[requeueing], describe=state.describe)
