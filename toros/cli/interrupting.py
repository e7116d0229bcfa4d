"""Ctrl-C while modules are imported in more than one thread."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from toros.cli.output import err
from toros.cli.verdicts import INTERRUPTED

_IMPORTING = "<frozen importlib._bootstrap>"


@contextmanager
def interrupted_safely() -> Iterator[None]:
    """Have Ctrl-C end the process at once where an exception could leave it hanging.

    An exception amid the machinery of imports leaves locks of modules taken; another thread that
    imports, and with it the end of the process, would wait for them for ever.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, _interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupted(_number: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTING:
            err.show_cursor()
            os._exit(INTERRUPTED)
        frame = frame.f_back
    raise KeyboardInterrupt
