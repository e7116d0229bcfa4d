"""The end of the dome's process: SIGTERM closes the shutter at once, whatever else is under way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.ports import free_port
from tests.support.service_manager import ServiceManager
from tests.support.waiting import wait_until
from toros.archive.models import Event
from toros.cli.processes import ModuleProcess, stop_all
from toros.common.client import FrontDeskClient
from toros.common.clock import Clock, iso
from toros.common.config import Config, load_config
from toros.common.config.dome import DomeSettings
from toros.common.config.simulator import SimulatorSettings
from toros.common.errors import PeerError
from toros.common.journal import WorkOrderRow
from toros.dome.watch import longest_close_s
from toros.simulator.server import Simulator

RATE = 20.0
SIMULATED = SimulatorSettings.model_validate(
    {"discovery": False, "galaxies": False, "dome": {"shutter_s": 20.0, "azimuth_rate": 20.0}}
)
# Longer than a stop may take with hardware that works; it is ended sooner by all means.
STOPS_WITHIN_S = 60.0


class Process:
    """`toros serve dome` in a process of its own, on the hardware of a simulator in this one."""

    def __init__(self, simulator: Simulator, clock: Clock, folder: Path, url: str) -> None:
        self.simulator = simulator
        port, device = free_port(), {"alpaca": simulator.url, "number": 0}
        document = {
            "services": {"dome": {"ip": "127.0.0.1", "port": port}},
            "devices": {"mount": device, "dome": device, "safety_monitor": [device]},
            "dome": {"shutter_needs_parked_mount": True},
            "database": {"url": url},
            "logging": {"file": str(folder / "toros.log")},
            "clock": {
                "start": iso(datetime.fromtimestamp(clock.start, UTC)),
                "anchor": clock.anchor,
                "rate": clock.rate,
            },
        }
        path = folder / "toros.conf.yaml"
        path.write_text(yaml.safe_dump(document))
        self.client = FrontDeskClient(f"http://127.0.0.1:{port}")
        command = [sys.executable, "-m", "toros", "serve", "dome", "--config", str(path)]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_until(self.safe, "the dome to be safe", 60)

    def safe(self) -> bool:
        try:
            return bool(self.client.ask("dome_status")["safe"])
        except PeerError:
            return False

    def shutter(self) -> float:
        answer = requests.get(f"{self.simulator.url}/simulator/v1/truth", timeout=10)
        return float(answer.json()["dome"]["shutter"])

    def fault(self, **order: Any) -> None:
        url = f"{self.simulator.url}/simulator/v1/faults"
        requests.post(url, json=order, timeout=10).raise_for_status()

    def clear_faults(self) -> None:
        url = f"{self.simulator.url}/simulator/v1/faults"
        requests.delete(url, timeout=10).raise_for_status()

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOPS_WITHIN_S)


@pytest.fixture
def dome(tmp_path: Path, database_url: str) -> Iterator[Process]:
    clock = Clock.simulated(datetime(2017, 8, 18, 0, 0, tzinfo=UTC), RATE)
    with Simulator(SIMULATED, clock, Config().site) as simulator:
        running = Process(simulator, clock, tmp_path, database_url)
        try:
            yield running
        finally:
            running.process.kill()
            running.process.wait()


def order_of(sessions: sessionmaker[Session], key: str) -> WorkOrderRow:
    with sessions() as session:
        return session.scalars(select(WorkOrderRow).where(WorkOrderRow.id == key)).one()


def test_the_shutter_closes_while_the_orders_come_to_their_ends(
    dome: Process, sessions: sessionmaker[Session]
) -> None:
    assert dome.client.ask("open_dome") is True
    dome.fault(fault="wrong_value", device="dome", member="AtPark", value=False)
    key = dome.client.send("park_position", id="parks", wait=0.0).id
    wait_until(lambda: order_of(sessions, str(key)).state == "running", "the order to begin")

    dome.process.send_signal(signal.SIGTERM)
    wait_until(lambda: dome.shutter() == 0.0, "the shutter to be closed")
    # The order still has its time: it ends well as soon as the dome reads parked. If the shutter
    # had waited for it, that time would be over.
    assert order_of(sessions, str(key)).state == "running"
    dome.clear_faults()
    assert dome.process.wait(STOPS_WITHIN_S) == 0
    assert order_of(sessions, str(key)).state == "completed"
    with sessions() as session:
        said = [event.message for event in session.scalars(select(Event).order_by(Event.id))]
    assert said[-1] == "The dome module stops, and closes the dome."


def test_an_opening_is_turned_round(dome: Process, sessions: sessionmaker[Session]) -> None:
    key = dome.client.send("open_dome", id="opens", wait=0.0).id
    wait_until(lambda: dome.shutter() > 0.0, "the shutter to move")
    assert dome.end() == 0
    assert dome.shutter() == 0.0
    assert order_of(sessions, str(key)).state in ("cancelled", "interrupted")


def test_what_was_open_and_is_out_of_reach_is_tried_again(
    dome: Process, sessions: sessionmaker[Session]
) -> None:
    assert dome.client.ask("open_dome") is True
    # In the end it answers again, before the time of a closing is over.
    dome.fault(fault="refuse", device="dome", status=503, count=40)
    assert dome.end() == 0
    assert dome.shutter() == 0.0


@pytest.mark.parametrize("database", ["away", "not current"])
def test_a_module_that_cannot_start_without_its_database_closes_the_dome(
    dome: Process, tmp_path: Path, database: str
) -> None:
    assert dome.client.ask("open_dome") is True
    dome.process.kill()
    dome.process.wait()
    path = tmp_path / "toros.conf.yaml"
    document = yaml.safe_load(path.read_text())
    away = f"postgresql+psycopg://toros@127.0.0.1:{free_port()}/toros"
    document["database"]["url"] = away if database == "away" else f"sqlite:///{tmp_path}/empty.db"
    path.write_text(yaml.safe_dump(document))
    with ServiceManager(tmp_path / "notify") as manager:
        command = [sys.executable, "-m", "toros", "serve", "dome", "--config", str(path)]
        ended = subprocess.run(
            command,
            check=False,
            capture_output=True,
            timeout=60,
            env={**os.environ, **manager.environment()},
        )
        manager.wait_for("EXTEND_TIMEOUT_USEC")
    assert ended.returncode == (1 if database == "away" else 2)
    assert dome.shutter() == 0.0


def test_the_service_manager_is_told_how_long_a_stop_may_last(
    dome: Process, tmp_path: Path
) -> None:
    assert dome.end() == 0
    settings = DomeSettings(shutter_needs_parked_mount=True)
    with ServiceManager(tmp_path / "notify") as manager:
        command = [sys.executable, "-m", "toros", "serve", "dome", "--config"]
        process = subprocess.Popen(
            [*command, str(tmp_path / "toros.conf.yaml")],
            env={**os.environ, **manager.environment()},
        )
        manager.wait_for("READY=1")
        process.terminate()
        said = manager.told[manager.wait_for("EXTEND_TIMEOUT_USEC")]
        assert process.wait(STOPS_WITHIN_S) == 0
    assert int(said.partition("=")[2]) / 1e6 > longest_close_s(settings) / RATE


@pytest.mark.long  # the supervisor gives other modules 25 s of the machine
def test_the_supervisor_waits_for_a_slow_shutter(tmp_path: Path, database_url: str) -> None:
    slow = SIMULATED.model_copy(
        update={"dome": SIMULATED.dome.model_copy(update={"shutter_s": 40.0})}
    )
    clock = Clock.simulated(datetime(2017, 8, 18, 0, 0, tzinfo=UTC), 1.0)
    with Simulator(slow, clock, Config().site) as simulator:
        first = Process(simulator, clock, tmp_path, database_url)
        assert first.client.ask("open_dome") is True
        first.process.kill()
        first.process.wait()
        module = ModuleProcess("dome", tmp_path / "toros.conf.yaml", tmp_path / "dome.out")
        wait_until(first.safe, "the dome to be safe", 60)
        assert first.shutter() > 0
        stop_all([module], load_config(tmp_path / "toros.conf.yaml"))
        assert module.exit_status == 0
        assert first.shutter() == 0
