"""The server itself: its port, its end, and its life as a process."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
import requests

from tests.support.ports import free_port
from tests.support.waiting import wait_until
from toros.cli.serve import simulator_settings
from toros.common.clock import Clock
from toros.common.config import Config
from toros.common.config.loader import DEFAULT_PATH, VARIABLE
from toros.common.config.simulator import SimulatorSettings
from toros.common.errors import AddressInUse, TorosError
from toros.simulator.server import Simulator

QUIET = SimulatorSettings(discovery=False)

PROGRAM = """
import sys
from toros.common.config import Config
from toros.common.clock import Clock
from toros.simulator.server import serve
config = Config.model_validate({
    "services": {"simulator": {"ip": "127.0.0.1", "port": int(sys.argv[1])}},
    "simulator": {"discovery": False},
})
serve(config, Clock())
"""


def answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/management/apiversions", timeout=5).ok
    except requests.ConnectionError:
        return False


def test_a_port_that_is_taken_is_said():
    with (
        Simulator(QUIET, Clock(), Config().site) as first,
        pytest.raises(AddressInUse, match=str(first.port)),
    ):
        Simulator(QUIET, Clock(), Config().site, port=first.port)


def test_an_address_that_is_not_ours_is_said():
    with pytest.raises(TorosError, match="cannot listen"):
        Simulator(QUIET, Clock(), Config().site, host="192.0.2.1")


def test_a_stopped_simulator_frees_its_port():
    with Simulator(QUIET, Clock(), Config().site) as first:
        port = first.port
        assert answers(first.url)
    assert not answers(first.url)
    with Simulator(QUIET, Clock(), Config().site, port=port) as second:
        assert answers(second.url)


def test_a_simulator_that_never_started_can_be_stopped():
    Simulator(QUIET, Clock(), Config().site).stop()


def test_no_configuration_is_needed(monkeypatch):
    """Other projects have no /etc/toros: the defaults, and no log file."""
    if DEFAULT_PATH.exists():
        pytest.skip(f"this machine has a {DEFAULT_PATH}")
    monkeypatch.delenv(VARIABLE, raising=False)
    settings = simulator_settings(None)
    assert settings.logging.file is None
    assert settings.service("simulator").listening_port == 11111
    assert settings.simulator == SimulatorSettings()


def test_sigterm_ends_the_process_cleanly():
    port = free_port()
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(port)]) as process:
        try:
            wait_until(lambda: answers(f"http://127.0.0.1:{port}"), "the simulator")
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
