"""Sorts every pixel of a tile along the frames."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toros.imaging.kernels.compiled import kernel

Tile = NDArray[Any]


@lru_cache(maxsize=64)
def network(count: int) -> NDArray[np.int32]:
    """Return the comparators [k, 2] of Batcher's odd-even merge sort of `count` values.

    The same comparisons for every pixel, whatever its values, so that one instruction compares
    16 or 32 pixels; for 20 frames there are 103 of them.

    References
    ----------
    Batcher (1968), Sorting networks and their applications; Knuth, The Art of Computer
    Programming, volume 3, 5.2.2, algorithm M.
    """
    pairs = []
    merged = 1
    while merged < count:
        apart = merged
        while apart >= 1:
            for start in range(apart % merged, count - apart, 2 * apart):
                for low in range(start, min(start + apart, count - apart)):
                    if low // (2 * merged) == (low + apart) // (2 * merged):
                        pairs.append((low, low + apart))
            apart //= 2
        merged *= 2
    return np.array(pairs, np.int32).reshape(-1, 2)


@kernel
def sort_pixels(tile: Tile, pairs: NDArray[np.int32]) -> None:
    """Sort `tile` [frame, pixel] along the frames, in place; it must not hold NaN."""
    for c in range(pairs.shape[0]):
        low, high = tile[pairs[c, 0]], tile[pairs[c, 1]]
        for p in range(low.size):
            x, y = low[p], high[p]
            low[p] = x if x < y else y
            high[p] = y if x < y else x


@kernel
def middle_of_rows(
    rows: NDArray[np.float64], pairs: NDArray[np.int32], made: NDArray[np.float64]
) -> None:
    """Take in each place the median of some rows that follow each other.

    Parameters
    ----------
    rows : numpy.ndarray
        [y, x]; as many more than `made` has as rows are taken together, less 1.
    pairs : numpy.ndarray
        The `network` of that many; of an even number the upper one of the middle is taken.
    """
    count = rows.shape[0] - made.shape[0] + 1
    tile = np.empty((count, rows.shape[1]), np.float64)
    for y in range(made.shape[0]):
        tile[:] = rows[y : y + count]
        sort_pixels(tile, pairs)
        made[y] = tile[count // 2]
