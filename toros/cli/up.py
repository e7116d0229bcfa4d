"""`toros up`: the modules of this node under one supervisor, for development."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from toros.cli.modules import SIMULATOR, TO_COME, check_name
from toros.cli.options import ConfigOption
from toros.cli.output import err
from toros.cli.processes import stop_all, wait_until_ready
from toros.cli.supervised import Supervised
from toros.common.config import Config, config_path, load_config
from toros.common.errors import ConfigurationError, PeerUnreachable

POLL_S = 0.5


def up(
    modules: Annotated[
        list[str] | None, typer.Argument(help="Which; by default all that the node configures.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Run modules of this node until Ctrl-C, and restart what dies or hangs."""
    path = config_path(config)
    settings = load_config(path)
    names = [check_name(name) for name in modules] if modules else _configured(settings)
    if not names:
        raise ConfigurationError(f"{path}: services names no module to run.")
    asked = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        asked.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    folder = (settings.logging.file or Path("logs/toros.log")).parent
    # The simulator first: what talks to devices finds them there.
    names.sort(key=lambda name: name != SIMULATOR)
    group = [Supervised(name, path, settings, folder / f"{name}.out") for name in names]
    try:
        wait_until_ready(settings, [item.process for item in group])
        err.print(f"Ready: {', '.join(names)}. Ctrl-C stops them.")
        while not asked.wait(POLL_S):
            for item in group:
                item.look()
            if all(item.given_up for item in group):
                raise PeerUnreachable("No module is left that a restart could help.")
    finally:
        stop_all([item.process for item in group], settings)


def _configured(settings: Config) -> list[str]:
    """Return the modules that the node configures and this version has; say which it has not."""
    names = [name.replace("_", "-") for name in settings.services]
    left_out = [name for name in names if name in TO_COME]
    if left_out:
        err.print(f"Left out, for they are not in this version of TOROS: {', '.join(left_out)}.")
    return [name for name in names if name not in TO_COME]
