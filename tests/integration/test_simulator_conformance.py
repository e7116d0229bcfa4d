"""The conformance suite finds what is wrong, and passes a server that it did not start."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from toros.common.clock import Clock
from toros.common.config import Config
from toros.common.config.simulator import CameraSettings, DomeSettings, SimulatorSettings
from toros.simulator.server import Simulator

ROOT = Path(__file__).parents[2]
SETTINGS = SimulatorSettings(
    discovery=False,
    dome=DomeSettings(azimuth_rate=15.0),
    camera=CameraSettings(width=80, height=64, readout_s=0.0),
)


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    clock = Clock.simulated(datetime(2017, 8, 17, 23, 30, tzinfo=UTC), 60.0)
    with Simulator(SETTINGS, clock, Config().site) as running:
        yield running


def failures(simulator: Simulator, *chosen: str) -> set[str]:
    """Return the names of the tests of the suite that fail."""
    paths = [f"tests/conformance/{name}" for name in chosen]
    options = ["--alpaca", simulator.url, "--alpaca-wait", "2", "-p", "no:cacheprovider", "-q"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *paths, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert re.search(r"\d+ (passed|failed)", done.stdout), done.stdout
    return set(re.findall(r"^(?:FAILED|ERROR) \S+::(\w+)", done.stdout, re.MULTILINE))


def test_a_server_at_an_address_passes(simulator):
    chosen = ("test_management.py", "test_filterwheel.py")
    assert failures(simulator, *chosen) == set()


def test_what_is_wrong_is_found(simulator):
    for fault in (
        {"fault": "wrong_value", "device": "dome", "member": "AtPark", "value": False},
        {"fault": "stuck", "device": "dome", "member": "shutter"},
        {"fault": "wrong_value", "device": "filterwheel", "member": "FocusOffsets", "value": [0]},
        {"fault": "stuck", "device": "filterwheel"},
        {"fault": "wrong_value", "device": "safetymonitor", "member": "IsSafe", "value": 1},
        {"fault": "garbage", "device": "focuser", "member": "MaxStep"},
    ):
        reply = requests.post(f"{simulator.url}/simulator/v1/faults", json=fault, timeout=20)
        assert reply.status_code == 201
    chosen = ("test_dome.py", "test_filterwheel.py", "test_safetymonitor.py", "test_focuser.py")
    found = failures(simulator, *chosen)
    assert found >= {
        "test_it_parks",
        "test_the_shutter_shows_where_it_is_going",
        "test_names_and_offsets_belong_together",
        "test_every_position_is_reached",
        "test_it_says_yes_or_no",
        "test_a_move_ends_where_it_should",
    }
    assert "test_home_is_found" not in found
    assert "test_positions_beyond_the_ends_are_refused" not in found
