"""Digests taken ahead are those of the files as they are when they are asked for."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest

from tests.support.waiting import wait_until
from toros.common import digests
from toros.common.digests import DigestsAhead, begin_digest, sha256_of
from toros.common.fits_files import find_fits


def frames(folder: Path, count: int) -> list[Path]:
    folder.mkdir(parents=True)
    paths = [folder / f"{index}.fits" for index in range(count)]
    for path in paths:
        path.write_bytes(path.name.encode() * 1000)
    return paths


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_links_to_folders_are_followed_to_none_twice(tmp_path: Path) -> None:
    """A night may lie on another disk."""
    night = tmp_path / "night"
    own = frames(night / "z", 2)
    far = frames(tmp_path / "disk", 2)
    frames(tmp_path / "hidden", 1)
    (night / "a").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "back").symlink_to(night)
    (night / "b").symlink_to(night / "z")
    (night / "up").symlink_to(tmp_path)
    (night / ".c").symlink_to(tmp_path / "hidden")
    assert find_fits(night) == [night / "a" / path.name for path in far] + own


def test_each_frame_has_its_own(tmp_path: Path) -> None:
    found = frames(tmp_path / "a", 5) + frames(tmp_path / "a" / "deeper", 3)
    elsewhere = frames(tmp_path / "b", 1)
    with DigestsAhead([tmp_path / "a"], tmp_path / "out") as ahead:
        for path in found + elsewhere:
            assert ahead.of(path) == digest(path)


def test_they_are_taken_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Path] = []

    def counted(path: Path) -> str:
        taken.append(path)
        return sha256_of(path)

    monkeypatch.setattr(digests, "sha256_of", counted)
    found = frames(tmp_path / "a", 8)
    left_out = frames(tmp_path / "a" / "out", 2)
    with DigestsAhead([tmp_path / "a"], tmp_path / "a" / "out") as ahead:
        for path in found:
            ahead.of(path)
        assert sorted(taken) == sorted(found)
        ahead.of(left_out[0])
    assert taken.count(left_out[0]) == 1


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    path = frames(tmp_path / "a", 1)[0]
    with DigestsAhead([tmp_path / "a"], tmp_path / "out") as ahead:
        first = ahead.of(path)
        path.write_bytes(b"something else, of another size")
        os.utime(path, (1, 1))
        assert ahead.of(path) == digest(path) != first


def test_what_cannot_be_read_is_said_when_it_is_asked_for(tmp_path: Path) -> None:
    path = frames(tmp_path / "a", 1)[0]
    with DigestsAhead([tmp_path / "nowhere", tmp_path / "a"], tmp_path / "out") as ahead:
        ahead.of(path)
        path.unlink()
        with pytest.raises(FileNotFoundError):
            ahead.of(path)


def test_the_end_begins_no_further_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Path] = []
    over = threading.Event()

    def held(path: Path) -> str:
        begun.append(path)
        over.wait(60)
        return sha256_of(path)

    monkeypatch.setattr(digests, "sha256_of", held)
    found = frames(tmp_path / "a", 50)
    with DigestsAhead([tmp_path / "a"], tmp_path / "out") as ahead:
        wait_until(lambda: bool(begun), "a file to be begun")
    over.set()
    ahead._pool.shutdown(wait=True)
    assert 1 <= len(begun) <= ahead._pool._max_workers
    # What was not begun is still to be had.
    assert [ahead.of(path) for path in found] == [digest(path) for path in found]


def test_a_file_may_get_its_name_while_it_is_digested(tmp_path: Path) -> None:
    path = frames(tmp_path / "a", 1)[0]
    wanted = digest(path)
    taken = begin_digest(path)
    path.replace(tmp_path / "elsewhere.fits")
    assert taken.result() == wanted
