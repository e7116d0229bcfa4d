"""Our client against an Alpaca server that is not ours: `alpaca-simulators` of PyPI.

It is no dependency of TOROS: `make test` installs it apart, and so does `pipx install
alpaca-simulators`. It works without a network but for light frames, whose stars it looks up at
Gaia. It has no management API, speaks the interfaces before Platform 7, moves at once where a
device would take time, and runs in real time.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.ports import free_port
from tests.support.waiting import wait_until
from toros.alpaca import (
    open_camera,
    open_dome,
    open_filter_wheel,
    open_focuser,
    open_mount,
    open_safety_monitor,
    open_weather,
)
from toros.common.clock import Clock
from toros.common.config import Device

COMMAND = os.environ.get("ALPACA_SIMULATORS") or shutil.which("alpaca-simulators")
pytestmark = pytest.mark.skipif(
    COMMAND is None,
    reason="no alpaca-simulators on the PATH or in $ALPACA_SIMULATORS (pipx install it)",
)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    port, folder = free_port(), tmp_path_factory.mktemp("other")
    log = Path(folder / "log")
    with (
        log.open("w") as out,
        subprocess.Popen(
            [str(COMMAND), "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder,
            stdout=out,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        url = f"http://127.0.0.1:{port}"

        def answers() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                return requests.get(f"{url}/api/v1/dome/0/name", timeout=5).ok
            except requests.ConnectionError:
                return False

        try:
            wait_until(answers, "the other server", 60.0)
            yield Device(alpaca=url, number=0)
        finally:
            process.terminate()


def test_its_mount_slews_and_parks(other):
    mount = open_mount(other, Clock())
    mount.unpark()
    mount.set_tracking(True)
    start = mount.state()
    goal = (start.ra_deg + 10.0) % 360.0
    mount.slew(goal, 60.0, timeout_s=60)
    there = mount.state()
    assert there.ra_deg == pytest.approx(goal, abs=0.01)
    assert there.dec_deg == pytest.approx(60.0, abs=0.01)
    assert there.tracking
    mount.park(60)
    assert mount.state().at_park


def test_its_dome_turns_opens_and_closes(other):
    dome = open_dome(other, Clock())
    dome.open_shutter()
    dome.slew_azimuth(77.0)
    state = dome.state()
    assert state.shutter == "open"
    assert state.azim_deg == pytest.approx(77.0, abs=0.5)
    dome.close_shutter()
    dome.park()
    state = dome.state()
    assert state.shutter == "closed"
    assert state.at_park


def test_its_camera_takes_a_dark(other):
    camera = open_camera(other, Clock())
    info = camera.describe()
    assert (info.width, info.height) == (1024, 1024)
    camera.cool(-10.0)
    frame = camera.expose(1.0, light=False)
    assert frame.pixels.shape == (1024, 1024)
    assert frame.exptime_s == pytest.approx(1.0)
    assert frame.pixels.std() > 0.0


def test_its_other_devices_answer(other):
    wheel = open_filter_wheel(other, Clock())
    name = wheel.names()[1]
    wheel.select(name)
    assert wheel.current() == name
    focuser = open_focuser(other, Clock())
    goal = focuser.position() + 100
    focuser.move(goal)
    assert focuser.position() == goal
    assert open_safety_monitor(other, Clock()).is_safe() in (True, False)
    assert open_weather(other, Clock()).read()["humidity_percent"] > 0.0
