"""Stacks float32 values, in float64; a masked value is ∞, so that it sorts to the end."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from toros.imaging.kernels.column import between, combine_column, percentile_place
from toros.imaging.kernels.compiled import inlined
from toros.imaging.kernels.float_sums import sum_kept
from toros.imaging.kernels.rules import (
    EXTREMA_CLIP,
    MAD_TO_SIGMA,
    NO_CLIP,
    PERCENTILE_CLIP,
    RANGE_CLIP,
    SIGMA_CLIP,
    RuleCode,
)
from toros.imaging.kernels.sorting import sort_pixels

Pixels = NDArray[np.float32]
Doubles = NDArray[np.float64]

# Anything above is ∞: masked.
_LARGEST = float(np.finfo(np.float32).max)


# Functions of rows: see `integers`.
@inlined
def _keep_larger(middle: Doubles, a: Pixels, b: Pixels, found: Doubles) -> None:
    for p in range(found.size):
        x, y = middle[p] - np.float64(a[p]), np.float64(b[p]) - middle[p]
        least = x if x < y else y
        found[p] = least if least > found[p] else found[p]


@inlined
def _keep_smaller(middle: Doubles, a: Pixels, b: Pixels, found: Doubles) -> None:
    for p in range(found.size):
        x, y = middle[p] - np.float64(a[p]), np.float64(b[p]) - middle[p]
        most = y if x < y else x
        found[p] = most if most < found[p] else found[p]


@inlined
def _deviations(tile: Pixels, middle: Doubles, smaller: Doubles, larger: Doubles) -> None:
    """Find the two middle distances from the median; see `integers._deviations`."""
    frames, _size = tile.shape
    half = frames // 2
    smaller[:] = 0.0
    larger[:] = np.inf
    for i in range(half):
        a, b = tile[half - 1 - i], tile[2 * half - 1 - i + frames % 2]
        _keep_larger(middle, a, b, smaller)
        _keep_smaller(middle, a, b, larger)


@inlined
def _sigma_limits(
    tile: Pixels,
    middle: Doubles,
    kept: NDArray[np.uint16],
    total: Doubles,
    squares: Doubles,
    code: RuleCode,
    low: Doubles,
    high: Doubles,
) -> None:
    """Find the limits of one sigma clip; `kept`, `total` and `squares` are overwritten."""
    frames, size = tile.shape
    sigma, centre = np.empty(size), middle.copy()
    if not (code.median_centre and code.mad):
        sum_kept(tile, middle, low, high, kept, total, squares)
    if code.mad:
        smaller, larger = np.empty(size), np.empty(size)
        _deviations(tile, middle, smaller, larger)
        for p in range(size):
            mad = 0.5 * (smaller[p] + larger[p]) if frames % 2 == 0 else smaller[p]
            sigma[p] = mad * MAD_TO_SIGMA
    else:
        for p in range(size):
            variance = (squares[p] - total[p] * total[p] / frames) / frames
            sigma[p] = math.sqrt(max(variance, 0.0))
    if not code.median_centre:
        for p in range(size):
            centre[p] += total[p] / frames
    for p in range(size):
        low[p], high[p] = centre[p] - code.low * sigma[p], centre[p] + code.high * sigma[p]


@inlined
def _find_limits(
    tile: Pixels,
    middle: Doubles,
    kept: NDArray[np.uint16],
    total: Doubles,
    squares: Doubles,
    code: RuleCode,
    low: Doubles,
    high: Doubles,
) -> None:
    frames, size = tile.shape
    if code.clip == SIGMA_CLIP:
        _sigma_limits(tile, middle, kept, total, squares, code, low, high)
    elif code.clip == PERCENTILE_CLIP:
        i, j, share = percentile_place(frames, code.low)
        k, m, further = percentile_place(frames, code.high)
        for p in range(size):
            low[p] = between(np.float64(tile[i, p]), np.float64(tile[j, p]), share)
            high[p] = between(np.float64(tile[k, p]), np.float64(tile[m, p]), further)
    elif code.clip == RANGE_CLIP:
        low[:] = code.low
        high[:] = code.high


@inlined
def _finish(
    origin: Doubles,
    kept: NDArray[np.uint16],
    total: Doubles,
    squares: Doubles,
    code: RuleCode,
    value: Pixels,
    error: Pixels,
) -> None:
    for p in range(kept.size):
        n, s = np.float64(kept[p]), total[p]
        value[p] = np.float32(origin[p] if code.median else origin[p] + s / n)
        # Rounding may take a variance of nothing below 0.
        variance = max((squares[p] - s * s / n) / (n - 1.0), 0.0)
        divisor = n if code.error_factor > 0 else 1.0
        factor = code.error_factor if code.error_factor > 0 else 1.0
        error[p] = np.float32(factor * math.sqrt(variance / divisor))


@inlined
def valid_in(tile: Pixels, p: int) -> int:
    """Return how many of the sorted values of pixel `p` are not masked."""
    valid = len(tile)
    while valid > 0 and np.float64(tile[valid - 1, p]) == np.inf:
        valid -= 1
    return valid


@inlined
def _average(
    tile: Pixels, code: RuleCode, value: Pixels, error: Pixels, count: NDArray[np.uint16]
) -> None:
    """Average without a clip: there is nothing to sort."""
    frames, size = tile.shape
    origin = np.full(size, np.inf)
    for i in range(frames):
        for p in range(size):
            origin[p] = origin[p] if origin[p] < np.inf else np.float64(tile[i, p])
    low, high = np.full(size, -np.inf), np.full(size, _LARGEST)
    total, squares = np.empty(size), np.empty(size)
    sum_kept(tile, origin, low, high, count, total, squares)
    _finish(origin, count, total, squares, code, value, error)


@inlined
def _combine_sorted(
    tile: Pixels, code: RuleCode, value: Pixels, error: Pixels, count: NDArray[np.uint16]
) -> None:
    """Combine a tile [frame, pixel] of sorted values; none is masked."""
    frames, size = tile.shape
    used = tile
    if code.clip == EXTREMA_CLIP:
        start = min(int(code.low), frames - 1)
        used = tile[start : max(frames - int(code.high), start + 1)]
    vectorised = not (code.median and code.clip in (SIGMA_CLIP, PERCENTILE_CLIP, RANGE_CLIP))
    if vectorised:
        middle, low, high = np.empty(size), np.full(size, -np.inf), np.full(size, np.inf)
        total, squares = np.empty(size), np.empty(size)
        below, above = used[(used.shape[0] - 1) // 2], used[used.shape[0] // 2]
        for p in range(size):
            middle[p] = (np.float64(below[p]) + np.float64(above[p])) * 0.5
        _find_limits(used, middle, count, total, squares, code, low, high)
        sum_kept(used, middle, low, high, count, total, squares)
        _finish(middle, count, total, squares, code, value, error)
        if code.iterations == 1 or code.clip != SIGMA_CLIP:
            return
    for p in range(size):
        if vectorised and count[p] == frames:
            continue
        found, deviation, kept = combine_column(tile, p, frames, code)
        value[p], error[p], count[p] = np.float32(found), np.float32(deviation), np.uint16(kept)


@inlined
def _combine_those(
    tile: Pixels,
    places: NDArray[np.int64],
    code: RuleCode,
    value: Pixels,
    error: Pixels,
    count: NDArray[np.uint16],
) -> int:
    """Combine those of `places` whose values in the sorted `tile` are all good, side by side.

    The others are moved to the front of `places`; how many they are is returned.
    """
    frames = len(tile)
    good = np.empty(places.size, np.int64)
    found = left = 0
    for k in range(places.size):
        p = places[k]
        good[found] = places[left] = p
        if np.float64(tile[frames - 1, p]) < np.inf:
            found += 1
        else:
            left += 1
    if found == 0:
        return left
    some = np.empty((frames, found), np.float32)
    for i in range(frames):
        for k in range(found):
            some[i, k] = tile[i, good[k]]
    values, errors = np.empty(found, np.float32), np.empty(found, np.float32)
    counts = np.empty(found, np.uint16)
    _combine_sorted(some, code, values, errors, counts)
    for k in range(found):
        p = good[k]
        value[p], error[p], count[p] = values[k], errors[k], counts[k]
    return left


@inlined
def combine_floats(
    tile: Pixels,
    pairs: NDArray[np.int32],
    code: RuleCode,
    value: Pixels,
    error: Pixels,
    count: NDArray[np.uint16],
) -> None:
    """Combine a tile [frame, pixel] of finite values and ∞, which is sorted in place."""
    frames, size = tile.shape
    if code.clip == NO_CLIP and not code.median:
        _average(tile, code, value, error, count)
        return
    sort_pixels(tile, pairs)
    _combine_sorted(tile, code, value, error, count)
    # Where some are masked, that was wrong: once more, all pixels of so many values together.
    last, masked = tile[frames - 1], np.empty(size, np.int64)
    left = 0
    for p in range(size):
        masked[left] = p
        left += 1 if np.float64(last[p]) == np.inf else 0
    valid = frames - 1
    while left > 0 and valid > 0:
        left = _combine_those(tile[:valid], masked[:left], code, value, error, count)
        valid -= 1
    for k in range(left):
        value[masked[k]], error[masked[k]], count[masked[k]] = np.nan, np.nan, 0
