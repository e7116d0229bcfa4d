"""`kill -9` between two units: after a restart the batch is finished and nothing was done twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.night_frames import Camera
from tests.support.preprocessor_node import Node
from tests.support.product_identity import identity_of, recorded_identity
from tests.support.waiting import wait_until
from toros.archive.models import Combination, StepRun

ROOT = Path(__file__).parents[2]


@pytest.fixture
def node(tmp_path: Path, database_url: str) -> Iterator[Node]:
    made = Node(tmp_path, database_url)
    yield made
    made.kill()


@dataclass(frozen=True)
class Done:
    """What a finished unit left: its record and its product."""

    id: int
    attempts: int
    finished: Any
    product: str | None
    modified_ns: int | None
    sha256: str | None


def done_units(sessions: sessionmaker[Session]) -> dict[tuple[str, str], Done]:
    with sessions() as session:
        query = select(StepRun, Combination).outerjoin(
            Combination, Combination.id == StepRun.combination_id
        )
        rows = list(session.execute(query.where(StepRun.state == "done")))
    found = {}
    for run, product in rows:
        path = Path(product.path) if product else None
        found[run.step, run.key] = Done(
            run.id,
            run.attempts,
            run.finished,
            product.path if product else None,
            path.stat().st_mtime_ns if path else None,
            hashlib.sha256(path.read_bytes()).hexdigest() if path else None,
        )
    return found


def a_night(folder: Path) -> int:
    """Write frames large enough that a unit takes a while; return how many units there will be."""
    camera = Camera(folder, width=512, height=512)
    frames = [*camera.bias(3), *camera.dark(30.0, 3), *camera.dark(60.0, 3), *camera.flat("V", 3)]
    frames += [camera.light(f"ngc4993_{number}", exptime=60.0) for number in range(6)]
    return len(frames) + 1 + 2 + 1 + 1 + 6


# After the ingest of some frames, the first master, the last master, some lights.
@pytest.mark.parametrize("units", [5, 19, 22, 25])
def test_a_restart_repeats_nothing_that_was_done(
    node: Node, sessions: sessionmaker[Session], units: int
) -> None:
    total = a_night(node.folder / "RAW" / "20240309")
    client = node.start()
    client.send(
        "calibrate_file_batch", id="night", wait=0, url=str(node.folder / "RAW" / "20240309")
    )
    wait_until(_has_done(sessions, units), f"{units} units to be done", 60)
    node.kill()
    before = done_units(sessions)
    assert units <= len(before) < total, "the batch was over before it could be killed"

    client = node.start()
    reply = client.send(
        "calibrate_file_batch", id="night", wait=120, url=str(node.folder / "RAW" / "20240309")
    )
    assert reply.status == "completed", reply
    assert reply.result["problems"] == []
    after = done_units(sessions)
    assert len(after) == total
    for key, unit in before.items():
        assert after[key] == unit, key
        assert unit.attempts == 1
    # Only what was being done when the process died, two threads at most, began a second time.
    again = [key for key, unit in after.items() if unit.attempts > 1]
    assert len(again) <= 2
    _check_archive(sessions, node.folder / "PRODUCTS")


def _has_done(sessions: sessionmaker[Session], units: int) -> Callable[[], bool]:
    def enough() -> bool:
        with sessions() as session:
            return (
                len(session.scalars(select(StepRun.id).where(StepRun.state == "done")).all())
                >= units
            )

    return enough


def _check_archive(sessions: sessionmaker[Session], products: Path) -> None:
    """The archive and the disk hold the same products, once each, and nothing half-written."""
    with sessions() as session:
        rows = {row.path: recorded_identity(row) for row in session.scalars(select(Combination))}
    assert rows == {str(path): identity_of(path) for path in products.rglob("*") if path.is_file()}


def test_the_state_of_a_batch_survives_sigterm(node: Node, sessions: sessionmaker[Session]) -> None:
    total = a_night(node.folder / "RAW" / "20240309")
    client = node.start()
    client.send(
        "calibrate_file_batch", id="night", wait=0, url=str(node.folder / "RAW" / "20240309")
    )
    wait_until(_has_done(sessions, 19), "19 units to be done", 60)
    assert node.process is not None
    node.process.terminate()
    assert node.process.wait(60) == 0
    before = done_units(sessions)
    client = node.start()
    wait_until(
        lambda: client.send("work_order_status", work_order="night").result["state"] == "completed",
        "the order to be completed",
        60,
    )
    after = done_units(sessions)
    assert len(after) == total
    assert {unit.attempts for unit in after.values()} == {1}
    assert all(after[key] == unit for key, unit in before.items())
