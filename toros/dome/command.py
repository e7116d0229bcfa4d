"""A program as a source of safety: disk space, mains power, whatever a site has."""

from __future__ import annotations

import os
import signal
import subprocess

from toros.common.clock import Clock
from toros.common.config.dome import CommandSettings
from toros.common.errors import DomeError
from toros.common.wire import printable

MOST_TEXT = 200


class Command:
    """Runs a program. Exit status 0 means safe; else its first line says why not.

    Parameters
    ----------
    settings : CommandSettings
        What to run.
    clock : Clock
        The observatory's clock.
    """

    def __init__(self, settings: CommandSettings, clock: Clock) -> None:
        self._settings = settings
        self._timeout_s = clock.machine_seconds(settings.timeout_s) + (clock.rate > 1.0) * 5.0

    def __call__(self) -> str:
        """Return why it is not safe; empty if it is."""
        try:
            # The program is the administrator's, from the configuration; no shell reads it.
            process = subprocess.Popen(  # noqa: S603
                self._settings.command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            program = self._settings.command[0]
            raise DomeError(f"{program} cannot be run: {error.strerror}") from error
        with process:
            try:
                said, _ = process.communicate(timeout=self._timeout_s)
            except subprocess.TimeoutExpired as error:
                # With everything that it started: a pipe held open would keep us waiting.
                os.killpg(process.pid, signal.SIGKILL)
                raise DomeError(f"no end within {self._settings.timeout_s:g} s") from error
        if process.returncode == 0:
            return ""
        text = printable(said.decode("utf-8", "replace"))
        first = text.strip().partition("\n")[0][:MOST_TEXT]
        return f"says: {first or f'exit status {process.returncode}'}"
