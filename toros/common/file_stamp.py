"""Whether a file is still the one that was looked at."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class FileStamp(NamedTuple):
    """What changes when a file does, or when another takes its name."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int


def file_stamp(path: Path) -> FileStamp:
    """Return the stamp of a file.

    Raises
    ------
    OSError
        If there is none.
    """
    found = path.stat()
    return FileStamp(
        found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
    )
