"""What an amplifier read out, brought to its place in the frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toros.imaging.kernels.compiled import kernel
from toros.imaging.kernels.words import count_of

Pixels = NDArray[np.float32]


@kernel
def place_counts(
    raw: NDArray[np.uint16],
    by_row: Pixels,
    by_column: Pixels,
    factor: np.float32,
    saturation: int,
    flip_y: bool,
    flip_x: bool,
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
        The level under each row and under each column; one of them is 0.
    saturation : int
        The first count that is `saturated`; 65536: none.
    flip_y, flip_x : bool
        Whether the last row, the last column, comes first.
    """
    height, width = pixels.shape
    limit = np.int32(min(saturation, 65536))
    for y in range(height):
        line = height - 1 - y if flip_y else y
        for x in range(width):
            column = width - 1 - x if flip_x else x
            count = np.int32(count_of(raw[line, column]))
            pixels[y, x] = (np.float32(count) - (by_row[line] + by_column[column])) * factor
            mask[y, x] = saturated if count >= limit else np.uint8(0)
