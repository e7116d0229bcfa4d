"""Masters as the kernel that calibrates lights takes them: mapped into memory as they stand.

Every light of a batch is divided by the same flat. Copied out of the file, and turned into planes
of numbers, three masters of 4096² take 370 MB and as long as five lights; those of a camera of
10560² would not fit the memory limit at all. Their pages are in the system's cache already.
"""

from __future__ import annotations

import errno
import mmap
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from toros.common.errors import UnreadableFile
from toros.common.file_stamp import file_stamp
from toros.imaging.defects import read_bad_pixels
from toros.imaging.headers import ExposureInfo
from toros.imaging.kernels.correcting import MasterWords
from toros.imaging.master_file import MasterFile, Place, check_size, open_master

Words = NDArray[np.uint32]
Bits = NDArray[np.uint8]
T = TypeVar("T")
S = TypeVar("S", bound=np.generic)

# Files that are held: the masters of a camera in some filters.
_MOST = 12
# Linux's word for: read all of it now, and say so if that fails. Python 3.11 has no name for it.
_POPULATE_READ = 22
_FLOAT = np.dtype(">f4")


@dataclass(frozen=True)
class WholeMaster:
    """The planes [y, x] of a master; None where it has no such plane, or there is no master.

    Parameters
    ----------
    value : float
        Of the pixels, where there is no master.
    """

    pixels: Words | None = None
    error: Words | None = None
    bad: Bits | None = None
    value: float = 0.0

    def rows(self, rows: slice, width: int) -> MasterWords:
        """Return some rows, flat."""
        size = (rows.stop - rows.start) * width
        nothing = constant(0.0, size)
        return MasterWords(
            constant(self.value, size) if self.pixels is None else flat(self.pixels, rows),
            nothing if self.error is None else flat(self.error, rows),
            nothing.view(np.uint8)[:size] if self.bad is None else flat(self.bad, rows),
        )


def flat(plane: NDArray[S], rows: slice) -> NDArray[S]:
    """Return some rows of a plane for a kernel, which is compiled for what is not to be changed."""
    found = plane[rows].reshape(-1)
    found.flags.writeable = False
    return found


@lru_cache(maxsize=8)
def constant(value: float, size: int) -> Words:
    """Return words of the same number, not to be changed."""
    made = np.full(size, value, _FLOAT).view(np.uint32)
    made.flags.writeable = False
    return made


def whole_master(path: Path, info: ExposureInfo) -> WholeMaster:
    """Return the master `path` for the frame `info`; those of the last files are held.

    Raises
    ------
    UnreadableFile
        If the file cannot be read.
    MixedShapes
        If the master has another size.
    """

    def make() -> WholeMaster:
        with open_master(path, info) as file:
            return _mapped(file) or _decoded(file)

    made = _hold("master", path, make)
    if made.pixels is not None:
        check_size(path, made.pixels.shape, info)
    return made


def whole_bad_pixels(path: Path, info: ExposureInfo) -> NDArray[np.bool_]:
    """Return the bad-pixel mask `path` [y, x]; see `whole_master`."""
    made = _hold("mask", path, lambda: read_bad_pixels(info, path))
    check_size(path, made.shape, info)
    return made


def _mapped(file: MasterFile) -> WholeMaster | None:
    """Map the file of a master into memory; None where it does not stand there as we write it."""
    places = file.places
    if places is None:
        return None
    size = file.shape[0] * file.shape[1]
    end = max(place.offset + size * place.kind.itemsize for place in places if place is not None)
    try:
        memory = mmap.mmap(file.descriptor, end, prot=mmap.PROT_READ)
        _read_all(memory)
    except (OSError, ValueError) as error:  # ValueError: the file is shorter
        raise UnreadableFile(f"{file.path}: cannot be read: {error}.") from error

    def plane(place: Place | None, kind: type[np.generic]) -> NDArray[Any] | None:
        if place is None:
            return None
        return np.frombuffer(memory, kind, size, place.offset).reshape(file.shape)

    pixels, error_, bad = places
    return WholeMaster(plane(pixels, np.uint32), plane(error_, np.uint32), plane(bad, np.uint8))


def _read_all(memory: mmap.mmap) -> None:
    """Have the disk's errors now, as errors: later they would end the process."""
    try:
        memory.madvise(_POPULATE_READ)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a system that does not know this
            raise


def _decoded(file: MasterFile) -> WholeMaster:
    """Make words of any other master."""
    master = file.rows(slice(0, file.shape[0]))
    error = master.uncertainty
    return WholeMaster(
        master.pixels.astype(_FLOAT).view(np.uint32),
        None if error is None else error.astype(_FLOAT).view(np.uint32),
        master.mask.view(np.uint8),
    )


# What was opened last, and the state of its file then.
_held: OrderedDict[tuple[str, Path], tuple[tuple[int, ...], Any]] = OrderedDict()
_lock = threading.Lock()


def _hold(kind: str, path: Path, make: Callable[[], T]) -> T:
    # One thread reads a file, those that need the same wait for it.
    with _lock:
        stamp = _stamp(path)
        found = _held.get((kind, path))
        if found is None or found[0] != stamp:
            found = _held[kind, path] = (stamp, make())
        _held.move_to_end((kind, path))
        while len(_held) > _MOST:
            _held.popitem(last=False)
    return cast("T", found[1])


def let_go() -> None:
    """Let go of all files that are held."""
    with _lock:
        _held.clear()


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        return file_stamp(path)
    except OSError as error:
        raise UnreadableFile(f"{path}: cannot be opened: {error}.") from error
