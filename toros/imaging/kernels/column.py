"""One pixel: which of its sorted values are kept by a rule, and what comes of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toros.imaging.kernels.compiled import inlined
from toros.imaging.kernels.rules import (
    EXTREMA_CLIP,
    MAD_TO_SIGMA,
    NO_CLIP,
    PERCENTILE_CLIP,
    SIGMA_CLIP,
    RuleCode,
)

Tile = NDArray[Any]

# To numba `float` of a float32 is a float32: sums are of `np.float64`.


@inlined
def _middle(tile: Tile, p: int, start: int, stop: int) -> float:
    low, high = (start + stop - 1) // 2, (start + stop) // 2
    return (np.float64(tile[low, p]) + np.float64(tile[high, p])) * 0.5


@inlined
def _mad(tile: Tile, p: int, start: int, stop: int, middle: float) -> float:
    """Return the median distance from `middle`, walking outwards from the middle."""
    count = stop - start
    right = start + count // 2
    left = right - 1
    wanted = (count - 1) // 2
    found = previous = 0.0
    for step in range(count // 2 + 1):
        below = middle - np.float64(tile[left, p]) if left >= start else np.inf
        above = np.float64(tile[right, p]) - middle if right < stop else np.inf
        previous = found
        if below <= above:
            found = below
            left -= 1
        else:
            found = above
            right += 1
        if step == wanted and count % 2 == 1:
            return found
    return (previous + found) * 0.5


@inlined
def _moments(tile: Tile, p: int, start: int, stop: int) -> tuple[float, float]:
    """Return the mean and the sum of the squared distances from it."""
    # Counted from one of the values: sums of large numbers would lose their last digits.
    origin = np.float64(tile[start, p])
    total = 0.0
    for i in range(start, stop):
        total += np.float64(tile[i, p]) - origin
    mean = origin + total / (stop - start)
    squares = 0.0
    for i in range(start, stop):
        squares += (np.float64(tile[i, p]) - mean) ** 2
    return mean, squares


@inlined
def _within(tile: Tile, p: int, count: int, low: float, high: float) -> tuple[int, int]:
    start, stop = 0, count
    while start < count and np.float64(tile[start, p]) < low:
        start += 1
    while stop > start and np.float64(tile[stop - 1, p]) > high:
        stop -= 1
    return start, stop


@inlined
def _sigma_limits(tile: Tile, p: int, count: int, code: RuleCode) -> tuple[float, float]:
    """Return the limits between which values are kept, as astropy's C code finds them."""
    start, stop, low, high = 0, count, -np.inf, np.inf
    done = 0
    while True:
        middle = _middle(tile, p, start, stop)
        mean = squares = 0.0
        if not (code.median_centre and code.mad):
            mean, squares = _moments(tile, p, start, stop)
        if code.mad:
            sigma = _mad(tile, p, start, stop, middle) * MAD_TO_SIGMA
        else:
            sigma = math.sqrt(squares / (stop - start))
        centre = middle if code.median_centre else mean
        low, high = centre - code.low * sigma, centre + code.high * sigma
        kept, end = _within(tile, p, count, low, high)
        # What an earlier pass has left out takes no part, even where the limits grow.
        kept, end = max(kept, start), min(end, stop)
        done += 1
        if end <= kept or (kept == start and end == stop) or done == code.iterations:
            return low, high
        start, stop = kept, end


@inlined
def percentile_place(count: int, percent: float) -> tuple[int, int, float]:
    """Return between which two of `count` sorted values a percentile lies, and how far along."""
    place = (count - 1) * (percent / 100.0)
    below = min(int(place), count - 1)
    return below, min(below + 1, count - 1), place - below


@inlined
def between(low: float, high: float, share: float) -> float:
    """Interpolate, rounding as numpy does."""
    if share < 0.5:
        return low + (high - low) * share
    return high - (high - low) * (1.0 - share)


@inlined
def _percentile(tile: Tile, p: int, count: int, percent: float) -> float:
    """Return the percentile as numpy's method "linear" interpolates it."""
    below, above, share = percentile_place(count, percent)
    return between(np.float64(tile[below, p]), np.float64(tile[above, p]), share)


@inlined
def kept_range(tile: Tile, p: int, count: int, code: RuleCode) -> tuple[int, int]:
    """Return which of the `count` sorted values of pixel `p` are kept: from, to before."""
    if code.clip == NO_CLIP:
        return 0, count
    if code.clip == EXTREMA_CLIP:
        start = min(int(code.low), max(count - 1, 0))
        return start, max(count - int(code.high), start + 1)
    low, high = code.low, code.high
    if code.clip == SIGMA_CLIP:
        low, high = _sigma_limits(tile, p, count, code)
    elif code.clip == PERCENTILE_CLIP:
        low = _percentile(tile, p, count, code.low)
        high = _percentile(tile, p, count, code.high)
    return _within(tile, p, count, low, high)


@inlined
def combine_column(tile: Tile, p: int, count: int, code: RuleCode) -> tuple[float, float, int]:
    """Return the average of pixel `p`, its error (or deviation) and how many values are kept.

    Parameters
    ----------
    tile : numpy.ndarray
        [frame, pixel], sorted along the frames; of pixel `p` the first `count` are values.
    """
    start, stop = 0, 0
    if count > 0:
        start, stop = kept_range(tile, p, count, code)
    kept = stop - start
    if kept <= 0:
        return np.nan, np.nan, 0
    mean, squares = _moments(tile, p, start, stop)
    value = _middle(tile, p, start, stop) if code.median else mean
    if kept == 1:
        return value, np.nan, 1
    error = math.sqrt(squares / (kept - 1))
    if code.error_factor > 0:
        error *= code.error_factor / math.sqrt(kept)
    return value, error, kept
