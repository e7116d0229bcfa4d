"""A folder that one process at a time may write into."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toros.common.errors import CalibrationError, FolderInUse

log = logging.getLogger(__name__)


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Keep `folder`, made if it is missing, from others that ask for it like this, as a context.

    The system takes the lock back when the process ends, however it ends, and no file is left.

    Raises
    ------
    FolderInUse
        When another process has it, or another part of this one.
    CalibrationError
        When the folder cannot be made or opened.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise CalibrationError(f"{folder} cannot be written into: {error.strerror}.") from error
    try:
        _lock(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise FolderInUse(
            f"Another process is writing into {folder}: wait for its end, or name another folder."
        ) from error
    except OSError as error:
        # Some network file systems lock files only, or nothing at all; there it is up to people.
        if error.errno not in (errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP):
            raise
        log.info("%s cannot be locked: %s.", folder, error.strerror)
