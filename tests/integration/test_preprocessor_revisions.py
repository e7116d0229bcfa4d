"""A file batch reduced again: what was there stays until there is something new and whole."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from astropy.io import fits
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.night_frames import Camera
from tests.support.preprocessor_node import ROOT, Node
from tests.support.product_identity import identity_of, recorded_identity
from tests.support.waiting import wait_until
from tests.support.web_folder import WebFolder, serve
from toros.archive import queries
from toros.archive.models import Combination, Exposure
from toros.common.clock import Clock
from toros.common.config import Config
from toros.common.digests import sha256_of
from toros.common.errors import Cancelled, UnreadableFile
from toros.preprocessor.reduce import BatchReport, reduce_folder

Reduce = Callable[..., BatchReport]


@pytest.fixture
def reduce(tmp_path: Path, sessions: sessionmaker[Session]) -> Reduce:
    def run(raw: Path | list[Path], combine: str = "sigma_clip", **more: object) -> BatchReport:
        config = Config.model_validate(
            {"preprocessor": {"previews": False, "report": False, "combine": combine}}
        )
        out = tmp_path / "out"
        return reduce_folder(raw, out, sessions, config, Clock(), **more)  # type: ignore[arg-type]

    return run


def a_night(folder: Path) -> Camera:
    camera = Camera(folder, width=48, height=32)
    camera.bias(5)
    for name in ("a", "b", "c"):
        camera.light(name)
    return camera


def products(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("stop_after", [("master_bias", 0), ("master_bias", 1), ("calibrate", 1)])
def test_the_old_products_stay_until_the_new_ones_are_whole(
    tmp_path: Path, reduce: Reduce, sessions: sessionmaker[Session], stop_after: tuple[str, int]
) -> None:
    a_night(tmp_path / "raw")
    reduce(tmp_path / "raw", "mean")
    new = products(tmp_path / "out")
    reduce(tmp_path / "raw", "median")
    old = products(tmp_path / "out")
    assert old.keys() == new.keys()
    assert all(old[name] != new[name] for name in old)
    stop = threading.Event()

    def progress(step: str, done: int, total: int) -> None:
        if (step, done) == stop_after:
            stop.set()

    with pytest.raises(Cancelled):
        reduce(tmp_path / "raw", "mean", progress=progress, cancelled=stop, threads=1)
    between = products(tmp_path / "out")
    assert between.keys() == old.keys()
    for name, content in between.items():
        assert content in (old[name], new[name]), name
    assert any(between[name] == old[name] for name in old), "nothing was left to be made"
    with sessions() as session:
        for row in session.scalars(select(Combination)):
            assert recorded_identity(row) == identity_of(Path(row.path))
    reduce(tmp_path / "raw", "mean")
    assert products(tmp_path / "out") == new


def test_a_product_that_cannot_be_made_again_is_not_lost(tmp_path: Path, reduce: Reduce) -> None:
    a_night(tmp_path / "raw")
    reduce(tmp_path / "raw", "median")
    old = products(tmp_path / "out")
    light = tmp_path / "raw" / "b.fits"
    whole = light.read_bytes()
    light.write_bytes(whole[: len(whole) // 2])
    again = reduce(tmp_path / "raw", "mean")
    found = products(tmp_path / "out")
    assert found["calib_b.fits"] == old["calib_b.fits"]
    assert found["calib_a.fits"] != old["calib_a.fits"]
    # ... and not said to be of this revision.
    assert not any(row["path"].endswith("calib_b.fits") for row in again.document["products"])
    (lost,) = [row for row in again.document["exposures"] if row["path"] == str(light)]
    assert (lost["state"], lost["code"]) == ("failed", UnreadableFile.code)


def test_a_master_of_an_older_revision_is_offered_to_no_other_batch(
    tmp_path: Path, reduce: Reduce, sessions: sessionmaker[Session]
) -> None:
    camera = a_night(tmp_path / "raw")
    first = reduce(tmp_path / "raw")
    camera.folder = tmp_path / "raw" / "more"
    camera.bias(2)
    second = reduce(tmp_path / "raw")
    (old,) = [row["path"] for row in first.document["products"] if "master_bias" in row["path"]]
    (new,) = [row["path"] for row in second.document["products"] if "master_bias" in row["path"]]
    assert old != new
    with sessions() as session:
        like = session.scalars(select(Exposure).where(Exposure.image_type == "light")).first()
        assert like is not None
        offered = queries.masters_of_others(session, "master_bias", like, 0, timedelta(days=1))
    assert [master.path for master in offered] == [new]
    assert Path(old).is_file()


def test_a_product_tells_the_digest_of_the_master_that_it_was_made_with(
    tmp_path: Path, reduce: Reduce, sessions: sessionmaker[Session]
) -> None:
    camera = a_night(tmp_path / "one")
    camera.dark()
    (master,) = (one for one in products_of(reduce(tmp_path / "one", "mean"), "master_bias"))
    before = sha256_of(master)
    camera.folder = tmp_path / "two"
    camera.light("other_night")
    reduce(tmp_path / "two")
    reduce(tmp_path / "one", "median")
    now = sha256_of(master)
    assert now != before
    with sessions() as session:
        rows = session.scalars(select(Combination)).all()
    told = {
        Path(row.path).name: row.parameters["masters"]["bias"]["sha256"]
        for row in rows
        if row.kind in ("master_dark", "calibrated")
    }
    assert told.pop("calib_other_night.fits") == before
    assert len(told) == 4
    assert set(told.values()) == {now}


def products_of(report: BatchReport, kind: str) -> list[Path]:
    return [Path(one["path"]) for one in report.document["products"] if one["kind"] == kind]


# Root reads everything, unless it gives that up.
_CAPABILITIES = "-dac_override,-dac_read_search"
_AS_ANYBODY = (
    ["setpriv", f"--inh-caps={_CAPABILITIES}", f"--bounding-set={_CAPABILITIES}"]
    if os.geteuid() == 0
    else []
)


def calibrate(where: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_AS_ANYBODY, sys.executable, "-m", "toros", "calibrate", *arguments, "--json"],
        cwd=where, capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def test_a_configuration_without_a_database_leaves_the_archive_beside_the_products(
    tmp_path: Path,
) -> None:
    Camera(tmp_path / "night", width=48, height=32).light("a")
    (tmp_path / "strict.yaml").write_text("preprocessor:\n  missing_masters: fail\n")
    done = calibrate(tmp_path, "night", "--out", "out", "--config", "strict.yaml")
    assert done.returncode == 1, done.stderr
    (light,) = json.loads(done.stdout)["exposures"]
    assert (light["state"], light["code"]) == ("failed", 104)
    assert (tmp_path / "out" / "archive.db").is_file()


def test_a_subfolder_that_may_not_be_read_is_a_problem(tmp_path: Path) -> None:
    camera = Camera(tmp_path / "night", width=48, height=32)
    camera.light("a")
    closed = tmp_path / "night" / "closed"
    camera.folder = closed
    camera.light("b")
    (tmp_path / "night" / "lost+found").mkdir(mode=0o000)  # is never ours
    closed.chmod(0o000)
    try:
        done = calibrate(tmp_path, "night", "--out", "out")
    finally:
        closed.chmod(0o700)  # pytest removes it
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    assert [(Path(row["path"]).name, row["state"]) for row in document["exposures"]] == [
        ("a.fits", "calibrated")
    ]
    (problem,) = [row for row in document["problems"] if row["failed"]]
    assert problem["code"] == 102
    assert str(closed) in problem["message"]


@pytest.mark.parametrize("name", ["what?mode=memory", "100%25", "a#b c", "x:y@z", "ä\n[b]"])
def test_the_archive_is_beside_the_products_whatever_their_folder_is_called(
    tmp_path: Path, name: str
) -> None:
    Camera(tmp_path / "night", width=48, height=32).light("a")
    done = calibrate(tmp_path, "night", "--out", name)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / name / "archive.db").stat().st_size > 0
    assert {path.name for path in tmp_path.iterdir()} == {"night", name}


def test_copies_are_named_in_the_report_by_their_files(tmp_path: Path) -> None:
    night = tmp_path / "night"
    Camera(night, width=48, height=32).light("a")
    (night / "more").mkdir()
    shutil.copy(night / "a.fits", night / "more" / "b.fits")
    done = calibrate(tmp_path, "night", "--out", "out")
    document = json.loads(done.stdout)
    (problem,) = [row for row in document["problems"] if row["step"] == "vet"]
    assert problem["units"] == ["a.fits, more/b.fits"]
    assert problem["message"] == "b.fits is left out: it is the same file as a.fits."
    for name in "cdef":
        shutil.copy(night / "a.fits", night / f"{name}.fits")
    done = calibrate(tmp_path, "night", "--out", "again")
    (problem,) = [row for row in json.loads(done.stdout)["problems"] if row["step"] == "vet"]
    (unit,) = problem["units"]
    assert unit.startswith("a.fits, c.fits and 4 more (")
    page = (tmp_path / "again" / "report.html").read_text()
    assert unit in page
    assert "looking for copies, code 110" in page


def test_a_link_that_leads_to_no_frame_is_a_problem_of_the_batch(tmp_path: Path) -> None:
    Camera(tmp_path / "night", width=48, height=32).light("a")
    (tmp_path / "night" / "gone.fits").symlink_to("../moved/gone.fits")
    (tmp_path / "night" / "circle.fits").symlink_to("circle.fits")
    done = calibrate(tmp_path, "night", "--out", "out")
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    states = {Path(row["path"]).name: row["state"] for row in document["exposures"]}
    assert states == {"a.fits": "calibrated", "gone.fits": "failed", "circle.fits": "failed"}
    assert {row["code"] for row in document["problems"] if row["failed"]} == {102}
    messages = {row["path"]: row["error"] for row in document["exposures"]}
    gone = tmp_path / "night" / "gone.fits"
    assert (
        messages[str(gone)] == f"{gone}: is a link to ../moved/gone.fits, where there is no file."
    )


def test_a_folder_that_is_not_there_leaves_nothing_behind(tmp_path: Path) -> None:
    done = calibrate(tmp_path, "nihgt", "--out", "out")
    assert done.returncode == 1
    assert "There is no folder" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_command_takes_several_folders(tmp_path: Path) -> None:
    camera = Camera(tmp_path / "one" / "cal", width=48, height=32)
    camera.bias(3)
    for night in ("one", "two"):
        camera.folder = tmp_path / night
        camera.light("a", OBJECT=night)
    done = calibrate(tmp_path, "one", "two", "one")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    made = [Path(row["path"]) for row in document["products"] if row["kind"] == "calibrated"]
    assert {path.parent for path in made} == {tmp_path / "toros-calibrated" / "one+1"}
    assert {path.name: fits.getheader(path)["OBJECT"] for path in made} == {
        "calib_one_a.fits": "one",
        "calib_two_a.fits": "two",
    }
    assert all(fits.getheader(path)["BIASCOR"].startswith("master_bias_") for path in made)
    assert len(document["exposures"]) == 5


# --- kill -9 while a file comes --------------------------------------------------------------


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebFolder]:
    a_night(tmp_path / "web" / "night")
    with serve(tmp_path / "web", monkeypatch) as served:
        yield served
        served.release.set()


@pytest.fixture
def node(tmp_path: Path, database_url: str, web: WebFolder) -> Iterator[Node]:
    made = Node(tmp_path, database_url, allowed_sources=[web.url])
    yield made
    made.kill()


@pytest.mark.long
@pytest.mark.parametrize("path", ["/night/b.fits", "/night.tar"])
def test_killed_while_a_file_comes(tmp_path: Path, node: Node, web: WebFolder, path: str) -> None:
    """The next process asks for the rest, and takes it only if it is of the same file."""
    if path == "/night.tar":
        subprocess.run(["/bin/tar", "-C", str(web.folder / "night"), "-cf", "night.tar", "."],
                       cwd=web.folder, check=True)  # fmt: skip
    web.hold_after = {path: 4000}
    url = f"{web.url}{'/night/' if path.startswith('/night/') else path}"
    client = node.start()
    client.send("calibrate_file_batch", id="night", wait=0, url=url)
    assert web.holding.wait(60)
    partial = wait_until(lambda: _partial(tmp_path / "RAW", Path(path).name), "half a file", 30)
    node.kill()
    assert partial.stat().st_size == 4000
    web.hold_after = {}
    web.release.set()
    web.asked.clear()
    client = node.start()
    reply = client.send("calibrate_file_batch", id="night", wait=120, url=url)
    assert reply.status == "completed", reply
    assert [asked for name, asked in web.asked if name == path] == ["bytes=4000-"]
    came = {p.name: p.read_bytes() for p in (tmp_path / "RAW").rglob("*.fits")}
    assert came == {p.name: p.read_bytes() for p in (web.folder / "night").glob("*.fits")}
    assert not list((tmp_path / "RAW").rglob(".*"))


def _partial(raw: Path, name: str) -> Path | None:
    found = [path for path in raw.rglob(f".*{name}.part") if path.stat().st_size >= 4000]
    return found[0] if found else None
