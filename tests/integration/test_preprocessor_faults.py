"""Whatever befalls a batch, in the end its products are those of an undisturbed run, to the byte.

Killed at random moments, a disk full at any write, a source that vanishes midway, a file that may
grow no further: what is recorded is true, nothing half-written stays, the rest goes on.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.night_frames import Camera
from tests.support.preprocessor_node import ROOT, Node
from toros.archive.models import FileBatch
from toros.archive.schema import upgrade
from toros.common.clock import Clock
from toros.common.config import Config
from toros.common.database import make_engine, make_sessions
from toros.common.errors import Cancelled, DiskFull, UnreadableFile
from toros.preprocessor.reduce import BatchReport, reduce_folder

SIZE = 160
LIGHTS = 4


def write_frames(folder: Path, size: int = SIZE) -> Path:
    camera = Camera(folder, width=size, height=size)
    camera.bias(4)
    camera.dark(30.0, 4)
    camera.flat("V", 4)
    for number in range(LIGHTS):
        camera.light(f"ngc4993_{number}", OBJECT="NGC 4993")
    return folder


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_frames(tmp_path_factory.mktemp("frames") / "raw")


class Archive:
    """An archive of its own, on a disk that is not full."""

    def __init__(self, folder: Path) -> None:
        self._engine = make_engine(f"sqlite:///{folder / 'archive.db'}")
        upgrade(self._engine)
        self.sessions = make_sessions(self._engine)

    def close(self) -> None:
        self._engine.dispose()


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    made = Archive(tmp_path)
    yield made
    made.close()


def reduce(archive: Archive, frames: Path, out: Path, **more: Any) -> BatchReport:
    config = Config.model_validate({"preprocessor": {"previews": False, "report": False}})
    return reduce_folder(frames, out, archive.sessions, config, Clock(), **more)


def products(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def undisturbed(frames: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    archive = Archive(folder)
    report = reduce(archive, frames, folder / "out")
    archive.close()
    assert report.document["problems"] == []
    found = products(folder / "out")
    assert len(found) == 4 + LIGHTS
    return found


def check_whole(folder: Path, undisturbed: dict[str, bytes]) -> None:
    """Nothing half-written, and what is there is what an undisturbed run makes."""
    for name, content in products(folder).items():
        assert not name.startswith("."), name
        # What was made without a master that had no room is another file, but a whole one.
        if undisturbed.get(name) != content:
            with fits.open(folder / name, checksum=True) as hdus:
                hdus.verify("exception")


# --- the same bytes --------------------------------------------------------------------------


def test_the_same_input_twice_gives_the_same_bytes(
    frames: Path, archive: Archive, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    for threads in (1, 3):
        out = tmp_path / f"out{threads}"
        reduce(archive, frames, out, threads=threads)
        assert products(out) == undisturbed


# --- a full disk -----------------------------------------------------------------------------


class TinyDisk:
    """A disk of so many bytes: a real one, in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mounted = False

    def make(self, size: int) -> Path:
        self.remove()
        self.folder.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(self.folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
        self.mounted = True
        return self.folder

    def enlarge(self, size: int) -> None:
        command = ["mount", "-o", f"remount,size={size}", str(self.folder)]
        subprocess.run(command, check=True)

    def remove(self) -> None:
        if self.mounted:
            subprocess.run(["/usr/bin/env", "umount", str(self.folder)], check=True)
            self.mounted = False


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[TinyDisk]:
    made = TinyDisk(tmp_path / "disk")
    yield made
    made.remove()


def fill_and_recover(
    part: float, frames: Path, archive: Archive, disk: TinyDisk, undisturbed: dict[str, bytes]
) -> None:
    """Reduce onto a disk with room for a part of the products, then make room."""
    wanted = sum(map(len, undisturbed.values()))
    out = disk.make(max(4096, int(part * wanted))) / "out"
    report = reduce(archive, frames, out)
    codes = {problem["code"] for problem in report.document["problems"]}
    assert DiskFull.code in codes
    assert report.failed
    failed = [row for row in report.document["exposures"] if row["code"] == DiskFull.code]
    assert failed
    assert all("no room" in row["error"] for row in failed)
    check_whole(out, undisturbed)
    disk.enlarge(4 * wanted)
    again = reduce(archive, frames, out)
    assert again.document["problems"] == []
    assert {row["path"] for row in again.document["products"]} == {
        str(out / name) for name in undisturbed
    }
    # Masters of fewer frames, made while there was no room, may lie beside them; never instead.
    found = products(out)
    assert {name: found[name] for name in undisturbed} == undisturbed


@pytest.mark.parametrize("part", [0.02, 0.2, 0.5, 0.9])
def test_a_full_disk_costs_what_had_no_room_and_nothing_else(
    part: float, frames: Path, archive: Archive, disk: TinyDisk, undisturbed: dict[str, bytes]
) -> None:
    fill_and_recover(part, frames, archive, disk, undisturbed)


@pytest.mark.long
@pytest.mark.parametrize("step", range(1, 50))
def test_a_disk_full_at_any_write(
    step: int, frames: Path, archive: Archive, disk: TinyDisk, undisturbed: dict[str, bytes]
) -> None:
    fill_and_recover(step / 51, frames, archive, disk, undisturbed)


@pytest.mark.parametrize("size", [200_000, 700_000, 900_000])
def test_the_command_on_a_full_disk_says_so_in_one_line(
    size: int, frames: Path, disk: TinyDisk
) -> None:
    """The archive is on the full disk too."""
    out = disk.make(size) / "out"
    done = toros("calibrate", frames, "--out", out)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "full" in done.stderr or "no room" in done.stderr


def toros(*arguments: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "toros", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120, **more
    )


def test_a_file_that_may_grow_no_further_is_no_product(
    frames: Path, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    """A quota, as the system enforces it: no file over 200 kB, which no master is."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    config = tmp_path / "toros.conf.yaml"
    database = tmp_path / "archive.db"
    config.write_text(
        f"database: {{url: 'sqlite:///{database}'}}\nlogging: {{file: null}}\n"
        "preprocessor: {previews: false, report: false}\n"
    )
    assert toros("db", "upgrade", "--config", config).returncode == 0
    out = tmp_path / "out"
    # Python ignores SIGXFSZ: a write beyond the limit is an error like any other.
    limited = toros(
        "calibrate", frames, "--out", out, "--config", config, "--json", preexec_fn=limit
    )
    assert limited.returncode == 1
    assert "Traceback" not in limited.stderr
    check_whole(out, undisturbed)
    free = toros("calibrate", frames, "--out", out, "--config", config, "--json")
    assert free.returncode == 0, free.stderr
    assert json.loads(free.stdout)["problems"] == []
    assert products(out) == undisturbed


def test_a_folder_that_may_not_be_written(frames: Path, archive: Archive, tmp_path: Path) -> None:
    if os.getuid() == 0:
        out = tmp_path / "file"
        out.write_text("no folder")  # root may write anywhere: a file in the way stops it
    else:
        out = tmp_path / "closed"
        out.mkdir(mode=0o500)
    report = reduce(archive, frames, out / "deep")
    assert report.failed
    assert {row["state"] for row in report.document["exposures"]} == {"failed"}


# --- a source that vanishes ------------------------------------------------------------------


@pytest.mark.parametrize("step", ["ingest", "master_dark", "calibrate"])
def test_a_source_that_vanishes_midway(
    step: str, frames: Path, archive: Archive, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    raw, gone, out = tmp_path / "raw", tmp_path / "gone", tmp_path / "out"
    shutil.copytree(frames, raw)

    def vanish(name: str, done: int, total: int) -> None:
        if name == step and raw.exists() and (done > 0 or name == "master_dark"):
            raw.rename(gone)

    report = reduce(archive, raw, out, threads=1, progress=vanish)
    lost = [row for row in report.document["exposures"] if row["code"] == UnreadableFile.code]
    assert lost
    assert report.failed
    check_whole(out, undisturbed)
    gone.rename(raw)
    again = reduce(archive, raw, out)
    assert again.document["problems"] == []
    found = products(out)
    assert {name: found[name] for name in undisturbed} == undisturbed


def test_a_cancelled_run_can_be_taken_up(
    frames: Path, archive: Archive, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    import threading

    cancelled = threading.Event()

    def stop(name: str, done: int, total: int) -> None:
        if (name, done) == ("calibrate", 1):
            cancelled.set()

    with pytest.raises(Cancelled):
        reduce(archive, frames, tmp_path / "out", threads=1, progress=stop, cancelled=cancelled)
    check_whole(tmp_path / "out", undisturbed)
    reduce(archive, frames, tmp_path / "out")
    assert products(tmp_path / "out") == undisturbed


# --- kill -9 ---------------------------------------------------------------------------------


@pytest.fixture
def node(tmp_path: Path, database_url: str) -> Iterator[Node]:
    made = Node(tmp_path, database_url)
    yield made
    made.kill()


def kill_at_random(node: Node, sessions: sessionmaker[Session], kills: int, seed: int) -> None:
    """Kill the preprocessor again and again over one batch, restarted whenever it was done."""
    random_moment = random.Random(seed)  # noqa: S311 - moments, not secrets
    raw = node.folder / "RAW" / "20240309"
    write_frames(raw, 512)
    reference = Archive(node.folder)
    reduce(reference, raw, node.folder / "reference")
    reference.close()
    client = node.start()
    client.send("calibrate_file_batch", id="night", wait=0, url=str(raw))
    generations = 1
    for _ in range(kills):
        # While it starts, takes up its order, or works.
        node.kill_after(random_moment.uniform(0.0, 3.0))
        if _is_done(sessions):
            generations += 1
            client = node.start()
            client.send(
                "restart_file_batch", id=f"again{generations}", wait=0, file_batch="20240309"
            )
        else:
            node.launch()
    node.kill()
    client = node.start()
    reply = client.send("resume_file_batch", wait=200, file_batch="20240309")
    assert reply.status == "completed", reply
    assert reply.result["problems"] == []
    assert products(node.folder / "PRODUCTS") == products(node.folder / "reference")


def _is_done(sessions: sessionmaker[Session]) -> bool:
    with sessions() as session:
        states = session.scalars(select(FileBatch.state)).all()
    return list(states) == ["done"]


def test_killed_at_random_a_few_times(node: Node, sessions: sessionmaker[Session]) -> None:
    kill_at_random(node, sessions, kills=5, seed=1)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_killed_at_random_sixty_times(node: Node, sessions: sessionmaker[Session]) -> None:
    kill_at_random(node, sessions, kills=60, seed=2)
