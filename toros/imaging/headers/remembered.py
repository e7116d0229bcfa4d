"""Headers of files that many frames ask for, masters above all: read once."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from toros.common.file_stamp import file_stamp
from toros.imaging.headers.exposure import ExposureInfo
from toros.imaging.headers.read import read_exposure


def read_exposure_once(path: Path) -> ExposureInfo:
    """Return what `read_exposure` does, read again only when the file has changed.

    Raises
    ------
    UnreadableFile
        See `read_exposure`.
    """
    try:
        stamp = file_stamp(path)
    except OSError:
        return read_exposure(path)  # which says what is wrong
    return _read(path, stamp)


@lru_cache(maxsize=256)
def _read(path: Path, _stamp: tuple[int, ...]) -> ExposureInfo:
    return read_exposure(path)
