"""A module that is kept running: restarted when it dies or hangs, ever more slowly."""

from __future__ import annotations

import time
from pathlib import Path

from toros.cli.output import err
from toros.cli.processes import READY_S, ModuleProcess, is_ready
from toros.common.config import Config

FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 60.0
# A module that has answered for so long has recovered: its next death is a first one again.
HEALTHY_S = 60.0
# How often a module is asked whether it is alive, and how long it may be silent.
ASK_EVERY_S = 5.0
SILENT_S = 30.0
# The exit status of what no restart mends; see `toros.cli.serve`.
IN_VAIN = 2


class Supervised:
    """One module under the supervisor. All seconds are the machine's.

    Parameters
    ----------
    name : str
        The module.
    config : pathlib.Path
        The configuration it is started with.
    settings : Config
        The same, read.
    output : pathlib.Path
        Where its standard output and error go.
    silent_s : float
        How long it may be silent.
    """

    def __init__(
        self, name: str, config: Path, settings: Config, output: Path, silent_s: float = SILENT_S
    ) -> None:
        self._settings = settings
        self._silent_s = silent_s
        self._config = config
        self._output = output
        self._delay_s = FIRST_DELAY_S
        self._start_at: float | None = None
        self.given_up = False
        self.process = self._start(name)

    @property
    def healthy(self) -> bool:
        """Whether it answered when it was asked last."""
        return self._healthy_from is not None

    def look(self) -> None:
        """Start the module again if its time has come; see whether it has died or hangs."""
        now = time.monotonic()
        if self.given_up:
            return
        if self._start_at is not None:
            if now >= self._start_at:
                self._start_at = None
                self.process = self._start(self.process.name)
        elif self.process.exit_status is not None:
            self._ended(self.process.exit_status, now)
        elif now >= self._ask_at:
            self._ask()

    def _start(self, name: str) -> ModuleProcess:
        now = time.monotonic()
        self._ask_at = now + ASK_EVERY_S
        self._silent_from = now + READY_S - self._silent_s  # a start takes longer than an answer
        self._healthy_from: float | None = None
        return ModuleProcess(name, self._config, self._output)

    def _ended(self, status: int, now: float) -> None:
        name, words = self.process.name, self.process.last_words()
        if status == IN_VAIN:
            self.given_up = True
            what = "A restart would not mend it."
        else:
            self._start_at = now + self._delay_s
            what = f"It is started again in {self._delay_s:g} s."
            self._delay_s = min(self._delay_s * 2, LONGEST_DELAY_S)
        err.print(f"{name} ended (exit status {status}): {words} {what}", markup=False)

    def _ask(self) -> None:
        alive = is_ready(self._settings, self.process.name)
        now = time.monotonic()
        self._ask_at = now + ASK_EVERY_S
        if alive:
            self._silent_from = now
            self._healthy_from = self._healthy_from or now
            if now - self._healthy_from >= HEALTHY_S:
                self._delay_s = FIRST_DELAY_S
            return
        self._healthy_from = None
        if now - self._silent_from >= self._silent_s and self.process.exit_status is None:
            err.print(f"{self.process.name} hangs; it is killed.", markup=False)
            self.process.kill()
