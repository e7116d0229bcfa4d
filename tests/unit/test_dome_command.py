"""Programs that say whether it is safe."""

from __future__ import annotations

import sys

import pytest

from toros.common.clock import Clock
from toros.common.config.dome import CommandSettings
from toros.common.errors import DomeError
from toros.dome.command import Command


def _command(*command: str, **more: float) -> Command:
    return Command(CommandSettings(name="test", command=list(command), **more), Clock())


def test_exit_status_0_is_safe_and_any_other_is_not() -> None:
    assert _command("true")() == ""
    assert "exit status 1" in _command("false")()
    assert "on battery" in _command("sh", "-c", "echo on battery; echo more; exit 3")()


def test_a_program_that_is_not_there_is_no_yes() -> None:
    with pytest.raises(DomeError, match="cannot be run"):
        _command("/no/such/program")()


def test_a_program_that_hangs_is_killed_with_its_children() -> None:
    with pytest.raises(DomeError, match="no end within"):
        _command(
            "sh", "-c", f"{sys.executable} -c 'import time; time.sleep(60)' & wait", timeout_s=0.2
        )()
