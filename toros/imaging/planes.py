"""The result of a stack: in memory, or in a nameless file where it would not fit."""

from __future__ import annotations

import os
import tempfile
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toros.common.errors import UnreadableFile
from toros.imaging.direct_file import write_at
from toros.imaging.frames import Pixels

_BYTES_PER_PIXEL = 10


@dataclass(frozen=True)
class Combined:
    """The stack [y, x], its standard error, and how many frames each pixel comes from.

    Where no frame has a value, the value and the error are NaN and the count is 0.
    """

    pixels: Pixels
    uncertainty: Pixels
    count: NDArray[np.uint16]

    def rows(self, rows: slice) -> Combined:
        """Return some rows, which are no copy."""
        return Combined(self.pixels[rows], self.uncertainty[rows], self.count[rows])


def empty(shape: tuple[int, int]) -> Combined:
    """Return arrays to be filled."""
    return Combined(
        np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.uint16)
    )


class Planes:
    """A stack of some shape; rows may be written and read from several threads.

    Parameters
    ----------
    shape : tuple of int
        (height, width).
    limit_bytes : int
        What would take more memory than this is kept on disk (in ``$TMPDIR``).
    """

    def __init__(self, shape: tuple[int, int], limit_bytes: int) -> None:
        self.shape = shape
        self._arrays: Combined | None = None
        if shape[0] * shape[1] * _BYTES_PER_PIXEL <= limit_bytes:
            self._arrays = empty(shape)
        else:
            self._file = tempfile.TemporaryFile(prefix="toros-stack-")  # noqa: SIM115
            # Closed, and with it gone, when nothing refers to the stack any more.
            weakref.finalize(self, self._file.close)

    def to_fill(self, rows: slice) -> Combined:
        """Return arrays for `rows`, to be filled and then given to `store`."""
        if self._arrays is not None:
            return self._arrays.rows(rows)
        return empty((rows.stop - rows.start, self.shape[1]))

    def store(self, rows: slice, part: Combined) -> None:
        """Keep what `to_fill` gave, now that it is filled."""
        if self._arrays is None:
            for array, offset in zip(_arrays(part), self._offsets(rows), strict=True):
                write_at(self._file.fileno(), array, offset)

    def rows(self, rows: slice) -> Combined:
        """Return some rows; not to be changed."""
        if self._arrays is not None:
            return self._arrays.rows(rows)
        part = self.to_fill(rows)
        for array, offset in zip(_arrays(part), self._offsets(rows), strict=True):
            _read(self._file.fileno(), array, offset)
        return part

    def _offsets(self, rows: slice) -> list[int]:
        height, width = self.shape
        starts = [0, 4 * height * width, 8 * height * width]
        return [at + rows.start * width * item for at, item in zip(starts, (4, 4, 2), strict=True)]


def _arrays(part: Combined) -> tuple[NDArray[Any], ...]:
    return part.pixels, part.uncertainty, part.count


def _read(descriptor: int, array: NDArray[Any], offset: int) -> None:
    view = array.data.cast("B")
    while view:
        done = os.preadv(descriptor, [view], offset)
        if done == 0:
            raise UnreadableFile("The temporary file of a stack was cut off.")
        view, offset = view[done:], offset + done
