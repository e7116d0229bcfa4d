"""Notices that somebody puts into a folder."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from toros.common.clock import Clock
from toros.common.config.alert_sources import FolderSource
from toros.lvcgcn.formats import MAX_NOTICE_BYTES
from toros.lvcgcn.sources.source import RawNotice, Report

log = logging.getLogger(__name__)

TAKEN, REFUSED = "taken", "refused"
_UNFINISHED = (".part", ".tmp", ".crdownload", "~")


class WatchedFolder:
    """Takes every file of a folder that has not changed between two looks.

    Parameters
    ----------
    settings : FolderSource
        Which folder, and how often.
    clock : Clock
        The observatory's time.
    report : callable
        Records a problem.
    """

    def __init__(self, settings: FolderSource, clock: Clock, report: Report) -> None:
        self._folder = settings.path
        self._poll_s = settings.poll_s
        self._clock = clock
        self._report = report
        self._seen: dict[Path, tuple[int, int]] = {}
        self._missing = False
        #: Files that cannot be read or moved aside, as they were then: said once, and left alone.
        self._stuck: dict[Path, tuple[int, int]] = {}
        self.name = f"folder:{settings.path}"

    def stream(self, stop: threading.Event) -> Iterator[RawNotice]:
        """Yield files, the oldest first."""
        while not stop.is_set():
            for path in self._whole_files():
                try:
                    content = path.read_bytes()
                except FileNotFoundError:
                    continue  # somebody took it back
                except OSError as error:
                    self._leave(path, f"cannot be read: {error.strerror}")
                    continue
                yield RawNotice(content, self.name, path.name, self._clock.now(), path)
            stop.wait(self._poll_s)

    def ack(self, notice: RawNotice) -> None:
        """Move the file aside; it was taken, even if it has to stay."""
        self._move(notice.token, TAKEN)

    def _leave(self, path: Path, why: str) -> None:
        """Let a file be, until it changes: it must not keep those after it from being taken."""
        self._report(f"{path} {why}; it is left where it is.")
        self._stuck[path] = self._seen[path]

    def describe(self) -> dict[str, Any]:
        """Return whether the folder is there."""
        return {"present": self._folder.is_dir()}

    def _whole_files(self) -> list[Path]:
        found: dict[Path, tuple[int, int]] = {}
        try:
            for path in self._folder.iterdir():
                if (
                    path.is_file()
                    and not path.name.startswith(".")
                    and not path.name.endswith(_UNFINISHED)
                ):
                    with contextlib.suppress(FileNotFoundError):  # taken back meanwhile
                        about = path.stat()
                        found[path] = (about.st_mtime_ns, about.st_size)
        except OSError as error:
            self._complain(error)
            return []
        self._missing = False
        same = [path for path, about in found.items() if self._seen.get(path) == about]
        self._seen = found
        self._stuck = {path: about for path, about in self._stuck.items() if path in found}
        same = [path for path in same if self._stuck.get(path) != found[path]]
        large = [path for path in same if found[path][1] > MAX_NOTICE_BYTES]
        for path in large:
            self._report(f"{path} has over {MAX_NOTICE_BYTES} bytes: no notice.")
            self._move(path, REFUSED)
        return sorted(set(same).difference(large), key=lambda path: (found[path], path.name))

    def _complain(self, error: OSError) -> None:
        if not self._missing:
            self._report(f"The folder {self._folder} cannot be looked at: {error.strerror}.")
        self._missing = True

    def _move(self, path: Path, where: str) -> None:
        aside = self._folder / where
        target, number = aside / path.name, 1
        try:
            aside.mkdir(exist_ok=True)
            while target.exists():
                number += 1
                target = aside / f"{path.stem}-{number}{path.suffix}"
            path.rename(target)
        except FileNotFoundError:
            log.info("%s is gone; it was %s.", path, where)
        except OSError as error:
            self._leave(path, f"was {where}, and cannot be moved to {aside}: {error.strerror}")
