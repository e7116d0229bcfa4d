"""A new master is judged against the last good one of its kind."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.night_frames import START, Camera
from toros.archive.models import Combination, Event, Metric
from toros.common.config import Config
from toros.common.errors import MasterRefused
from toros.preprocessor.reduce import BatchReport, reduce_folder
from toros.preprocessor.rejecting import accept_master, reject_master

Reduce = Callable[..., BatchReport]


@pytest.fixture
def reduce(tmp_path: Path, sessions: sessionmaker[Session]) -> Reduce:
    def run(night: str, **settings: Any) -> BatchReport:
        base = {"previews": False, "report": False, "bad_pixel_masks": False}
        config = Config.model_validate({"preprocessor": base | settings})
        folder, out = tmp_path / "raw" / night, tmp_path / "out" / night
        return reduce_folder(folder, out, sessions, config, config.make_clock())

    return run


@dataclass
class Dusty(Camera):
    """Half of its field is darker by a fifth."""

    def response(self) -> Any:
        flat = super().response()
        flat[:, : self.width // 2] *= 0.8
        return flat / flat.mean()


def camera(tmp_path: Path, night: str, day: int, kind: type[Camera] = Camera) -> Camera:
    moment = START + timedelta(days=day)
    return kind(tmp_path / "raw" / night, moment=moment, random=np.random.default_rng(day + 1))


def master(sessions: sessionmaker[Session], night: str, kind: str) -> Combination:
    with sessions() as session:
        rows = session.scalars(select(Combination).where(Combination.kind == kind)).all()
    (found,) = [row for row in rows if Path(row.path).parent.name == night]
    return found


def codes(report: BatchReport) -> set[int]:
    return {problem["code"] for problem in report.document["problems"]}


def test_the_first_is_taken_and_one_like_it_too(
    tmp_path: Path, reduce: Reduce, sessions: sessionmaker[Session]
) -> None:
    for day, night in enumerate(("one", "two")):
        made = camera(tmp_path, night, day)
        made.bias()
        made.dark()
        made.flat()
        assert reduce(night).document["problems"] == []
    for kind in ("master_bias", "master_dark", "master_flat"):
        assert "compared_with" not in master(sessions, "one", kind).quality
        row = master(sessions, "two", kind)
        assert row.quality["compared_with"] == Path(master(sessions, "one", kind).path).name
        assert row.quality["changed_fraction"] < 0.01
        assert row.rejected is None
        with sessions() as session:
            metrics = session.scalars(select(Metric).where(Metric.combination_id == row.id)).all()
        assert {"changed_fraction", "median_change"} <= {metric.name for metric in metrics}


def leaked(tmp_path: Path, reduce: Reduce) -> None:
    """A good night, and one with light in its biases."""
    camera(tmp_path, "good", 0).bias()
    reduce("good")
    bad = camera(tmp_path, "bad", 1)
    bad.bias(light_e=400.0)
    bad.light("a")


def test_a_bad_one_is_reported_and_the_last_good_one_used(
    tmp_path: Path,
    reduce: Reduce,
    sessions: sessionmaker[Session],
    caplog: pytest.LogCaptureFixture,
) -> None:
    leaked(tmp_path, reduce)
    with caplog.at_level(logging.INFO):
        report = reduce("bad", report=True)
    assert MasterRefused.code in codes(report)
    # Mail goes out from ERROR.
    said = [record for record in caplog.records if "is not used" in record.getMessage()]
    assert [record.levelno for record in said] == [logging.ERROR]
    with sessions() as session:
        events = session.scalars(select(Event).where(Event.code == MasterRefused.code)).all()
    assert [event.level for event in events] == ["error"]
    bad, good = (master(sessions, night, "master_bias") for night in ("bad", "good"))
    assert bad.rejected is not None
    assert bad.quality["changed_fraction"] > 0.99
    assert bad.quality["median_change"] == pytest.approx(200, abs=5)
    rows = {Path(row["path"]).name: row for row in report.document["exposures"]}
    assert rows["a.fits"]["masters"]["bias"] == good.path
    (why_not,) = rows["a.fits"]["choice"]["bias"]["refused"]
    assert why_not.startswith(f"{Path(bad.path).name}: rejected: ")
    assert rows["bias_0.fits"]["code"] == MasterRefused.code
    page = (tmp_path / "out" / "bad" / "report.html").read_text()
    assert "Not used:" in page
    assert page.count(Path(bad.path).name) >= 3  # its card, the problem, and why not for the light
    # It serves no later night either, and is not what later ones are judged by.
    camera(tmp_path, "third", 2).bias()
    assert MasterRefused.code not in codes(reduce("third"))
    third = master(sessions, "third", "master_bias")
    assert third.quality["compared_with"] == Path(good.path).name


def test_where_the_camera_has_changed_the_old_one_is_rejected_and_the_new_one_taken(
    tmp_path: Path, reduce: Reduce, sessions: sessionmaker[Session]
) -> None:
    leaked(tmp_path, reduce)
    reduce("bad")
    old = master(sessions, "good", "master_bias")
    reject_master(sessions, Path(old.path).name, "another camera", START)
    assert MasterRefused.code not in codes(reduce("bad"))
    new = master(sessions, "bad", "master_bias")
    assert new.rejected is None
    # What a person rejected stays rejected when it is made again.
    reduce("good")
    assert master(sessions, "good", "master_bias").rejected == "another camera"


def test_one_that_a_person_accepts_is_used_however_often_it_is_made_again(
    tmp_path: Path, reduce: Reduce, sessions: sessionmaker[Session]
) -> None:
    leaked(tmp_path, reduce)
    reduce("bad")
    name = Path(master(sessions, "bad", "master_bias").path).name
    accept_master(sessions, name, "new electronics", START)
    for _ in range(2):
        report = reduce("bad")
        assert MasterRefused.code not in codes(report)
        row = master(sessions, "bad", "master_bias")
        assert row.rejected is None
        assert row.quality["changed_fraction"] > 0.99
        rows = {Path(row["path"]).name: row for row in report.document["exposures"]}
        assert rows["a.fits"]["masters"]["bias"] == row.path


def test_a_flat_of_another_shape_is_refused(
    tmp_path: Path, reduce: Reduce, sessions: sessionmaker[Session]
) -> None:
    for day, (night, kind) in enumerate((("clean", Camera), ("dusty", Dusty))):
        made = camera(tmp_path, night, day, kind)
        made.bias()
        made.flat()
        report = reduce(night)
    assert MasterRefused.code in codes(report)
    assert master(sessions, "dusty", "master_bias").rejected is None
    assert master(sessions, "dusty", "master_flat").rejected is not None


@pytest.mark.parametrize(
    "settings",
    [
        {"validate_masters": False},
        {"masters_from_other_batches": False},
        {"masters_max_age_days": 0.5},
        {"validation_max_fraction": 1.0},
        {"validation_tolerance_adu": 250.0},
    ],
)
def test_what_the_configuration_allows_is_taken(
    tmp_path: Path, reduce: Reduce, sessions: sessionmaker[Session], settings: dict[str, Any]
) -> None:
    leaked(tmp_path, reduce)
    assert MasterRefused.code not in codes(reduce("bad", **settings))
    assert master(sessions, "bad", "master_bias").rejected is None
