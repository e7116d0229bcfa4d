"""Masters as the kernel that calibrates lights takes them: mapped into memory as they stand.

Every light of a batch is divided by the same flat. Copied out of the file, and turned into planes
of numbers, three masters of 4096² take 370 MB and as long as five lights; those of a camera of
10560² would not fit the memory limit at all. Their pages are in the system's cache already.
"""

from __future__ import annotations

import errno
import gc
import mmap
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from toros.common.errors import UnreadableFile
from toros.common.file_stamp import FileStamp, file_stamp
from toros.imaging.defects import read_bad_pixels
from toros.imaging.frames import check_size
from toros.imaging.headers import ExposureInfo
from toros.imaging.kernels.correcting import MasterWords
from toros.imaging.master_file import MasterFile, Place, open_master, read_rows

Words = NDArray[np.uint32]
T = TypeVar("T")

# Files that are held: the masters of a camera in some filters.
_MOST = 12
# Linux's word for: read all of it now, and say so if that fails. Python 3.11 has no name for it.
_POPULATE_READ = 22
_FLOAT = np.dtype(">f4")
_WORDS: dict[int, np.dtype[Any]] = {4: np.dtype(np.uint32), 1: np.dtype(np.uint8)}
# Bias, dark and flat.
_MASTERS = 3


class Plane(Protocol):
    """A plane [y, x] of which rows are had: an array, or `PlaneInFile`."""

    def __getitem__(self, rows: slice, /) -> NDArray[Any]:
        """Return some rows."""


@dataclass(frozen=True)
class WholeMaster:
    """The planes of a master; None where it has no such plane, or there is no master.

    Parameters
    ----------
    pixels, error, bad : Plane
        Value and uncertainty as big-endian words of float32 (uint32), and the mask (uint8).
    shape : tuple of int
        (height, width).
    value : float
        Of the pixels, where there is no master.
    """

    pixels: Plane | None = None
    error: Plane | None = None
    bad: Plane | None = None
    value: float = 0.0
    shape: tuple[int, ...] = ()

    def rows(self, rows: slice, width: int) -> MasterWords:
        """Return some rows, flat."""
        size = (rows.stop - rows.start) * width
        nothing = constant(0.0, size)
        return MasterWords(
            constant(self.value, size) if self.pixels is None else flat(self.pixels, rows),
            nothing if self.error is None else flat(self.error, rows),
            nothing.view(np.uint8)[:size] if self.bad is None else flat(self.bad, rows),
        )


def flat(plane: Plane, rows: slice) -> NDArray[Any]:
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


def whole_master(path: Path, info: ExposureInfo, limit_bytes: int) -> WholeMaster:
    """Return the master `path` for the frame `info`; those of the last files are held.

    Parameters
    ----------
    limit_bytes : int
        Where the masters of a light would take more memory than this, their rows are read when
        they are wanted.

    Raises
    ------
    UnreadableFile
        If the file cannot be read.
    MixedShapes
        If the master has another size.
    """

    def make() -> WholeMaster:
        with open_master(path, info) as file:
            return _in_file(file, limit_bytes) or _decoded(file)

    made = _hold("master", path, make)
    check_size(path, made.shape, info)
    return made


def whole_bad_pixels(path: Path, info: ExposureInfo) -> NDArray[np.bool_]:
    """Return the bad-pixel mask `path` [y, x]; see `whole_master`."""
    made = _hold("mask", path, lambda: read_bad_pixels(info, path))
    check_size(path, made.shape, info)
    return made


def _in_file(file: MasterFile, limit_bytes: int) -> WholeMaster | None:
    """Return the planes of a file, mapped or to be read; None unless it is as we write masters."""
    places = file.places
    if places is None:
        return None
    size = file.shape[0] * file.shape[1]
    end = max(place.offset + size * place.kind.itemsize for place in places if place is not None)
    plane = _mapped(file, end) if _MASTERS * end <= limit_bytes else _by_rows(file)
    pixels, error, bad = (None if place is None else plane(place) for place in places)
    return WholeMaster(pixels, error, bad, shape=file.shape)


def _mapped(file: MasterFile, end: int) -> Callable[[Place], Plane]:
    try:
        memory = mmap.mmap(file.descriptor, end, prot=mmap.PROT_READ)
        _read_all(memory)
    except (OSError, ValueError) as error:  # ValueError: the file is shorter
        raise UnreadableFile(f"{file.path}: cannot be read: {error}.") from error
    size = file.shape[0] * file.shape[1]

    def plane(place: Place) -> Plane:
        words = np.frombuffer(memory, _WORDS[place.kind.itemsize], size, place.offset)
        return words.reshape(file.shape)

    return plane


def _by_rows(file: MasterFile) -> Callable[[Place], Plane]:
    opened = _Opened(os.dup(file.descriptor))
    return lambda place: PlaneInFile(opened, file.path, place, file.shape[1])


class _Opened:
    """A descriptor that is closed when nothing refers to it any more."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        weakref.finalize(self, os.close, descriptor)


class PlaneInFile:
    """A plane of which rows are read, where all of it would take too much memory."""

    def __init__(self, opened: _Opened, path: Path, place: Place, width: int) -> None:
        self._opened, self._path, self._place, self._width = opened, path, place, width

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        """Return some rows.

        Raises
        ------
        UnreadableFile
            If the file is cut off, or the disk fails.
        """
        place, descriptor = self._place, self._opened.descriptor
        found = read_rows(descriptor, self._path, place, rows, self._width)
        return found.view(_WORDS[place.kind.itemsize])


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
        shape=file.shape,
    )


# What was opened last, and the state of its file then.
_held: OrderedDict[tuple[str, Path], tuple[FileStamp, Any]] = OrderedDict()
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
        held = [weakref.ref(planes) for _, planes in _held.values()]
        _held.clear()
    if any(planes() is not None for planes in held):
        # The traceback of an error holds what it met, and itself, until garbage is looked for.
        gc.collect()


def _stamp(path: Path) -> FileStamp:
    try:
        return file_stamp(path)
    except OSError as error:
        raise UnreadableFile(f"{path}: cannot be opened: {error}.") from error
