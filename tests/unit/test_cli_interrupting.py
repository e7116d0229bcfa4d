"""Ctrl-C while a command still loads its modules."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from toros.cli.interrupting import interrupted_safely

WAITING = "import sys; print('begun', flush=True); sys.stdin.read()"


@pytest.mark.parametrize(
    ("within", "status", "said"),
    [("import slow", 130, ""), (WAITING, 7, ""), ("import slow_no_more", 1, "ModuleNotFound")],
)
def test_amid_an_import_the_process_ends_at_once(
    tmp_path: Path, within: str, status: int, said: str
) -> None:
    """Elsewhere it is the usual exception, which whoever must tidy up sees."""
    (tmp_path / "slow.py").write_text(f"try:\n    {WAITING}\nfinally:\n    print('tidied')\n")
    code = f"""
from toros.cli.interrupting import interrupted_safely
try:
    with interrupted_safely():
        {within}
except KeyboardInterrupt:
    raise SystemExit(7)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        begun = process.stdout.readline()
        if begun:
            process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == status, errors
    assert (begun + output).split() == (["begun"] if status != 1 else [])
    assert said in errors if said else errors == ""


def test_the_handler_before_is_there_again() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interrupted_safely():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
