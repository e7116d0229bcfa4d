"""Headers that are asked for again: every step of a batch asks, and every light for its masters."""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path

from toros.common.file_stamp import file_stamp
from toros.imaging.headers.exposure import ExposureInfo
from toros.imaging.headers.read import read_anew

# The frames of a night; one header is some 20 kB.
_MOST = 512
# A file system's clock ticks every 4 or 10 ms: what changed just now may change once more and look
# the same.
_SETTLED_NS = 50_000_000


def read_exposure(path: Path) -> ExposureInfo:
    """Read the header of the first image in the FITS file `path`, or remember it.

    Raises
    ------
    UnreadableFile
        If the file is missing, truncated, no FITS file, or holds no image.
    """
    try:
        stamp = file_stamp(path)
    except OSError:
        return read_anew(path)  # which says what is wrong
    if time.time_ns() - stamp.changed_ns < _SETTLED_NS:
        return read_anew(path)
    return _read(path, stamp)


@lru_cache(maxsize=_MOST)
def _read(path: Path, _stamp: object) -> ExposureInfo:
    return read_anew(path)
