"""The life of a daemon, on real processes with real signals."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.ports import free_port
from tests.support.served import ROOT, Served
from tests.support.service_manager import ServiceManager
from tests.support.waiting import wait_until
from toros.common.work_order import Reply

Serve = Callable[..., Served]


@pytest.fixture
def serve(database_url: str) -> Iterator[Serve]:
    served: list[Served] = []

    def start(**options: Any) -> Served:
        served.append(Served(database_url, **options))
        return served[-1]

    yield start
    for one in served:
        one.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[ServiceManager]:
    with ServiceManager(tmp_path / "notify") as listening:
        yield listening


def test_sigterm_drains_and_exits_0(serve: Serve) -> None:
    toy = serve()
    toy.client.send("hold", id="held", wait=0)
    toy.client.send("hold_again", id="again", wait=0)
    for key in ("held", "again"):
        wait_until(lambda key=key: toy.state(key) == "running", f"{key} to begin")
    assert toy.end(signal.SIGTERM) == 0
    after = serve()
    assert after.state("held") == "interrupted"
    assert wait_until(lambda: after.state("again") == "running", "the repeatable order to resume")


def test_kill_9_interrupts_hardware_orders_and_repeats_the_others(
    serve: Serve,
) -> None:
    toy = serve()
    toy.client.send("hold", id="held", wait=0)
    toy.client.send("hold_again", id="again", wait=0)
    toy.client.send("add_later", id="queued", wait=0, a=1)  # waits behind `held`
    for key in ("held", "again"):
        wait_until(lambda key=key: toy.state(key) == "running", f"{key} to begin")
    assert toy.end(signal.SIGKILL) == -signal.SIGKILL
    after = serve()
    reply = after.client.send("hold", id="held", wait=5)
    assert (reply.status, reply.code) == ("interrupted", 17)
    assert wait_until(lambda: after.state("again") == "running", "the repeatable order to resume")
    assert after.client.send("add_later", id="queued", wait=10, a=1).result == 2.0


class Waiting(threading.Thread):
    """A client that holds the line until its order ends."""

    def __init__(self, toy: Served, request: str, key: str) -> None:
        super().__init__(daemon=True)
        self.reply: Reply | None = None
        self._ask = lambda: toy.client.send(request, id=key, wait=120)
        self.start()

    def run(self) -> None:
        self.reply = self._ask()

    def answer(self) -> Reply:
        self.join(60)
        assert self.reply is not None
        return self.reply


def test_sigterm_answers_who_waits(serve: Serve) -> None:
    toy = serve()
    running = Waiting(toy, "hold", "held")
    toy_state = lambda key: any(  # noqa: E731
        row["id"] == key for row in toy.client.ask("list_work_orders")
    )
    wait_until(lambda: toy_state("held"), "the order to be taken")
    toy.wait_until("held", "running")
    queued = Waiting(toy, "hold", "queued")
    wait_until(lambda: toy_state("queued"), "the second order to be taken")
    assert toy.end(signal.SIGTERM) == 0
    assert (running.answer().status, running.answer().code) == ("interrupted", 17)
    assert (queued.answer().status, queued.answer().code) == ("accepted", 0)
    after = serve()
    after.wait_until("queued", "running")


def test_sigterm_does_not_wait_for_a_task_that_does_not_obey(serve: Serve) -> None:
    toy = serve()
    toy.client.send("deaf", id="deaf", wait=0)
    toy.wait_until("deaf", "running")
    assert toy.end(signal.SIGTERM) == 0
    assert serve().client.send("deaf", id="deaf", wait=10).status == "interrupted"


def test_systemd_is_told_of_start_life_and_end(serve: Serve, manager: ServiceManager) -> None:
    toy = serve(environment=manager.environment(watchdog_s=0.5))
    ready = manager.wait_for("READY=1")
    assert manager.told[0] == "STATUS=Starts."
    assert manager.told[ready].endswith(f"STATUS=Answers at {toy.client.url}. Doing: nothing.")
    # A long order is progress, whatever its length.
    toy.client.send("hold", id="long", wait=0)
    doing = manager.wait_for("Doing: hold (order long).")
    fed = manager.wait_for("WATCHDOG=1", after=doing)
    manager.wait_for("WATCHDOG=1", after=fed + 1)
    assert toy.end(signal.SIGTERM) == 0
    assert manager.told[-1].startswith("STOPPING=1\nSTATUS=Stops")


def test_a_hung_loop_is_named_and_starves_the_watchdog(
    serve: Serve, manager: ServiceManager
) -> None:
    toy = serve(environment=manager.environment(watchdog_s=0.5))
    toy.client.ask("jam")
    hung = manager.wait_for("STATUS=Hangs: loop ticker (overdue by")
    # It is looked at six times a second; each look that finds it longer overdue says so.
    later = manager.wait_for("overdue by 1 s", after=hung)
    assert "WATCHDOG=1" not in manager.told[hung:later]
    assert toy.client.ask("add", a=1) == 2  # the front desk lives, and does not feed it
    before = len(manager.told)
    toy.client.ask("unjam")
    again = manager.wait_for("WATCHDOG=1", after=hung)
    assert again >= before
    assert toy.end(signal.SIGTERM) == 0
    # The log has where the thread hung.
    assert "ticker:" in toy.said()
    assert "self.unjam.wait()" in toy.said()


def a_configuration(folder: Path, **parts: str) -> Path:
    """Write a configuration of a dome on a database with the current schema."""
    path = folder / "toros.conf.yaml"
    lines = {
        "database": f'{{url: "sqlite:///{folder / "scratch.db"}"}}',
        "services": f"{{dome: {{ip: 127.0.0.1, port: {free_port()}}}}}",
        "logging": "{file: null}",
        **parts,
    }
    path.write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))
    return path


AGAIN = " Mend it, then start the module again."


def run_dome(config: Path, manager: ServiceManager) -> tuple[int, str]:
    """Run a dome that cannot start; return its exit status and the last status it told."""
    done = subprocess.run(
        [sys.executable, "-m", "toros", "serve", "dome", "--config", str(config)],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **manager.environment(watchdog_s=60)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    manager.wait_for("STATUS=Cannot start")
    status = manager.told[-1].removeprefix("STATUS=Cannot start: ")
    assert "Traceback" not in done.stderr
    assert done.stderr.count(status.removesuffix(AGAIN)) == 1, "said once"
    assert not any("READY" in line for line in manager.told)
    return done.returncode, status


@pytest.mark.usefixtures("database_url")
def test_a_wrong_configuration_is_shown_and_no_restart_is_tried(
    tmp_path: Path, manager: ServiceManager
) -> None:
    config = a_configuration(tmp_path, site="{latitude: 91}")
    code, status = run_dome(config, manager)
    assert code == 2
    assert status.startswith(f"{config}:4: site.latitude: ")


@pytest.mark.usefixtures("database_url")
def test_a_port_in_use_is_shown_and_no_restart_is_tried(
    tmp_path: Path, manager: ServiceManager, serve: Serve
) -> None:
    port = serve().port
    config = a_configuration(tmp_path, services=f"{{dome: {{ip: 127.0.0.1, port: {port}}}}}")
    code, status = run_dome(config, manager)
    assert code == 2
    assert status.startswith(f"Another process listens at 127.0.0.1:{port}")


def test_a_database_that_is_not_current_is_shown_and_no_restart_is_tried(
    tmp_path: Path, manager: ServiceManager
) -> None:
    code, status = run_dome(a_configuration(tmp_path), manager)
    assert code == 2
    assert "run 'toros db upgrade'" in status


def test_a_database_that_is_away_is_worth_a_restart(
    tmp_path: Path, manager: ServiceManager
) -> None:
    (tmp_path / "scratch.db").write_text("not a database " * 100)
    code, status = run_dome(a_configuration(tmp_path), manager)
    assert code == 1
    assert "cannot be used" in status


def test_the_simulator_tells_systemd_too(tmp_path: Path, manager: ServiceManager) -> None:
    service = f"{{simulator: {{ip: 127.0.0.1, port: {free_port()}}}}}"
    config = a_configuration(tmp_path, services=service, simulator="{discovery: false}")
    command = [sys.executable, "-m", "toros", "serve", "simulator", "--config", str(config)]
    environment = {"PATH": "/usr/bin:/bin", **manager.environment(watchdog_s=1.0)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            ready = manager.wait_for("READY=1")
            manager.wait_for("WATCHDOG=1", after=ready)
            process.terminate()
            manager.wait_for("STOPPING=1")
            assert process.wait(30) == 0
        finally:
            process.kill()
