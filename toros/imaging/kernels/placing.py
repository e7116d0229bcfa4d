"""What an amplifier read out, brought to its place in the frame."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from toros.imaging.kernels.compiled import inlined, kernel
from toros.imaging.kernels.words import count_of

Pixels = NDArray[np.float32]


class Place(NamedTuple):
    """Where columns of an image go in the frame.

    Parameters
    ----------
    first, to, width : int
        From which column on, to which, and how many.
    flip_y, flip_x : bool
        Whether the last row, the last column, comes first.
    """

    first: int
    to: int
    width: int
    flip_y: bool
    flip_x: bool


@kernel
def place_counts(
    raw: NDArray[np.uint16],
    by_row: Pixels,
    by_column: Pixels,
    factor: np.float32,
    saturation: int,
    place: Place,
    pixels: Pixels,
    mask: NDArray[np.uint8],
    saturated: np.uint8,
) -> None:
    """Fill `pixels` with ``factor * (raw - by_row - by_column)``, and `mask`.

    Parameters
    ----------
    raw : numpy.ndarray
        Counts [y, x] as they stand in a FITS file: big-endian, with BZERO = 32768.
    by_row, by_column : numpy.ndarray
        The level under each row and under each column that is placed; one of them is 0.
    saturation : int
        The first count that is `saturated`; 65536: none.
    """
    height, first, stop = pixels.shape[0], place.to, place.to + place.width
    limit = np.int32(min(saturation, 65536))
    for y in range(height):
        line = height - 1 - y if place.flip_y else y
        counts = raw[line, place.first : place.first + place.width]
        row, marks = pixels[y, first:stop], mask[y, first:stop]
        for x in range(row.size):
            count = np.int32(count_of(counts[x]))
            row[x] = (np.float32(count) - (by_row[line] + by_column[x])) * factor
            marks[x] = saturated if count >= limit else np.uint8(0)
        if place.flip_x:
            _turn(row)
            _turn(marks)


@inlined
def _turn(line: NDArray[Any]) -> None:
    for x in range(line.size // 2):
        line[x], line[line.size - 1 - x] = line[line.size - 1 - x], line[x]
