"""`toros up`: the modules of this node under one supervisor, for development."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from toros.cli.modules import ROOMS, SIMULATOR, check_name
from toros.cli.options import ConfigOption
from toros.cli.output import err
from toros.cli.processes import ModuleProcess, stop_all, wait_until_ready
from toros.common.config import config_path, load_config
from toros.common.errors import ConfigurationError

POLL_S = 0.5
FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 60.0


def up(
    modules: Annotated[
        list[str] | None, typer.Argument(help="Which; by default all that the node configures.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Run modules of this node until Ctrl-C, and restart what dies."""
    path = config_path(config)
    settings = load_config(path)
    configured = [name.replace("_", "-") for name in settings.services]
    names = [check_name(name) for name in modules or configured]
    names = [name for name in names if name in (*ROOMS, SIMULATOR)]
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
    group = [Supervised(name, path, folder) for name in names]
    try:
        wait_until_ready(settings, [item.process for item in group])
        err.print(f"Ready: {', '.join(names)}. Ctrl-C stops them.")
        while not asked.wait(POLL_S):
            for item in group:
                item.restart_if_dead(asked)
    finally:
        stop_all([item.process for item in group])


class Supervised:
    """A module that is started again, ever more slowly, when it dies."""

    def __init__(self, name: str, config: Path, folder: Path) -> None:
        self._delay_s = FIRST_DELAY_S
        self._output = folder / f"{name}.out"
        self.process = ModuleProcess(name, config, self._output)

    def restart_if_dead(self, asked: threading.Event) -> None:
        """Start the module again if it has ended; `asked` ends the wait before."""
        status = self.process.exit_status
        if status is None:
            return
        name = self.process.name
        err.print(
            f"{name} ended (exit status {status}): {self.process.last_words()} "
            f"It is started again in {self._delay_s:g} s.",
            markup=False,
        )
        if not asked.wait(self._delay_s):
            self._delay_s = min(self._delay_s * 2, LONGEST_DELAY_S)
            self.process = ModuleProcess(name, self.process.config, self._output)
