"""The preprocessor as a module."""

from __future__ import annotations

from toros.common.module import Context, Module
from toros.preprocessor.requests import TABLE
from toros.preprocessor.state import Preprocessor


def build(context: Context) -> Module[Preprocessor]:
    """Return the module, ready to be served."""
    state = Preprocessor(context)
    return Module("preprocessor", state, TABLE, describe=state.describe)
