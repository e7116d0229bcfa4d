"""A rejected master: listed and requeued is all that used it, and nothing uses it again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.night_frames import Camera
from tests.support.preprocessor_desk import Desk
from tests.support.waiting import wait_until
from toros.archive import queries
from toros.archive.models import Combination, Event, FileBatch, StepRun
from toros.common.clock import Clock
from toros.common.config import Config
from toros.common.errors import InvalidField
from toros.preprocessor.reduce import BatchReport, reduce_folder
from toros.preprocessor.rejecting import accept_master, reject_master

ROOT = Path(__file__).parents[2]
Reduce = Callable[[Path], BatchReport]


@pytest.fixture
def reduce(tmp_path: Path, sessions: sessionmaker[Session]) -> Reduce:
    config = Config.model_validate({"preprocessor": {"previews": False}})
    return lambda raw: reduce_folder(raw, tmp_path / "out" / raw.name, sessions, config, Clock())


@pytest.fixture
def desk(tmp_path: Path, sessions: sessionmaker[Session]) -> Iterator[Desk]:
    made = Desk(tmp_path, sessions)
    yield made
    made.daemon.stop()


def two_nights(folder: Path) -> tuple[Path, Path]:
    """Two nights of one camera, each with all its masters."""
    camera = Camera(folder)
    nights = []
    for night in ("first", "second"):
        camera.folder = folder / night
        camera.bias()
        camera.dark()
        camera.flat()
        camera.light(f"{night}_light")
        nights.append(camera.folder)
    return nights[0], nights[1]


def master(report: BatchReport, kind: str) -> str:
    (found,) = [row["path"] for row in report.document["products"] if row["kind"] == kind]
    return str(found)


def test_what_is_made_without_a_rejected_master_says_so(
    tmp_path: Path, reduce: Reduce, sessions: sessionmaker[Session]
) -> None:
    camera = Camera(tmp_path / "night")
    camera.bias()
    camera.light("light")
    bias = master(reduce(camera.folder), "master_bias")
    reject_master(sessions, bias, "light leaked in", Clock().now())
    report = reduce(camera.folder)
    said = f"There is no master bias. Not used: {Path(bias).name}: rejected: light leaked in."
    (problem,) = report.document["problems"]
    assert problem["message"].startswith(said)
    history = "".join(fits.getheader(master(report, "calibrated"))["HISTORY"])
    assert said.replace(" ", "") in history.replace(" ", "")  # it is broken into cards anywhere


def test_all_that_used_it_is_listed_and_requeued(
    tmp_path: Path, reduce: Reduce, sessions: sessionmaker[Session]
) -> None:
    first, second = map(reduce, two_nights(tmp_path))
    bias = master(first, "master_bias")
    found = reject_master(sessions, Path(bias).name, "light leaked in", Clock().now())
    assert (found.master, found.why) == (bias, "light leaked in")
    others = {row["path"] for row in first.document["products"]} - {bias}
    assert set(found.products) == others  # dark, flat, mask and light, directly or not
    with sessions() as session:
        states = {
            (run.file_batch_id, run.step): run.state for run in session.scalars(select(StepRun))
        }
        batches = {row.id: row.state for row in session.scalars(select(FileBatch))}
        assert [number for number, _ in found.file_batches] == [1]
        assert batches == {1: "requeued", 2: "done"}
        assert states[1, "master_bias"] == states[1, "ingest"] == "done"
        for step in ("master_dark", "master_flat", "bad_pixel_mask", "calibrate"):
            assert states[1, step] == "requeued"
            assert states[2, step] == "done"
        (event,) = [row for row in session.scalars(select(Event)) if "rejected" in row.message]
        assert "light leaked in" in event.message
    assert second.document["problems"] == []


def test_it_is_never_used_again(
    tmp_path: Path, reduce: Reduce, sessions: sessionmaker[Session]
) -> None:
    one, two = two_nights(tmp_path)
    first, second = reduce(one), reduce(two)
    bias = master(first, "master_bias")
    reject_master(sessions, bias, "", Clock().now())
    again = reduce(one)
    # The other night's serves in its place.
    assert again.document["problems"] == []
    (light,) = [row for row in again.document["exposures"] if row["image_type"] == "light"]
    assert light["masters"]["bias"] == master(second, "master_bias")
    header = fits.getheader(next(Path(again.status["products_folder"]).glob("calib_*")))
    assert header["BIASCOR"] == Path(master(second, "master_bias")).name
    with sessions() as session:
        row = queries.product_at(session, Path(bias))
        assert row is not None
        assert row.rejected  # made again by the restart, and still rejected


def test_a_name_that_is_no_master_or_several(
    tmp_path: Path, reduce: Reduce, sessions: sessionmaker[Session]
) -> None:
    one, _ = two_nights(tmp_path)
    report = reduce(one)
    light = next(row["path"] for row in report.document["products"] if row["kind"] == "calibrated")
    for name in ("no_such.fits", "%", light):
        with pytest.raises(InvalidField, match="no master"):
            reject_master(sessions, name, "", Clock().now())
    bias = master(report, "master_bias")
    with sessions.begin() as session:
        row = queries.product_at(session, Path(bias))
        assert row is not None
        session.add(
            Combination(
                path=f"/elsewhere/{Path(bias).name}",
                kind="master_bias",
                version=row.version,
                created=row.created,
            )
        )
    with pytest.raises(InvalidField, match="Several"):
        reject_master(sessions, Path(bias).name, "", Clock().now())
    assert reject_master(sessions, bias, "", Clock().now()).master == bias


def test_an_accepted_master_is_used_again(
    tmp_path: Path, reduce: Reduce, sessions: sessionmaker[Session]
) -> None:
    """Once before anything was made again, once after."""
    one, two = two_nights(tmp_path)
    first = reduce(one)
    bias = master(first, "master_bias")
    before = products_in(Path(first.status["products_folder"]))
    reject_master(sessions, bias, "a guess", Clock().now(), "eve")
    found = accept_master(sessions, bias, "a wrong guess", Clock().now(), "adam")
    assert (found.products, found.file_batches) == ((), ())
    with sessions() as session:
        assert {run.state for run in session.scalars(select(StepRun))} == {"done"}
        (batch,) = session.scalars(select(FileBatch))
        assert batch.state == "done"
        texts = [row.message for row in session.scalars(select(Event).order_by(Event.id))]
    assert any("is rejected by eve (a guess)" in text for text in texts)
    assert any("is accepted again by adam (a wrong guess)" in text for text in texts)

    reduce(two)
    reject_master(sessions, bias, "", Clock().now())
    without = reduce(one)
    assert used_bias(without) != bias
    found = accept_master(sessions, bias, "", Clock().now())
    assert {Path(path).name.split("_")[0] for path in found.products} >= {"master", "calib"}
    with sessions() as session:
        assert session.get_one(FileBatch, 1).state == "requeued"
    again = reduce(one)
    assert used_bias(again) == bias
    assert products_in(Path(again.status["products_folder"])) == before
    with pytest.raises(InvalidField, match="not rejected"):
        accept_master(sessions, bias, "", Clock().now())


def products_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.fits")}


def used_bias(report: BatchReport) -> str | None:
    (light,) = [row for row in report.document["exposures"] if row["image_type"] == "light"]
    found: str | None = light["masters"]["bias"]
    return found


def test_a_master_that_is_rejected_while_it_is_used(
    tmp_path: Path, sessions: sessionmaker[Session]
) -> None:
    """What was calibrated with it in the meantime is not left as it is."""
    one, _ = two_nights(tmp_path)
    config = Config.model_validate({"preprocessor": {"previews": False}})

    def judge(step: str, done: int, total: int) -> None:
        if (step, done) == ("calibrate", 0):
            with sessions() as session:
                (flat,) = session.scalars(
                    select(Combination.path).where(Combination.kind == "master_flat")
                )
            reject_master(sessions, flat, "", Clock().now())

    report = reduce_folder(one, tmp_path / "out", sessions, config, Clock(), judge)
    assert report.status["state"] == "requeued"
    with sessions() as session:
        states = {(run.step, run.state) for run in session.scalars(select(StepRun))}
    assert ("calibrate", "requeued") in states


def test_the_preprocessor_goes_on_by_itself(desk: Desk) -> None:
    """A rejection and its undoing are sent; nobody resumes."""
    camera = Camera(desk.raw / "20240309")
    camera.bias()
    camera.dark()
    camera.light("a")
    first = desk.done("calibrate_file_batch", url=str(camera.folder), name="night")
    product = desk.products / "20240309" / "night" / "calib_a.fits"
    before = product.read_bytes()
    (bias,) = [Path(path).name for path in first["products"] if "master_bias" in path]
    rejected = desk.done("reject_master", master=bias, why="light leaked in", user="eve")
    assert rejected["user"] == "eve"
    wait_until(lambda: fits.getheader(product)["BIASCOR"] == "NONE", "it to be made without", 60)
    wait_until(lambda: desk.batch("night")["state"] == "done", "the batch to be done", 60)
    orders: Any = desk.client.ask("list_work_orders")
    assert [order["request"] for order in orders].count("resume_file_batch") == 1
    desk.done("accept_master", master=bias, why="it did not")
    wait_until(lambda: product.read_bytes() == before, "it to be made as before", 60)
    wait_until(lambda: desk.batch("night")["state"] == "done", "the batch to be done", 60)


def test_the_command(tmp_path: Path) -> None:
    one, _ = two_nights(tmp_path)
    out = tmp_path / "out"
    made = toros("masters", one, "--out", out, "--json")
    assert made.returncode == 0, made.stderr
    products = {row["kind"]: row["path"] for row in json.loads(made.stdout)["products"]}
    name = Path(products["master_dark"]).name
    done = toros("masters", "reject", name, "--out", out, "--why", "a test", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["master"] == products["master_dark"]
    assert document["why"] == "a test"
    assert set(document["products"]) == {products["master_flat"], products["bad_pixel_mask"]}
    undone = toros("masters", "accept", name, "--out", out, "--json")
    assert undone.returncode == 0, undone.stderr
    assert json.loads(undone.stdout)["master"] == products["master_dark"]
    assert toros("masters", "reject", "nothing.fits", "--out", out).returncode == 2
    assert toros("masters", "reject", name).returncode == 2


def toros(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "toros", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
