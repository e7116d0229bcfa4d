"""SHA-256 of files, also of many ahead of time, while the interpreter has other work."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from io import FileIO
from pathlib import Path
from types import TracebackType

from toros.common.file_stamp import FileStamp, file_stamp
from toros.common.fits_files import find_fits

# Each piece is waited for, where another thread has the interpreter's lock.
_PIECE_BYTES = 16 * 1024**2


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of the file's bytes, in hexadecimal."""
    with path.open("rb", buffering=0) as file:
        return _digest(file)


def begin_digest(path: Path) -> Future[str]:
    """Begin to take the SHA-256 of a file, which may be renamed meanwhile."""
    file = path.open("rb", buffering=0)

    def take() -> str:
        with file:
            return _digest(file)

    return _pool().submit(take)


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(len(os.sched_getaffinity(0)), thread_name_prefix="digest")


def _digest(file: FileIO) -> str:
    digest, buffer = hashlib.sha256(), bytearray(_PIECE_BYTES)
    while size := file.readinto(buffer):
        digest.update(memoryview(buffer)[:size])
    return digest.hexdigest()


class DigestsAhead:
    """Digests the frames of some folders in threads of its own, as a context.

    A command spends its first second importing modules, which only one core can do; the others
    read the frames meanwhile.

    Parameters
    ----------
    folders : iterable of pathlib.Path
        Where the frames are. What cannot be read is passed over: who asks for it is told.
    leave_out : pathlib.Path
        A folder below whose files are not wanted.
    """

    def __init__(self, folders: Iterable[Path], leave_out: Path) -> None:
        workers = max(1, min(4, len(os.sched_getaffinity(0)) - 1))
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="digest")
        found = (path for folder in folders for path in _frames(folder.absolute()))
        wanted = (path for path in found if not path.is_relative_to(leave_out.absolute()))
        self._ahead = {path: self._pool.submit(_known, path) for path in wanted}

    def __enter__(self) -> DigestsAhead:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Begin no further file."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def of(self, path: Path) -> str:
        """Return the digest of `path` as it is now.

        Raises
        ------
        OSError
            If it cannot be read.
        """
        ahead = self._ahead.get(path)
        # One that no thread has begun is sooner done here than waited for.
        if ahead is None or ahead.cancel() or ahead.cancelled():
            return sha256_of(path)
        known = ahead.result()
        return known.digest if known and known.stamp == file_stamp(path) else sha256_of(path)


@dataclass(frozen=True)
class _Known:
    stamp: FileStamp
    digest: str


def _known(path: Path) -> _Known | None:
    try:
        return _Known(file_stamp(path), sha256_of(path))
    except OSError:
        return None


def _frames(folder: Path) -> list[Path]:
    try:
        return find_fits(folder)
    except OSError:
        return []
