"""Bleed trails, followed along their column."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toros.imaging.kernels.compiled import inlined, kernel
from toros.imaging.kernels.rules import MAD_TO_SIGMA

Pixels = NDArray[np.float32]

# Pixels of a trail stand out from those beside it by so many of their deviations.
_THRESHOLD = 5.0
# Those beside it: from so many columns off to so many.
NEAR_PX, FAR_PX = 3, 12
# A trail may be lost in the noise for so many pixels and come back.
MISSES = 3


@kernel
def follow(
    pixels: Pixels,
    saturated: NDArray[np.bool_],
    column: int,
    row: int,
    step: int,
    misses: int,
    found: int,
) -> tuple[int, int, int]:
    """Follow a trail from `row` on, to its end or to that of the rows that are there.

    Parameters
    ----------
    step : int
        1: upwards, -1: downwards.
    misses, found : int
        For how many pixels it has been lost, and the last row that it was found in.

    Returns
    -------
    row, misses, found : int
        Where to go on, and the same as at the beginning.
    """
    while 0 <= row < pixels.shape[0] and misses < MISSES:
        if saturated[row, column] or _stands_out(pixels[row], column):
            misses, found = 0, row
        else:
            misses += 1
        row += step
    return row, misses, found


@inlined
def _stands_out(line: Pixels, column: int) -> bool:
    beside, count = np.empty(2 * (FAR_PX - NEAR_PX), np.float64), 0
    for x in range(max(column - FAR_PX, 0), min(column + FAR_PX + 1, line.size)):
        if x < column - NEAR_PX or x > column + NEAR_PX:
            if np.isnan(line[x]):
                return False
            beside[count] = line[x]
            count += 1
    if count == 0:
        return False
    level = _median(beside, count)
    for k in range(count):
        beside[k] = abs(beside[k] - level)
    sigma = MAD_TO_SIGMA * _median(beside, count)
    return bool(line[column] > level + _THRESHOLD * max(sigma, 1e-6 * abs(level)))


@inlined
def _median(values: NDArray[np.float64], count: int) -> float:
    """Return the median of the first `count` values, which are sorted.

    `np.median` would make the kernel take thirty times as long to load.
    """
    for i in range(1, count):
        value, k = values[i], i
        while k > 0 and values[k - 1] > value:
            values[k] = values[k - 1]
            k -= 1
        values[k] = value
    return float((values[(count - 1) // 2] + values[count // 2]) * 0.5)
