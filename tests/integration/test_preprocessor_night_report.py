"""The night report of a real reduction."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits
from PIL import Image
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.night_frames import Camera, whole_night
from toros.archive.models import Event, FileBatch
from toros.common.config import Config
from toros.preprocessor.reduce import BatchReport, reduce_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "raw"


def reduce(folder: Path, sessions: sessionmaker[Session], **more: Any) -> tuple[BatchReport, Path]:
    config = Config.model_validate({"preprocessor": {"previews": False} | more})
    out = folder.parent / "out"
    return reduce_folder(folder, out, sessions, config, config.make_clock()), out / "report.html"


def test_a_night_is_told_with_its_masters_frames_and_problems(
    folder: Path, sessions: sessionmaker[Session]
) -> None:
    camera = whole_night(folder, lights=2)
    camera.light("in_r", filter_name="R", OBJECT="<b>NGC</b>")
    (folder / "cut.fits").write_bytes((folder / "in_r.fits").read_bytes()[:3000])
    report, page = reduce(folder, sessions, previews=True)
    text = page.read_text()
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', text)
    assert len(pictures) == 4  # bias, dark, flat, mask
    for picture in pictures:
        assert Image.open(io.BytesIO(base64.b64decode(picture))).size == (64, 48)
    for product in report.document["products"]:
        assert Path(product["path"]).name in text
    for row in report.document["exposures"]:
        assert Path(row["path"]).name in text
    assert "<b>NGC" not in text
    assert "&lt;b&gt;NGC&lt;/b&gt;" in text
    # Problems on top: what failed before what was only made with less.
    order = ["Some products could not be made", "code 102", "code 106", "In and out", "Masters"]
    places = [text.index(words) for words in order]
    assert places == sorted(places)
    assert "filter" in text  # why the flat was refused
    assert re.search(r'href="\./calib_in_r\.png"', text)
    assert not re.search(r'(src|href)="(?!data:|\./)', text)


def test_frames_of_several_folders_are_told_apart(
    tmp_path: Path, sessions: sessionmaker[Session]
) -> None:
    camera = Camera(tmp_path / "east")
    camera.light("ngc")
    camera.folder = tmp_path / "west"
    camera.light("ngc")
    folders = [tmp_path / "east", tmp_path / "west"]
    reduce_folder(folders, tmp_path / "out", sessions, Config(), Config().make_clock())
    text = (tmp_path / "out" / "report.html").read_text()
    assert "east/ngc.fits" in text
    assert "west/ngc.fits" in text
    assert f"{folders[0]}, {folders[1]}" in text  # where the frames are from


def test_a_night_without_problems_says_so(folder: Path, sessions: sessionmaker[Session]) -> None:
    whole_night(folder, lights=1)
    report, page = reduce(folder, sessions)
    assert report.document["problems"] == []
    assert "No problems." in page.read_text()
    assert 'id="problems"' not in page.read_text()


def test_where_a_frame_failed_it_is_not_said_that_nothing_did(
    folder: Path, sessions: sessionmaker[Session]
) -> None:
    camera = whole_night(folder, lights=1)
    odd = camera._expose("odd", "Bias", 0.0, 5000)
    report, page = reduce(folder, sessions)
    states = {Path(row["path"]): row["state"] for row in report.document["exposures"]}
    assert states[odd] == "failed"
    assert "Nothing failed" not in page.read_text()
    assert "All products were made; what follows should be known." in page.read_text()


def test_without_a_report_in_the_configuration_there_is_none(
    folder: Path, sessions: sessionmaker[Session]
) -> None:
    Camera(folder).light("a")
    assert not reduce(folder, sessions, report=False)[1].exists()


def test_a_report_that_cannot_be_written_costs_nothing_else(
    folder: Path, sessions: sessionmaker[Session]
) -> None:
    Camera(folder).light("a")
    _report, page = reduce(folder, sessions, report=False)
    page.mkdir()
    (page / "in_the_way").touch()
    report, _page = reduce(folder, sessions)
    assert report.status["state"] == "done"
    with sessions() as session:
        events = session.scalars(select(Event).where(Event.kind == "problem")).all()
    assert [event.level for event in events if str(page) in event.message] == ["warning"]
    assert [path.name for path in page.parent.iterdir() if path.name.startswith(".")] == []


def test_a_master_that_is_gone_has_no_picture(
    folder: Path, sessions: sessionmaker[Session]
) -> None:
    from toros.preprocessor.night_report import render
    from toros.preprocessor.page import page_of

    Camera(folder).bias()
    _report, page = reduce(folder, sessions)
    (master,) = page.parent.glob("master_bias*")
    fits.getheader(master)
    master.unlink()
    with sessions() as session:
        text = render(page_of(session, session.scalars(select(FileBatch)).one())).decode()
    assert "No picture" in text
    assert master.name in text


def test_what_a_killed_process_left_of_a_report_is_swept(
    folder: Path, sessions: sessionmaker[Session]
) -> None:
    Camera(folder).light("a")
    out = folder.parent / "out"
    out.mkdir()
    (out / ".report.abcdef12.html").touch()
    (out / ".report.mine.html").touch()
    reduce(folder, sessions)
    assert sorted(path.name for path in out.glob(".report*")) == [".report.mine.html"]
