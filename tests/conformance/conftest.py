"""The server under test: the one at `--alpaca`, or our simulator on a fast clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.conformance.probe import Probe, Server
from toros.common.clock import Clock
from toros.common.config import Config
from toros.common.config.simulator import (
    CameraSettings,
    DomeSettings,
    FurtherSettings,
    MountSettings,
    SimulatorSettings,
)
from toros.simulator.server import Simulator

KINDS = {
    "telescope": "Telescope",
    "dome": "Dome",
    "camera": "Camera",
    "filterwheel": "FilterWheel",
    "focuser": "Focuser",
    "safetymonitor": "SafetyMonitor",
    "observingconditions": "ObservingConditions",
    "covercalibrator": "CoverCalibrator",
}
# Devices of our simulator: a fork and a German mount, a dome with a slit and a roof.
OURS = {"telescope": (0, 1), "dome": (0, 1)}
RATE = 30.0
EVENING = datetime(2017, 8, 17, 23, 30, tzinfo=UTC)
SETTINGS = SimulatorSettings(
    discovery=False,
    mount=MountSettings(slew_rate=20.0, settle_s=0.5),
    dome=DomeSettings(azimuth_rate=15.0, shutter_s=20.0),
    camera=CameraSettings(width=200, height=160, readout_s=1.0),
    further=FurtherSettings(
        mounts=(MountSettings(kind="german", slew_rate=20.0, settle_s=0.5),),
        domes=(DomeSettings(kind="roof", shutter_s=20.0),),
    ),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("Alpaca conformance")
    group.addoption("--alpaca", metavar="URL", help="server under test (default: our simulator)")
    group.addoption(
        "--alpaca-number",
        type=int,
        metavar="N",
        help="device number (default: the lowest of each kind)",
    )
    group.addoption(
        "--alpaca-wait",
        type=float,
        default=300.0,
        metavar="SECONDS",
        help="how long a device may take to finish what it began (default: 300)",
    )


def address(config: pytest.Config) -> str | None:
    # The options are only known when pytest was pointed at this folder.
    found: str | None = config.getoption("--alpaca", default=None)
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for kind in KINDS:
        if kind in metafunc.fixturenames:
            numbers: tuple[int | None, ...] = (
                OURS.get(kind, (0,))
                if address(metafunc.config) is None
                else (metafunc.config.getoption("--alpaca-number", default=None),)
            )
            ids = [kind if number is None else f"{kind}{number}" for number in numbers]
            metafunc.parametrize(kind, numbers, ids=ids, indirect=True)
    if "device" in metafunc.fixturenames:
        metafunc.parametrize("device", list(KINDS), indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let a device that goes through its paces at the server's own speed take its time."""
    for item in items:
        if Path(item.path).parent == Path(__file__).parent and address(item.config):
            item.add_marker(pytest.mark.timeout(3600))


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with ExitStack() as stack:
        url = address(request.config)
        ours = url is None
        if url is None:
            simulator = Simulator(SETTINGS, Clock.simulated(EVENING, RATE), Config().site)
            url = stack.enter_context(simulator).url
        wait_s = request.config.getoption("--alpaca-wait", default=300.0)
        server = Server(url.rstrip("/"), fresh=ours, wait_s=wait_s)
        stack.callback(server.close)
        yield server


def _connected(server: Server, kind: str, number: int | None) -> Probe:
    numbers = server.numbers(kind)
    if number is None and numbers:
        number = numbers[0]
    if number not in numbers:
        pytest.skip(f"the server has no {KINDS[kind]} {'' if number is None else number}".strip())
    probe = Probe(server, kind, number)
    probe.ensure_connected()
    return probe


def _fixture(kind: str) -> object:
    @pytest.fixture(name=kind)
    def connected(server: Server, request: pytest.FixtureRequest) -> Probe:
        return _connected(server, kind, request.param)

    return connected


telescope = _fixture("telescope")
dome = _fixture("dome")
camera = _fixture("camera")
filterwheel = _fixture("filterwheel")
focuser = _fixture("focuser")
safetymonitor = _fixture("safetymonitor")
observingconditions = _fixture("observingconditions")
covercalibrator = _fixture("covercalibrator")


@pytest.fixture
def device(server: Server, request: pytest.FixtureRequest) -> Probe:
    """Each kind of device in turn."""
    number = request.config.getoption("--alpaca-number", default=None)
    return _connected(server, request.param, number)
