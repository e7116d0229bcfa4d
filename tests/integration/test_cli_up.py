"""`toros up`: what dies or hangs is started again, on real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.processes import children_of, toros_processes
from tests.support.waiting import wait_until
from toros.cli.processes import is_ready
from toros.cli.supervised import FIRST_DELAY_S, Supervised
from toros.common.config import load_config

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config(tmp_path: Path, database_url: str) -> Path:
    path = tmp_path / "toros.conf.yaml"
    path.write_text(
        f"database: {{url: '{database_url}'}}\n"
        f"services: {{lvcgcn: {{ip: 127.0.0.1, port: {free_port()}}}}}\n"
        f"lvcgcn: {{folder: '{tmp_path / 'alerts'}'}}\n"
        f"logging: {{file: '{tmp_path / 'toros.log'}'}}\n"
    )
    return path


@pytest.fixture
def supervised(config: Path, tmp_path: Path) -> Iterator[Supervised]:
    made = Supervised("lvcgcn", config, load_config(config), tmp_path / "out", silent_s=1.0)
    yield made
    made.process.kill()


def answers(supervised: Supervised, config: Path) -> bool:
    supervised.look()
    return supervised.process.exit_status is None and is_ready(load_config(config), "lvcgcn")


def test_what_dies_is_started_again(supervised: Supervised, config: Path) -> None:
    wait_until(lambda: answers(supervised, config), "the module to answer", 60)
    first = supervised.process.pid
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: supervised.process.exit_status is not None, "its end")
    wait_until(lambda: answers(supervised, config), "the module to answer again", 60)
    assert supervised.process.pid != first


def test_what_hangs_is_killed_and_started_again(supervised: Supervised, config: Path) -> None:
    wait_until(lambda: answers(supervised, config), "the module to answer", 60)
    wait_until(lambda: supervised.look() or supervised.healthy, "it to be asked", 60)
    first = supervised.process.pid
    os.kill(first, signal.SIGSTOP)
    wait_until(
        lambda: answers(supervised, config) and supervised.process.pid != first,
        "another process to answer",
        120,
    )


def test_the_pause_doubles_and_what_no_restart_mends_is_not_restarted(
    supervised: Supervised, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wait_until(lambda: answers(supervised, config), "the module to answer", 60)
    pauses = []
    for _ in range(2):
        before = supervised.process.pid
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: supervised.process.exit_status is not None, "its end")
        supervised.look()
        pauses.append(capsys.readouterr().err)
        wait_until(
            lambda before=before: answers(supervised, config) and supervised.process.pid != before,
            "a new process to answer",
            60,
        )
    assert f"started again in {FIRST_DELAY_S:g} s" in pauses[0]
    assert f"started again in {2 * FIRST_DELAY_S:g} s" in pauses[1]
    config.write_text(config.read_text() + "site: {latitude: 91}\n")
    supervised.process.kill()
    wait_until(lambda: supervised.look() or supervised.given_up, "it to be given up", 60)
    said = capsys.readouterr().err
    assert "site.latitude" in said
    assert "A restart would not mend it." in said


def test_up_restarts_and_ends_with_its_modules(config: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "toros", "up", "--config", str(config)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as up:
        try:
            settings = load_config(config)
            assert up.stderr is not None
            assert up.stderr.readline().startswith("Ready: lvcgcn.")
            (first,) = children_of(up.pid)
            os.kill(first, signal.SIGKILL)
            wait_until(
                lambda: children_of(up.pid) not in ([], [first]) and is_ready(settings, "lvcgcn"),
                "the module to answer again",
                60,
            )
        finally:
            up.terminate()
        _, said = up.communicate(timeout=60)
    assert up.returncode == 0, said
    assert "lvcgcn ended (exit status -9)" in said
    assert toros_processes(tmp_path) == []


def test_why_a_module_cannot_start_is_said_though_the_mail_of_it_fails_after(
    tmp_path: Path,
) -> None:
    path = tmp_path / "toros.conf.yaml"
    path.write_text(
        f"database: {{url: 'sqlite:///{tmp_path / 'empty.db'}'}}\n"
        f"services: {{lvcgcn: {{ip: 127.0.0.1, port: {free_port()}}}}}\n"
        f"lvcgcn: {{folder: '{tmp_path / 'alerts'}'}}\n"
        f"logging: {{file: '{tmp_path / 'toros.log'}'}}\n"
        f"email: {{smtp_host: 127.0.0.1, smtp_port: {free_port()}, admins: [a@b.example],"
        f" outbox: '{tmp_path / 'outbox'}'}}\n"
    )
    (tmp_path / "lvcgcn.out").write_text("2026-01-01 ERROR lvcgcn toros.cli.serve: of yesterday\n")
    command = [sys.executable, "-m", "toros", "up", "--config", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "could not be mailed" in (tmp_path / "lvcgcn.out").read_text()
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        "toros: The module lvcgcn ended at its start (exit status 2): lvcgcn cannot start: "
    )
    assert "toros db upgrade" in line


def test_up_leaves_out_what_this_version_has_not(config: Path) -> None:
    text = config.read_text().replace("services: {", f"services: {{web: {{port: {free_port()}}}, ")
    config.write_text(text)
    command = [sys.executable, "-m", "toros", "up", "--config", str(config)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as up:
        try:
            assert up.stderr is not None
            said = [up.stderr.readline(), up.stderr.readline()]
        finally:
            up.terminate()
        up.communicate(timeout=60)
    assert said[0] == "Left out, for they are not in this version of TOROS: web.\n"
    assert said[1].startswith("Ready: lvcgcn.")
    assert up.returncode == 0
    named = subprocess.run(
        [*command, "web"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert named.returncode == 2
    assert named.stderr == "toros: The module web is not in this version of TOROS.\n"
