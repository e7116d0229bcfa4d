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
