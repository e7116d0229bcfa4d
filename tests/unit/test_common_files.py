from __future__ import annotations

import logging
import os
import stat
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.waiting import wait_until
from toros.common import atomic
from toros.common.atomic import atomic_path, write_bytes, write_text
from toros.common.clock import Clock, iso
from toros.common.daily_file import DailyFileHandler
from toros.common.errors import error_classes, status_codes


def test_a_file_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.txt"
    write_text(target, "whole")
    assert target.read_text() == "whole"
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("letter", ["x", "\xe4"])
def test_a_name_may_be_as_long_as_the_disk_takes_it(tmp_path: Path, letter: str) -> None:
    target = tmp_path / (letter * (250 // len(letter.encode())) + ".fits")
    write_text(target, "whole")
    assert target.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")

    def break_off() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("ne")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        break_off()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_simulated_clock_starts_where_it_is_told_and_runs_faster() -> None:
    start = datetime(2017, 8, 17, 21, 45, tzinfo=UTC)
    anchor = time.time() - 2.0  # noqa: TID251 - the machine's time is what is tested
    clock = Clock(start.timestamp(), anchor, rate=60.0)
    assert 120.0 <= (clock.now() - start).total_seconds() < 600.0
    assert clock.machine_seconds(60.0) == 1.0


def test_the_plain_clock_is_the_machine_s() -> None:
    before = time.time()  # noqa: TID251 - the machine's time is what is tested
    assert before <= Clock().unix() <= time.time()  # noqa: TID251


def test_iso_is_utc_with_milliseconds() -> None:
    assert iso(datetime(2017, 8, 17, 12, 41, 4, 430500, tzinfo=UTC)) == "2017-08-17T12:41:04.430Z"


def test_codes_are_unique_and_stand_in_the_tree_drawn_at_the_top() -> None:
    import toros.common.errors as module

    classes = list(error_classes())
    codes = [error.code for error in classes]
    assert len(codes) == len(set(codes))
    drawn = [line.split() for line in (module.__doc__ or "").splitlines()]
    for error in classes:
        own = [words for words in drawn if error.__name__ in words]
        assert own, f"{error.__name__} is not drawn"
        assert str(error.code) in own[0], error.__name__
    assert set(status_codes()) == {0, *codes}


def record(moment: datetime, text: str) -> logging.LogRecord:
    made = logging.LogRecord("x", logging.INFO, "", 0, text, None, None)
    made.created = moment.timestamp()
    return made


def test_two_handlers_share_a_file_over_midnight_and_lose_no_line(tmp_path: Path) -> None:
    path = tmp_path / "toros.log"
    handlers = [DailyFileHandler(path, keep=2), DailyFileHandler(path, keep=2)]
    lines = []
    for day in range(1, 6):
        moment = datetime(2026, 3, day, 12, tzinfo=UTC)
        for number, handler in enumerate(handlers * 2):
            lines.append(f"day {day} line {number}")
            handler.emit(record(moment, lines[-1]))
            os.utime(path, (moment.timestamp(), moment.timestamp()))
    for handler in handlers:
        handler.close()
    kept = sorted(found.name for found in tmp_path.glob("toros.log*"))
    assert kept == ["toros.log", "toros.log.2026-03-03", "toros.log.2026-03-04"]
    written = "".join((tmp_path / name).read_text() for name in [*kept[1:], kept[0]])
    assert written.split("\n")[:-1] == [line for line in lines if line >= "day 3"]


def held_open(name: str) -> bool:
    links = []
    for link in list(Path("/proc/self/fd").iterdir()):
        with suppress(FileNotFoundError):  # that of the list itself
            links.append(link.readlink())
    return any(name in str(link) for link in links)


def test_a_large_file_that_is_replaced_is_gone_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic, "_LARGE_BYTES", 1000)
    target = tmp_path / "replaced.fits"
    for content in (b"a" * 999, b"b" * 1000, b"c" * 1001):
        write_bytes(target, content)
        assert target.read_bytes() == content
    wait_until(lambda: not held_open(target.name), "the old file to be closed")


def test_a_name_that_cannot_be_replaced_holds_nothing_open(tmp_path: Path) -> None:
    target = tmp_path / "folder.fits"
    target.mkdir()
    with pytest.raises(IsADirectoryError):
        write_bytes(target, b"content")
    assert not held_open(target.name)
    assert list(tmp_path.iterdir()) == [target]
