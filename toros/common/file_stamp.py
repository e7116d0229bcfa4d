"""Whether a file is still the one that was looked at."""

from __future__ import annotations

from pathlib import Path


def file_stamp(path: Path) -> tuple[int, ...]:
    """Return what changes when the file does, or when another takes its name.

    Raises
    ------
    OSError
        If there is none.
    """
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
