"""A log file that several processes share and that begins anew each day."""

from __future__ import annotations

import fcntl
import logging
from datetime import UTC, date, datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path


class DailyFileHandler(WatchedFileHandler):
    """Appends to a file; the first record of a UTC day moves the old file to ``NAME.YYYY-MM-DD``.

    The standard library's timed handler loses lines when several processes rotate one file. Here
    the move is made under a lock and only once, and the others notice that the file has changed.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    keep : int
        How many old files are kept.
    """

    def __init__(self, path: Path, keep: int) -> None:
        self._path = path
        self._keep = keep
        self._day: date | None = None
        super().__init__(path, encoding="utf-8")

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record, to a new file if it is the first of its day."""
        today = datetime.fromtimestamp(record.created, UTC).date()
        if today != self._day:
            try:
                self._begin(today)
            except OSError:
                self.handleError(record)
        super().emit(record)

    def _begin(self, today: date) -> None:
        with self._path.with_name(f".{self._path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = self._path.stat()
            written = datetime.fromtimestamp(found.st_mtime, UTC).date()
            if found.st_size and written < today:
                self._path.rename(self._path.with_name(f"{self._path.name}.{written}"))
                self._forget_oldest()
        self._day = today

    def _forget_oldest(self) -> None:
        pattern = f"{self._path.name}.[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"
        for old in sorted(self._path.parent.glob(pattern), reverse=True)[self._keep :]:
            old.unlink(missing_ok=True)
