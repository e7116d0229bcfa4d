"""Where a file batch may come from."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toros.common.errors import NoFilesFound, SourceNotAllowed
from toros.preprocessor.sources import frames_in, local_source, stem


def test_a_path_and_a_file_url_name_the_same_folder(tmp_path: Path) -> None:
    night = tmp_path / "a night"
    night.mkdir()
    assert local_source(str(night), [tmp_path]) == night
    assert local_source(night.as_uri(), [str(tmp_path)]) == night
    assert local_source(f"file://localhost{tmp_path}/a%20night", [tmp_path]) == night


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://example.org/night", "an absolute path, a file: URL"),
        ("file://elsewhere/data/night", "an absolute path, a file: URL"),
        ("night/of/today", "an absolute path, a file: URL"),
        ("/etc", "outside the allowed sources"),
        ("/data/../etc", "outside the allowed sources"),
    ],
)
def test_what_is_no_folder_of_the_allowed_ones_is_refused(url: str, says: str) -> None:
    with pytest.raises(SourceNotAllowed, match=says):
        local_source(url, ["/data", "https://example.org"])


def test_a_link_does_not_lead_out_of_the_allowed_folders(tmp_path: Path) -> None:
    allowed, secret = tmp_path / "allowed", tmp_path / "secret"
    allowed.mkdir()
    secret.mkdir()
    (allowed / "link").symlink_to(secret)
    with pytest.raises(SourceNotAllowed, match=r"data\.allowed_sources"):
        local_source(str(allowed / "link"), [allowed])


def test_with_nothing_allowed_nothing_is(tmp_path: Path) -> None:
    with pytest.raises(SourceNotAllowed):
        local_source(str(tmp_path), [])


def test_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(NoFilesFound, match="There is no folder"):
        local_source(str(tmp_path / "gone"), [tmp_path])


@given(st.text(max_size=200))
def test_no_url_whatever_leads_outside(url: str) -> None:
    try:
        found = local_source(url, ["/nonexistent/raw"])
    except (SourceNotAllowed, NoFilesFound):
        return
    raise AssertionError(found)


def test_frames_are_told_by_their_names_in_any_case(tmp_path: Path) -> None:
    names = ["a.fits", "b.FIT", "c.fts", "d.fits.gz", "e.fits.fz", ".hidden.fits", "notes.txt"]
    for name in names:
        (tmp_path / "deep").mkdir(exist_ok=True)
        (tmp_path / "deep" / name).touch()
    found = [path.name for path in frames_in(tmp_path)]
    assert found == ["a.fits", "b.FIT", "c.fts", "d.fits.gz", "e.fits.fz"]


def test_the_folder_of_the_products_is_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "raw.fits").touch()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "calib_raw.fits").touch()
    assert [p.name for p in frames_in(tmp_path, leave_out=tmp_path / "out")] == ["raw.fits"]


def test_a_folder_without_frames_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").touch()
    with pytest.raises(NoFilesFound, match="no FITS file") as caught:
        frames_in(tmp_path)
    assert caught.value.code == 101


@pytest.mark.parametrize(
    ("name", "expected"),
    [("x.fits", "x"), ("x.00001.FIT", "x.00001"), ("x.fits.fz", "x"), ("x.dat", "x.dat")],
)
def test_the_stem_keeps_all_but_the_fits_suffix(name: str, expected: str) -> None:
    assert stem(Path(name)) == expected
