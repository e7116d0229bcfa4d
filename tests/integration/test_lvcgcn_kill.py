"""The robot killed again and again while notices arrive: none is lost, none is relayed twice."""

from __future__ import annotations

import base64
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import yaml
from astropy.io import fits
from sqlalchemy.orm import Session, sessionmaker

from tests.support.alert_house import REPLAY, AlertHouse, alert_house
from tests.support.mock_kafka import QUICK, MockCluster
from tests.support.ports import free_port
from tests.support.waiting import wait_until

TOPIC = "igwn.gwalert"


class Robot:
    """`toros serve lvcgcn` as a process of its own."""

    def __init__(self, configuration: Path, log: Path) -> None:
        start = "from toros.cli.main import main; main()"
        serve = ["serve", "lvcgcn", "--config", str(configuration)]
        self._command = [sys.executable, "-c", start, *serve]
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait(20)


@pytest.fixture
def house(tmp_path: Path, sessions: sessionmaker[Session]) -> Iterator[AlertHouse]:
    with alert_house(tmp_path, sessions) as found:
        yield found


def configuration(house: AlertHouse, database_url: str, cluster: MockCluster, folder: Path) -> Path:
    document = house.document(
        drill_mode=True,
        sources={
            "kafka": [
                {
                    "brokers": cluster.address,
                    "encrypted": False,
                    "heartbeat_topic": None,
                    "options": QUICK,
                }
            ],
            "folders": [{"path": str(folder), "poll_s": 0.1}],
        },
    )
    document |= {
        "database": {"url": database_url},
        "services": {"lvcgcn": {"ip": "127.0.0.1", "port": free_port()}},
        "logging": {"file": None},
        "clock": {
            "start": datetime.fromtimestamp(house.clock.start, UTC).isoformat(),
            "anchor": house.clock.anchor,
        },
    }
    path = house.folder / "toros.conf.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def small_map() -> str:
    """A map of 10 kB in base64: the mock cluster keeps 5 MiB and forgets what is older."""
    count = 12 * 4**2
    columns = {
        "PROBDENSITY": np.full(count, 1 / (4 * np.pi)),
        "DISTMU": np.full(count, 40.0),
        "DISTSIGMA": np.full(count, 8.0),
        "DISTNORM": np.full(count, 1 / 1600.0),
    }
    hdu = fits.BinTableHDU.from_columns(
        [fits.Column(name, "D", array=values) for name, values in columns.items()]
    )
    hdu.header.update({"ORDERING": "NESTED", "NSIDE": 4, "COORDSYS": "C"})
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(out)
    return base64.b64encode(out.getvalue()).decode()


def kills(house: AlertHouse, database_url: str, count: int) -> None:
    """Send events while the robot is killed `count` times, at moments that nobody chose."""
    chance = random.Random(1)  # noqa: S311
    folder = house.folder / "drop"
    folder.mkdir()
    record = json.loads(REPLAY.notice)
    record["event"]["skymap"] = small_map()
    with ExitStack() as stack:
        cluster = stack.enter_context(MockCluster())
        cluster.create(TOPIC)
        where = configuration(house, database_url, cluster, folder)
        robot = Robot(where, house.folder / "robot.log")
        stack.callback(robot.kill)
        pause, sent = threading.Event(), []
        for number in range(count):
            robot.start()
            before = len(house.telescope.done)
            for part in range(2):
                name = f"S{number}{'ab'[part]}"
                content = json.dumps({**record, "superevent_id": name}).encode()
                cluster.produce(TOPIC, content)
                if chance.random() < 0.5:  # the same by another way
                    (folder / f".{name}").write_bytes(content)
                    (folder / f".{name}").rename(folder / f"{name}.json")
                sent.append(name)
            if chance.random() < 0.7:  # in the middle of its work
                wait_until(lambda b=before: len(house.telescope.done) > b, "an order", 120)
                pause.wait(chance.uniform(0.0, 0.5))
            else:  # while it starts
                pause.wait(chance.uniform(0.3, 2.0))
            robot.kill()
        # The kills came while it worked, and not only while it started.
        assert len(house.events()) > 0
        robot.start()
        wait_until(
            lambda: set(sent) <= set(house.telescope.events), "all events to be relayed", 600
        )
        wait_until(lambda: not [*folder.glob("S*.json")], "the folder to be empty")
        robot.kill()
    lost = set(sent) - set(house.events())
    assert not lost
    assert {event: n for event, n in Counter(house.telescope.events).items() if n > 1} == {}
    assert {event: n for event, n in Counter(house.events()).items() if n > 1} == {}
    assert {state for states in house.states().values() for state in states} == {"relayed"}
    # The broker's own end, after the last kill, is nobody's problem here.
    assert not [event.message for event in house.problems() if "could not" in event.message]


def test_six_kills_lose_nothing(house: AlertHouse, database_url: str) -> None:
    kills(house, database_url, 6)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_two_hundred_kills_lose_nothing(house: AlertHouse, database_url: str) -> None:
    kills(house, database_url, int(os.environ.get("TOROS_KILLS", "200")))
