"""Modules as child processes: started, watched, and ended without leaving one behind."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import requests

from toros.cli.modules import SIMULATOR
from toros.cli.output import err
from toros.common.client import FrontDeskClient
from toros.common.config import Config
from toros.common.errors import PeerError, PeerRefused, PeerUnreachable

DOME = "dome"
# How `toros serve` begins the line that says why it ends, in a plain log.
_CANNOT_START = " toros.cli.serve: "
POLL_S = 0.1
READY_S = 60.0
STOP_S = 25.0
# As long as systemd gives the dome at least: one that is killed while it closes stays open.
DOME_STOP_S = 300.0


class ModuleProcess:
    """One ``toros serve MODULE`` in a session of its own, so that Ctrl-C reaches only us.

    Parameters
    ----------
    name : str
        The module.
    config : pathlib.Path
        The configuration it is started with.
    output : pathlib.Path
        Where its standard output and error go.
    """

    def __init__(self, name: str, config: Path, output: Path) -> None:
        self.name = name
        self.config = config
        self.output = output
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("ab") as sink:
            self._begins = sink.tell()
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-m", "toros", "serve", name, "--config", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """The exit status, None while it runs."""
        return self._process.poll()

    def last_words(self) -> str:
        """Return why it could not start, else the last line that it wrote."""
        with self.output.open("rb") as said:
            said.seek(self._begins)
            lines = said.read().decode(errors="replace").strip().splitlines()
        # Lines about the mail of the error may come after it.
        for line in reversed(lines):
            if _CANNOT_START in line and " ERROR " in line:
                return line.partition(_CANNOT_START)[2]
        return lines[-1] if lines else "it said nothing"

    def terminate(self) -> None:
        """Ask it to stop."""
        if self.exit_status is None:
            self._process.terminate()

    def kill(self) -> None:
        """End it at once: a process that hangs obeys nothing else."""
        self._process.kill()
        self._process.wait()

    def ends_within(self, seconds: float) -> bool:
        """Wait for its end, at most `seconds`; return whether it came."""
        try:
            self._process.wait(max(seconds, 0.0))
        except subprocess.TimeoutExpired:
            return False
        return True


def is_ready(settings: Config, name: str) -> bool:
    """Return whether a module answers."""
    url = settings.url_of(name)
    if name == SIMULATOR:
        try:
            return requests.get(f"{url}/management/apiversions", timeout=2).ok
        except requests.RequestException:
            return False
    try:
        FrontDeskClient.of(settings, name, timeout_s=2).ask("status", wait=0)
    except PeerRefused:
        return True  # to us it says nothing, but it answers
    except PeerError:
        return False
    return True


def wait_until_ready(settings: Config, processes: Iterable[ModuleProcess]) -> None:
    """Return once every module answers.

    Raises
    ------
    PeerUnreachable
        When one ended, or does not answer in time; with its last words.
    """
    deadline = time.monotonic() + READY_S
    for process in processes:
        while not is_ready(settings, process.name):
            if process.exit_status is not None:
                raise PeerUnreachable(
                    f"The module {process.name} ended at its start "
                    f"(exit status {process.exit_status}): {process.last_words()}"
                )
            if time.monotonic() > deadline:
                raise PeerUnreachable(
                    f"The module {process.name} did not answer within {READY_S:g} s: "
                    f"{process.last_words()}"
                )
            threading.Event().wait(POLL_S)


def stop_all(processes: Iterable[ModuleProcess], settings: Config) -> None:
    """End every process, first politely, then surely; the devices last, while others need them."""
    # Imported here: who only asks what runs need not wait for it.
    from toros.dome.daemon import longest_stop_s

    dome_stop_s = max(DOME_STOP_S, longest_stop_s(settings.dome, settings.make_clock()))
    running = list(processes)
    for group in (
        [process for process in running if process.name != SIMULATOR],
        [process for process in running if process.name == SIMULATOR],
    ):
        for process in group:
            process.terminate()
        begun = time.monotonic()
        for process in sorted(group, key=lambda process: process.name == DOME):
            if process.ends_within(begun + STOP_S - time.monotonic()):
                continue
            if process.name == DOME:
                err.print(
                    f"The dome has not closed yet; it is given {dome_stop_s:.0f} s in all. "
                    f"Who cannot wait: kill -9 {process.pid}, and look at the shutter."
                )
                if process.ends_within(begun + dome_stop_s - time.monotonic()):
                    continue
            process.kill()
