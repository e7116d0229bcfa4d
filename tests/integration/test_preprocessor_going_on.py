"""`toros calibrate` goes on where it was interrupted, unless something has changed since."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.night_frames import Camera
from tests.support.preprocessor_node import ROOT
from tests.support.waiting import wait_until
from toros.archive.models import FileBatch, StepRun
from toros.common.clock import Clock
from toros.common.config import Config
from toros.common.database import make_engine, make_sessions
from toros.common.errors import Cancelled, FolderInUse
from toros.common.folder_lock import folder_lock
from toros.preprocessor.reduce import BatchReport, reduce_folder

LIGHTS = 4


def write_frames(folder: Path, size: int = 64, lights: int = LIGHTS) -> Path:
    camera = Camera(folder, width=size, height=size)
    camera.bias(3)
    camera.dark(30.0, 3)
    camera.flat("V", 3)
    for number in range(lights):
        camera.light(f"ngc4993_{number:02d}")
    return folder


def products(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.fits")}


class Interrupted:
    """A folder whose reduction was cancelled while its third light was calibrated."""

    def __init__(
        self,
        folder: Path,
        sessions: sessionmaker[Session],
        write: Callable[[Path], Path] = write_frames,
    ) -> None:
        self.raw, self.out = write(folder / "raw"), folder / "out"
        self.sessions = sessions
        self.told: list[str] = []
        cancelled = threading.Event()

        def stop(step: str, done: int, total: int) -> None:
            if (step, done) == ("calibrate", 2):
                cancelled.set()

        with pytest.raises(Cancelled):
            self.reduce(progress=stop, cancelled=cancelled)

    def reduce(self, raw: Path | None = None, hot: float = 10.0, **more: Any) -> BatchReport:
        config = Config.model_validate(
            {"preprocessor": {"previews": False, "report": False, "hot_pixel_rate": hot}}
        )
        return reduce_folder(
            raw or self.raw,
            self.out,
            self.sessions,
            config,
            Clock(),
            threads=1,
            tell=self.told.append,
            **more,
        )

    def attempts(self) -> dict[tuple[str, str], int]:
        with self.sessions() as session:
            batch = session.scalars(select(FileBatch).order_by(FileBatch.id)).first()
            assert batch is not None
            query = select(StepRun).where(
                StepRun.file_batch_id == batch.id, StepRun.generation == batch.generation
            )
            return {(row.step, row.key): row.attempts for row in session.scalars(query)}

    def generation(self) -> int:
        with self.sessions() as session:
            return session.scalars(select(FileBatch.generation)).one()


@pytest.fixture
def interrupted(tmp_path: Path, sessions: sessionmaker[Session]) -> Interrupted:
    return Interrupted(tmp_path, sessions)


def test_what_is_done_is_not_done_again(interrupted: Interrupted) -> None:
    before = {path: path.stat().st_mtime_ns for path in interrupted.out.glob("*.fits")}
    assert len(before) == 4 + 3
    report = interrupted.reduce()
    assert report.document["problems"] == []
    assert len(report.document["products"]) == 4 + LIGHTS
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert set(interrupted.attempts().values()) == {1}
    assert interrupted.generation() == 1
    # 13 frames, the three masters, the mask, three lights.
    assert interrupted.told == ["An earlier run was interrupted: gone on with, 20 units are done."]


def test_a_run_that_came_to_its_end_begins_anew(interrupted: Interrupted) -> None:
    interrupted.reduce()
    interrupted.told.clear()
    interrupted.reduce()
    assert interrupted.generation() == 2
    assert interrupted.told == []


def _another_frame(raw: Path) -> None:
    Camera(raw.parent / "more", width=64, height=64).bias(4)[-1].rename(raw / "bias_new.fits")


def _other_bytes(raw: Path) -> None:
    frame = sorted(raw.glob("bias*"))[0]
    content = bytearray(frame.read_bytes())
    content[-2000] ^= 1
    frame.write_bytes(content)


def _cut_off(raw: Path) -> None:
    frame = sorted(raw.glob("bias*"))[0]
    frame.write_bytes(frame.read_bytes()[:3000])


def _gone(raw: Path) -> None:
    sorted(raw.glob("bias*"))[0].unlink()


def _product_gone(raw: Path) -> None:
    next((raw.parent / "out").glob("master_flat*")).unlink()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_another_frame, "since bias_new.fits is new"),
        (_other_bytes, "is not as it was"),
        (_cut_off, "is not as it was"),
        (_gone, "is gone"),
        (_product_gone, "is gone"),
    ],
)
def test_what_has_changed_since_begins_anew(
    change: Callable[[Path], None], why: str, interrupted: Interrupted
) -> None:
    change(interrupted.raw)
    interrupted.reduce()
    assert interrupted.generation() == 2
    (told,) = interrupted.told
    assert told.startswith("An earlier run was interrupted: begun anew, since ")
    assert why in told


def test_other_settings_begin_anew(interrupted: Interrupted) -> None:
    interrupted.reduce(hot=5.0)
    assert interrupted.generation() == 2
    assert interrupted.told == [
        "An earlier run was interrupted: begun anew, since its settings were others."
    ]


def test_a_frame_that_can_still_not_be_read_is_no_change(
    tmp_path: Path, sessions: sessionmaker[Session]
) -> None:
    def broken(folder: Path) -> Path:
        raw = write_frames(folder)
        (raw / "light_broken.fits").write_bytes(b"SIMPLE  =                    T")
        return raw

    one = Interrupted(tmp_path, sessions, broken)
    report = one.reduce()
    assert one.generation() == 1
    assert [problem["step"] for problem in report.document["problems"]] == ["ingest"]
    assert len(report.document["products"]) == 4 + LIGHTS


def toros(raw: Path, out: Path, *more: str | Path) -> list[str]:
    arguments = map(str, ("calibrate", raw, "--out", out, *more))
    return [sys.executable, "-m", "toros", *arguments]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )


def test_killed_by_force_the_command_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    lights = 40
    raw = write_frames(tmp_path / "raw", 512, lights)
    out, config = tmp_path / "out", tmp_path / "toros.conf.yaml"
    config.write_text("preprocessor: {previews: false, report: false}\n")
    command = toros(raw, out, "--config", config)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        wait_until(lambda: len(list(out.glob("calib_*.fits"))) > 5, "some lights", 60)
        process.kill()
    before = calibrated(out / "archive.db")
    assert 0 < len(before) < lights, "the command was over before it could be killed"
    done = run(command)
    assert done.returncode == 0, done.stderr
    assert "gone on with" in done.stderr
    after = calibrated(out / "archive.db")
    assert len(after) == lights
    assert {key: after[key] for key in before} == before
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")]
    assert run(toros(raw, tmp_path / "whole", "--config", config)).returncode == 0
    assert products(out) == products(tmp_path / "whole")


def calibrated(archive: Path) -> dict[str, tuple[Any, ...]]:
    """Return when each light was done, and how often it was begun."""
    engine = make_engine(f"sqlite:///{archive}")
    with make_sessions(engine)() as session:
        rows = session.scalars(
            select(StepRun).where(StepRun.step == "calibrate", StepRun.state == "done")
        ).all()
    engine.dispose()
    return {row.key: (row.generation, row.attempts, row.finished) for row in rows}


def test_two_commands_do_not_write_into_one_folder(tmp_path: Path) -> None:
    raw, out = write_frames(tmp_path / "raw"), tmp_path / "out"
    with folder_lock(out):
        done = run(toros(raw, out))
        assert done.returncode == 1
        assert f"Another process is writing into {out}" in done.stderr
        assert f"(code {FolderInUse.code})" in done.stderr
        assert list(out.iterdir()) == []
    with folder_lock(out):
        pass


def test_products_that_can_go_nowhere_are_said_in_one_line(tmp_path: Path) -> None:
    raw, out = write_frames(tmp_path / "raw"), tmp_path / "file"
    out.write_text("no folder")
    done = run(toros(raw, out))
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith(f"toros: {out} cannot be written into")


def test_what_failed_is_tried_again(tmp_path: Path, sessions: sessionmaker[Session]) -> None:
    in_the_way = tmp_path / "out" / "calib_ngc4993_00.fits"
    (in_the_way / "full").mkdir(parents=True)
    one = Interrupted(tmp_path, sessions)
    (in_the_way / "full").rmdir()
    in_the_way.rmdir()
    report = one.reduce()
    assert one.generation() == 1
    assert report.document["problems"] == []
    assert in_the_way.is_file()


def test_another_version_begins_anew(
    interrupted: Interrupted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toros.preprocessor.going_on.__version__", "0.0.9")
    interrupted.reduce()
    assert interrupted.generation() == 2
    (told,) = interrupted.told
    assert "since it was begun with TOROS" in told
