"""Sorts every pixel of a tile along the frames."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toros.imaging.kernels.compiled import inlined, kernel

Tile = NDArray[Any]

_MIDDLE_COLUMNS = 256


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


@inlined
def _clamp(
    values: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    made: NDArray[np.float64],
) -> None:
    for p in range(made.size):
        value = values[p] if values[p] > low[p] else low[p]
        made[p] = value if value < high[p] else high[p]


@kernel
def middle_of_rows(
    rows: NDArray[np.float64], pairs: NDArray[np.int32], made: NDArray[np.float64]
) -> None:
    """Take in each place the median of some rows that follow each other, at least three.

    Those of two places have all rows but one each in common, which are sorted once: the median is
    the last row where that lies between the two in the middle, else the nearer of them.

    Parameters
    ----------
    rows : numpy.ndarray
        [y, x]; as many more than `made` has as rows are taken together, less 1.
    pairs : numpy.ndarray
        The `network` of one less than are taken together; of an even number the upper one of the
        middle is taken.
    """
    height, width = made.shape
    count = rows.shape[0] - height + 1
    # Small enough for the first-level cache.
    for start in range(0, width, _MIDDLE_COLUMNS):
        columns = slice(start, min(start + _MIDDLE_COLUMNS, width))
        tile = np.empty((count - 1, columns.stop - start), np.float64)
        for y in range(0, height, 2):
            tile[:] = rows[y + 1 : y + count, columns]
            sort_pixels(tile, pairs)
            below, above = tile[count // 2 - 1], tile[count // 2]
            _clamp(rows[y, columns], below, above, made[y, columns])
            if y + 1 < height:
                _clamp(rows[y + count, columns], below, above, made[y + 1, columns])
