"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LARGE_BYTES = 32 * 1024**2
_LONGEST_NAME = 255  # bytes; of all file systems that are likely here
_ADDED = 10  # two dots and eight letters


@contextmanager
def atomic_path(target: Path, mode: int = 0o644) -> Iterator[Path]:
    """Yield a temporary path beside `target`; on success flush it to disk and rename it there.

    On an error the temporary file is removed and `target` is left as it was.

    Parameters
    ----------
    target : pathlib.Path
        The final path. Its folder is made if it is missing.
    mode : int
        Permissions of the file; by default others may read it.

    Yields
    ------
    pathlib.Path
        An empty file, with the suffix of `target`, to write to.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        dir=target.parent, prefix=hidden_prefix(target), suffix=target.suffix
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(mode)
        _flush(temporary)
        _rename(temporary, target)
        _flush(target.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def hidden_prefix(target: Path) -> str:
    """Return how the name of the temporary file begins, before eight letters and the suffix."""
    room = _LONGEST_NAME - _ADDED - len(os.fsencode(target.suffix))
    stem = os.fsencode(target.stem)[: max(room, 0)]
    return f".{stem.decode('utf-8', 'ignore')}."


def _rename(temporary: Path, target: Path) -> None:
    """Give a file its name; a large file that had the name is taken apart by another thread.

    To free the memory and the blocks of 150 MB takes the system 10 ms, in which nothing else would
    be done.
    """
    try:
        old = os.open(target, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # there is none; if there is another reason, renaming will tell
        temporary.replace(target)
        return
    try:
        large = os.fstat(old).st_size >= _LARGE_BYTES
        temporary.replace(target)
    except BaseException:
        os.close(old)
        raise
    if large:
        threading.Thread(target=os.close, args=(old,), name="free").start()
    else:
        os.close(old)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def begin_flush(descriptor: int, offset: int, size: int) -> None:
    """Have some bytes that were just written to a file begin their way to the disk.

    The flush at the end then waits for the last of them only. They stay in memory: Linux takes the
    advice for what is on the disk already, and starts writing the rest.
    """
    os.posix_fadvise(descriptor, offset, size, os.POSIX_FADV_DONTNEED)


def write_bytes(target: Path, content: bytes) -> None:
    """Write `content` to `target`, whole or not at all."""
    with atomic_path(target) as temporary:
        temporary.write_bytes(content)


def write_text(target: Path, content: str) -> None:
    """Write `content` to `target` in UTF-8, whole or not at all."""
    write_bytes(target, content.encode())
