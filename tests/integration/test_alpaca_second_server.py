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
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from astropy.io import fits
from sqlalchemy.orm import Session, sessionmaker

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
from toros.common.client import FrontDeskClient
from toros.common.clock import Clock
from toros.common.config import Config, Device, Service
from toros.common.config.dome import DomeSettings
from toros.common.config.models import Data, Devices
from toros.common.config.telescope import TelescopeSettings
from toros.common.daemon import Daemon
from toros.common.module import Context
from toros.dome.daemon import build as build_dome
from toros.telescope.daemon import build as build_telescope

DARK = datetime(2017, 8, 17, 23, 20, tzinfo=UTC)
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


def test_the_daemons_drive_it(
    other: Device, tmp_path: Path, sessions: sessionmaker[Session]
) -> None:
    """An evening by hand: open, point, park and close, and a dark frame."""
    config = Config(
        services={
            name: Service(ip="127.0.0.1", port=free_port())
            for name in ("dome", "telescope", "preprocessor")
        },
        devices=Devices(
            mount=other,
            dome=other,
            camera=other,
            filter_wheel=other,
            focuser=other,
            safety_monitor=[other],
        ),
        data=Data(raw=tmp_path / "raw", products=tmp_path / "products"),
        dome=DomeSettings(shutter_needs_parked_mount=True, safety_poll_s=1.0),
        telescope=TelescopeSettings.model_validate({"focus": {"enabled": False}}),
    )
    context = Context(config, Clock.simulated(DARK, 1.0), sessions)
    mount = open_mount(other, context.clock)
    mount.park(60)
    daemons = [Daemon(build(context), context) for build in (build_dome, build_telescope)]
    for daemon in daemons:
        daemon.start()
    try:
        dome, telescope = (FrontDeskClient.of(config, name) for name in ("dome", "telescope"))
        wait_until(lambda: dome.ask("dome_status")["safe"], "the dome to be safe", 60)
        assert dome.ask("open_dome") is True
        assert dome.ask("dome_status")["open"] is True
        assert dome.ask("set_azim", azim=123.0) is True
        pointed = telescope.ask("point", ra=204.25, dec=-29.87, wait=60)
        assert pointed["ra"] == pytest.approx(204.25, abs=0.02)
        assert mount.state().dec_deg == pytest.approx(-29.87, abs=0.02)
        # The dome's module parks the mount itself before the shutter passes over it.
        assert dome.ask("close_dome") is True
        assert open_dome(other, context.clock).shutter() == "closed"
        assert mount.parked()
        done = telescope.ask("take_calibration_frames", kind="dark", count=1, exptime=1.0, wait=90)
        assert [fits.getheader(path)["EXPTIME"] for path in done["paths"]] == [1.0]
        assert dome.ask("park_position") is True
    finally:
        for daemon in reversed(daemons):
            daemon.stop()
