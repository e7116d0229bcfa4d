"""Stacks 16-bit counts: everything that can be is done in integers, 32 pixels at a time.

Sums are exact; only the last division and the root are rounded. A count at or above the
saturation is masked; once sorted, such counts stand last.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toros.imaging.kernels.column import between, combine_column, percentile_place
from toros.imaging.kernels.compiled import inlined
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

Counts = NDArray[np.uint16]
Pixels = NDArray[np.float32]
Doubles = NDArray[np.float64]
Sums = NDArray[Any]


# Functions of rows: in a loop over the rows of a tile LLVM gives up proving that its rows do not
# overlap. Differences are cast at once, or numba reckons with 64 bits.
@inlined
def _keep_larger(below: Counts, a: Counts, b: Counts, above: Counts, found: Counts) -> None:
    for p in range(found.size):
        x, y = np.uint16(below[p] - a[p]), np.uint16(b[p] - above[p])
        found[p] = max(found[p], min(x, y))


@inlined
def _keep_smaller(below: Counts, a: Counts, b: Counts, above: Counts, found: Counts) -> None:
    for p in range(found.size):
        x, y = np.uint16(below[p] - a[p]), np.uint16(b[p] - above[p])
        found[p] = min(found[p], max(x, y))


@inlined
def _deviations(tile: Counts, smaller: Counts, larger: Counts) -> None:
    """Find the two middle distances from the median, less half the gap around it.

    In a sorted pixel the distances below and above the median are two sorted lists of h values;
    of both together the h-th is max(min(a[i], b[h-1-i])), the next min(max(a[i], b[h-1-i])).
    """
    frames, _size = tile.shape
    half = frames // 2
    below, above = tile[(frames - 1) // 2], tile[half]
    smaller[:] = 0
    larger[:] = 65535
    for i in range(half):
        a, b = tile[half - 1 - i], tile[2 * half - 1 - i + frames % 2]
        _keep_larger(below, a, b, above, smaller)
        _keep_smaller(below, a, b, above, larger)


@inlined
def _mad(tile: Counts, sigma: Doubles) -> None:
    frames, size = tile.shape
    smaller, larger = np.empty(size, np.uint16), np.empty(size, np.uint16)
    _deviations(tile, smaller, larger)
    below, above = tile[(frames - 1) // 2], tile[frames // 2]
    even = frames % 2 == 0
    for p in range(size):
        gap = np.int32(above[p]) - np.int32(below[p])
        both = np.int32(smaller[p]) + np.int32(larger[p]) + gap
        mad = 0.5 * np.float64(both) if even else np.float64(smaller[p])
        sigma[p] = mad * MAD_TO_SIGMA


@inlined
def _sigma_limits(
    tile: Counts,
    kept: Counts,
    total: Sums,
    squares: Sums,
    code: RuleCode,
    low: Counts,
    high: Counts,
) -> None:
    """Find the limits of one sigma clip; `kept`, `total` and `squares` are overwritten."""
    frames, size = tile.shape
    below, above = tile[(frames - 1) // 2], tile[frames // 2]
    centre, sigma = np.empty(size), np.empty(size)
    if not (code.median_centre and code.mad):
        _sums(tile, low, high, kept, total, squares)
    if code.mad:
        _mad(tile, sigma)
    else:
        for p in range(size):
            n, s = np.float64(frames), np.float64(total[p])
            sigma[p] = math.sqrt((n * np.float64(squares[p]) - s * s) / (n * n))
    for p in range(size):
        if code.median_centre:
            centre[p] = 0.5 * (np.float64(below[p]) + np.float64(above[p]))
        else:
            centre[p] = np.float64(below[p]) + np.float64(total[p]) / np.float64(frames)
    for p in range(size):
        _set_limits(centre[p] - code.low * sigma[p], centre[p] + code.high * sigma[p], low, high, p)


@inlined
def _set_limits(lowest: float, highest: float, low: Counts, high: Counts, p: int) -> None:
    # Rounded inwards: no count lies between the limit and the count. One that keeps nothing
    # (below 0 or above 65535) is 1 to 0.
    nothing = (highest < 0.0) | (lowest > 65535.0)
    bottom, top = max(np.ceil(lowest), 0.0), min(np.floor(highest), 65535.0)
    low[p] = np.uint16(np.int32(1.0 if nothing else bottom))
    high[p] = np.uint16(np.int32(0.0 if nothing else top))


@inlined
def _find_limits(
    tile: Counts,
    kept: Counts,
    total: Sums,
    squares: Sums,
    code: RuleCode,
    low: Counts,
    high: Counts,
) -> None:
    frames, size = tile.shape
    if code.clip == SIGMA_CLIP:
        _sigma_limits(tile, kept, total, squares, code, low, high)
    elif code.clip == PERCENTILE_CLIP:
        i, j, share = percentile_place(frames, code.low)
        k, m, further = percentile_place(frames, code.high)
        for p in range(size):
            _set_limits(
                between(np.float64(tile[i, p]), np.float64(tile[j, p]), share),
                between(np.float64(tile[k, p]), np.float64(tile[m, p]), further),
                low,
                high,
                p,
            )
    elif code.clip == RANGE_CLIP:
        for p in range(size):
            _set_limits(code.low, code.high, low, high, p)


@inlined
def _add(row: Counts, origin: Counts, low: Counts, high: Counts, kept: Counts, total: Sums) -> None:
    for p in range(row.size):
        x = row[p]
        inside = (x >= low[p]) & (x <= high[p])
        kept[p] += np.uint16(1) if inside else np.uint16(0)
        total[p] += np.int32(x) - np.int32(origin[p]) if inside else np.int32(0)


@inlined
def _add_squares(row: Counts, origin: Counts, low: Counts, high: Counts, squares: Sums) -> None:
    for p in range(row.size):
        x = row[p]
        inside = (x >= low[p]) & (x <= high[p])
        d = np.int32(x) - np.int32(origin[p]) if inside else np.int32(0)
        squares[p] += np.int64(d) * np.int64(d)


@inlined
def _sums(
    tile: Counts,
    low: Counts,
    high: Counts,
    kept: Counts,
    total: Sums,
    squares: Sums,
) -> None:
    """Count and sum what lies between the limits, as distances from the middle row."""
    frames, _size = tile.shape
    origin = tile[(frames - 1) // 2]
    kept[:] = 0
    total[:] = 0
    squares[:] = 0
    for i in range(frames):
        _add(tile[i], origin, low, high, kept, total)
        _add_squares(tile[i], origin, low, high, squares)


@inlined
def _finish(
    tile: Counts,
    kept: Counts,
    total: Sums,
    squares: Sums,
    code: RuleCode,
    value: Pixels,
    error: Pixels,
) -> None:
    frames, size = tile.shape
    origin = tile[(frames - 1) // 2]
    upper = tile[frames // 2]
    for p in range(size):
        n, s = np.float64(kept[p]), np.float64(total[p])
        if code.median:
            value[p] = np.float32(0.5 * (np.float64(origin[p]) + np.float64(upper[p])))
        else:
            value[p] = np.float32(np.float64(origin[p]) + s / n)
        # 0/0 where fewer than two are kept: NaN, as it should be.
        variance = (n * np.float64(squares[p]) - s * s) / (n * (n - 1.0))
        divisor = n if code.error_factor > 0 else 1.0
        factor = code.error_factor if code.error_factor > 0 else 1.0
        error[p] = np.float32(factor * math.sqrt(variance / divisor))


@inlined
def combine_counts(
    tile: Counts,
    pairs: NDArray[np.int32],
    saturation: int,
    code: RuleCode,
    value: Pixels,
    error: Pixels,
    count: Counts,
) -> None:
    """Combine a tile [frame, pixel], which is sorted in place."""
    frames, size = tile.shape
    low = np.zeros(size, np.uint16)
    high = np.full(size, max(min(saturation - 1, 65535), 0), np.uint16)
    total, squares = np.empty(size, np.int32), np.empty(size, np.int64)
    if code.clip == NO_CLIP and not code.median and saturation > 0:
        # Nothing to sort for a mean.
        _sums(tile, low, high, count, total, squares)
        _finish(tile, count, total, squares, code, value, error)
        return
    sort_pixels(tile, pairs)
    used = tile
    if code.clip == EXTREMA_CLIP:
        start = min(int(code.low), frames - 1)
        used = tile[start : max(frames - int(code.high), start + 1)]
    vectorised = not (code.median and code.clip in (SIGMA_CLIP, PERCENTILE_CLIP, RANGE_CLIP))
    if vectorised:
        _find_limits(used, count, total, squares, code, low, high)
        _sums(used, low, high, count, total, squares)
        _finish(used, count, total, squares, code, value, error)
    last = tile[frames - 1]
    once = code.iterations == 1 or code.clip != SIGMA_CLIP
    for p in range(size):
        if vectorised and last[p] < saturation and (once or count[p] == frames):
            continue
        valid = frames
        while valid > 0 and tile[valid - 1, p] >= saturation:
            valid -= 1
        found, deviation, kept = combine_column(tile, p, valid, code)
        value[p], error[p], count[p] = np.float32(found), np.float32(deviation), np.uint16(kept)
