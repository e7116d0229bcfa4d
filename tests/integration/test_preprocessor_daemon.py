"""The preprocessor behind its front desk, in this process, on a real archive."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.night_frames import Camera, whole_night
from tests.support.preprocessor_desk import Desk
from toros.archive.models import Exposure, FileBatch, StepRun
from toros.common.work_order import OrderStatus

NIGHT = "20240309"  # of the toy camera's first frame, on Cordon Macon


@pytest.fixture
def desk(tmp_path: Path, sessions: sessionmaker[Session]) -> Iterator[Desk]:
    made = Desk(tmp_path, sessions)
    yield made
    made.daemon.stop()


def test_a_batch_in_the_raw_data_is_reduced_where_it_is(desk: Desk) -> None:
    whole_night(desk.raw / NIGHT, lights=2)
    result = desk.done("calibrate_file_batch", url=str(desk.raw / NIGHT))
    assert (result["name"], result["state"], result["problems"]) == (NIGHT, "done", [])
    assert result["counts"] == {
        "ingest": {"done": 17},
        "master_bias": {"done": 1},
        "master_dark": {"done": 1},
        "master_flat": {"done": 1},
        "bad_pixel_mask": {"done": 1},
        "calibrate": {"done": 2},
    }
    folder = desk.products / NIGHT / NIGHT
    assert sorted(path.name for path in folder.glob("calib_*")) == [
        "calib_ngc4993_0.fits",
        "calib_ngc4993_1.fits",
    ]
    status: Any = desk.client.ask("file_batch_status", file_batch=result["file_batch"])
    assert status == result
    assert desk.client.ask("FileBatchStatus", file_batch=NIGHT) == result
    listed: Any = desk.client.ask("list_file_batches")
    assert [batch["name"] for batch in listed] == [NIGHT]


def test_a_batch_from_elsewhere_is_copied_first(desk: Desk) -> None:
    source = desk.elsewhere / "run 7"
    whole_night(source / "deep", lights=1)
    result = desk.done("calibrate_file_batch", url=source.as_uri(), name="run7")
    copy = desk.raw / NIGHT / "run7"
    assert result["counts"]["copy"] == {"done": 16}
    assert result["folder"] == str(copy)
    for path in source.rglob("*.fits"):
        assert (copy / path.relative_to(source)).read_bytes() == path.read_bytes()
    assert (desk.products / NIGHT / "run7" / "calib_ngc4993_0.fits").is_file()


def test_a_source_that_changed_never_replaces_a_raw_file(desk: Desk) -> None:
    source = desk.elsewhere / "run"
    camera = Camera(source)
    light = camera.light("a")
    desk.done("calibrate_file_batch", url=str(source))
    kept = desk.raw / NIGHT / "run" / "a.fits"
    before = kept.read_bytes()
    fits.setval(light, "OBJECT", value="other")
    result = desk.done("restart_file_batch", file_batch="run")
    assert kept.read_bytes() == before
    assert result["counts"]["copy"] == {"failed": 1}
    assert result["problems"][0]["code"] == 110


@pytest.mark.parametrize(
    ("url", "code", "says"),
    [
        ("http://example.org/night", 109, "data.allowed_sources does not name"),
        ("/etc", 109, "data.allowed_sources"),
        ("{raw}/gone", 101, "There is no folder"),
        ("{raw}", 101, "no FITS file"),
    ],
)
def test_what_cannot_be_a_batch_fails_with_its_code(
    desk: Desk, url: str, code: int, says: str
) -> None:
    reply = desk.order("calibrate_file_batch", url=url.format(raw=desk.raw))
    assert (reply.status, reply.code) == (OrderStatus.FAILED, code)
    assert says in reply.message
    assert desk.client.ask("list_file_batches") == []


def test_orders_with_wrong_fields_are_rejected_by_name(desk: Desk) -> None:
    reply = desk.order("calibrate_file_batch", url="/data", exposure=3)
    assert (reply.status, reply.code) == (OrderStatus.REJECTED, 12)
    assert "exposure" in reply.message
    unknown = desk.order("file_batch_status", file_batch="none such")
    assert unknown.code == 12
    assert "list_file_batches" in unknown.message


def test_the_same_folder_again_takes_in_what_is_new_and_repeats_nothing(
    desk: Desk, sessions: sessionmaker[Session]
) -> None:
    camera = whole_night(desk.raw / NIGHT, lights=1)
    first = desk.done("calibrate_file_batch", url=str(desk.raw / NIGHT))
    camera.light("late")
    second = desk.done("calibrate_file_batch", url=str(desk.raw / NIGHT))
    assert second["file_batch"] == first["file_batch"]
    assert second["counts"]["calibrate"] == {"done": 2}
    with sessions() as session:
        assert set(session.scalars(select(StepRun.attempts))) == {1}


def _calibrations(camera: Camera, count: int) -> None:
    camera.bias(count)
    camera.dark(count=count)
    camera.flat(count=count)


def test_masters_of_more_frames_take_the_place_of_those_of_some(
    desk: Desk, sessions: sessionmaker[Session]
) -> None:
    camera, folder = Camera(desk.raw / NIGHT), desk.products / NIGHT / NIGHT
    for number in range(8):  # a later frame must not be better by the luck of a digest
        camera.folder = desk.raw / NIGHT / str(number)
        camera.instrument = f"Toy {number}"
        _calibrations(camera, 1)
        camera.light(f"early_{number}")
    for camera.instrument in ("Bright", "Brighter"):
        camera.folder = desk.raw / NIGHT / camera.instrument
        for number in range(2):
            camera._expose(f"flat_{number}", "Flat Field", 1.0, 1e6, "B")
    first = desk.done("calibrate_file_batch", url=str(desk.raw / NIGHT))
    (failed,) = [one for one in first["problems"] if one["failed"]]
    assert (failed["step"], len(failed["units"])) == ("master_flat", 2)
    for number in range(8):
        camera.folder = desk.raw / NIGHT / str(number) / "more"
        camera.instrument = f"Toy {number}"
        _calibrations(camera, 3)
        camera.light(f"late_{number}")
    camera.folder, camera.instrument = desk.raw / NIGHT / "Bright" / "more", "Bright"
    camera.flat("B")
    second = desk.done("calibrate_file_batch", url=str(desk.raw / NIGHT))
    for number in range(8):
        late = fits.getheader(folder / f"calib_late_{number}.fits")
        for card in ("BIASCOR", "DARKCOR", "FLATCOR"):
            assert fits.getval(folder / late[card], "NCOMBINE") == 4
        assert str(folder / late["BPMASK"]) in second["products"]
        # What was done is not done again: it stands as it was made.
        early = fits.getheader(folder / f"calib_early_{number}.fits")
        assert fits.getval(folder / early["BIASCOR"], "NCOMBINE") == 1
    assert second["counts"]["master_bias"] == {"superseded": 8, "done": 8}
    assert second["counts"]["master_flat"] == {"superseded": 9, "done": 9, "failed": 1}
    assert second["counts"]["calibrate"] == {"done": 16}
    masters = [path for path in second["products"] if "/master_" in path]
    assert sorted(fits.getval(path, "NCOMBINE") for path in masters) == [4] * 24 + [5]
    # What was over-exposed is left out of a master that is made; there is none of the brighter.
    (failed,) = [one for one in second["problems"] if one["failed"]]
    assert (failed["step"], len(failed["units"])) == ("master_flat", 1)
    # Nor are the first masters offered to another night.
    camera.folder, camera.instrument = desk.raw / "20240310", "Toy 3"
    camera.light("next")
    desk.done("calibrate_file_batch", url=str(desk.raw / "20240310"))
    (other,) = desk.products.glob("*/20240310/calib_next.fits")
    for card in ("BIASCOR", "DARKCOR", "FLATCOR"):
        assert fits.getval(folder / fits.getval(other, card), "NCOMBINE") == 4


def test_a_master_that_cannot_be_made_of_more_frames_leaves_the_first(desk: Desk) -> None:
    camera, folder = Camera(desk.raw / NIGHT), desk.products / NIGHT / NIGHT
    camera.flat(count=2)
    first = desk.done("calibrate_file_batch", url=str(desk.raw / NIGHT))
    (master,) = (path for path in first["products"] if "master_flat" in path)
    camera.folder = desk.raw / NIGHT / "more"
    camera.flat(count=2)
    camera.light("late")
    shutil.rmtree(folder)
    folder.write_text("in the way")
    desk.order("calibrate_file_batch", url=str(desk.raw / NIGHT))
    status = desk.batch(NIGHT)
    assert status["counts"]["master_flat"] == {"done": 1, "failed": 1}
    assert master in status["products"]


def test_resume_tries_again_what_failed_or_lacked_a_master(desk: Desk) -> None:
    folder = desk.raw / NIGHT
    camera = Camera(folder)
    camera.bias()
    camera.dark()
    camera.light("a")
    cut = camera.light("b")
    whole = cut.read_bytes()
    cut.write_bytes(whole[:3000])
    first = desk.done("calibrate_file_batch", url=str(folder), name="night")
    assert sorted(problem["code"] for problem in first["problems"]) == [102, 106]
    cut.write_bytes(whole)
    camera.flat()
    second = desk.done("resume_file_batch", file_batch="night")
    assert second["problems"] == []
    assert second["exposures"] == {"combined": 15, "calibrated": 2}
    header = fits.getheader(desk.products / NIGHT / "night" / "calib_a.fits")
    assert header["FLATCOR"].startswith("master_flat_V_")


def test_restart_is_a_new_generation(desk: Desk, sessions: sessionmaker[Session]) -> None:
    whole_night(desk.raw / NIGHT, lights=1)
    first = desk.done("calibrate_file_batch", url=str(desk.raw / NIGHT))
    second = desk.done("restart_file_batch", file_batch=first["file_batch"])
    assert (first["generation"], second["generation"]) == (1, 2)
    assert second["counts"] == first["counts"]
    assert sorted(second["products"]) == sorted(first["products"])
    with sessions() as session:
        runs = session.scalars(select(StepRun)).all()
    assert {run.generation for run in runs} == {1, 2}
    assert {run.attempts for run in runs} == {1}


def test_a_name_belongs_to_one_source(desk: Desk) -> None:
    for folder in ("one", "two"):
        Camera(desk.elsewhere / folder / "data").light("a")
    desk.done("calibrate_file_batch", url=str(desk.elsewhere / "one" / "data"))
    other = desk.done("calibrate_file_batch", url=str(desk.elsewhere / "two" / "data"))
    assert other["name"] == "data-2"
    taken = desk.order(
        "calibrate_file_batch", url=str(desk.elsewhere / "two" / "data"), name="data"
    )
    assert (taken.status, taken.code) == (OrderStatus.FAILED, 15)


def test_a_frame_that_the_telescope_recorded_keeps_its_observation(
    desk: Desk, sessions: sessionmaker[Session]
) -> None:
    path = Camera(desk.raw / NIGHT).light("a")
    with sessions.begin() as session:
        session.add(Exposure(path=str(path), state="raw", alert="S1", notes=[]))
    desk.done("calibrate_file_batch", url=str(desk.raw / NIGHT))
    with sessions() as session:
        (row,) = session.scalars(select(Exposure))
    assert (row.alert, row.state, row.filter) == ("S1", "calibrated", "V")


def test_a_batch_whose_folder_vanished_fails_and_says_why(
    desk: Desk, sessions: sessionmaker[Session]
) -> None:
    Camera(desk.raw / NIGHT).light("a")
    result = desk.done("calibrate_file_batch", url=str(desk.raw / NIGHT))
    shutil.rmtree(desk.raw / NIGHT)
    reply = desk.order("restart_file_batch", file_batch=result["file_batch"])
    assert (reply.status, reply.code) == (OrderStatus.FAILED, 101)
    with sessions() as session:
        row = session.get_one(FileBatch, result["file_batch"])
    assert (row.state, row.code) == ("failed", 101)
    assert row.finished is not None
