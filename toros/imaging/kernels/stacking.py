"""A strip of N frames into one: cut into tiles that stay in the first-level cache."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from toros.imaging.kernels.column import kept_range
from toros.imaging.kernels.compiled import inlined, kernel
from toros.imaging.kernels.floats import combine_floats, valid_in
from toros.imaging.kernels.integers import combine_counts
from toros.imaging.kernels.rules import RuleCode
from toros.imaging.kernels.sorting import sort_pixels
from toros.imaging.kernels.words import count_of

Counts = NDArray[np.uint16]
Pixels = NDArray[np.float32]

# Bytes of a tile: it is gone through some hundred times.
_TILE_BYTES = 24 * 1024


@inlined
def _tile_width(frames: int, item_bytes: int, width: int) -> int:
    # A multiple of 64, so that the vectorised loops leave no rest.
    fitting = _TILE_BYTES // (frames * item_bytes) // 64 * 64
    return min(max(fitting, 64), max(width, 1))


@kernel
def stack_counts(
    raw: NDArray[np.uint16],
    pairs: NDArray[np.int32],
    saturation: int,
    code: RuleCode,
    value: Pixels,
    error: Pixels,
    count: Counts,
) -> None:
    """Combine big-endian 16-bit integers with BZERO = 32768, [frame, pixel].

    Parameters
    ----------
    raw : numpy.ndarray
        As they stand in the files.
    pairs : numpy.ndarray
        See `network`.
    saturation : int
        Counts from here on are masked; 65536 or more: none.
    code : RuleCode
        Without weights.
    value, error, count : numpy.ndarray
        The result, [pixel].
    """
    frames, size = raw.shape
    width = _tile_width(frames, 2, size)
    whole = np.empty((frames, width), np.uint16)
    for start in range(0, size, width):
        stop = min(start + width, size)
        tile = whole if stop - start == width else np.empty((frames, stop - start), np.uint16)
        for i in range(frames):
            source, row = raw[i, start:stop], tile[i]
            for p in range(row.size):
                row[p] = count_of(source[p])
        combine_counts(
            tile, pairs, saturation, code, value[start:stop], error[start:stop], count[start:stop]
        )


@kernel
def stack_floats(
    pixels: Pixels,
    pairs: NDArray[np.int32],
    code: RuleCode,
    value: Pixels,
    error: Pixels,
    count: Counts,
) -> None:
    """Combine float32 values [frame, pixel]; what is masked is ∞, and nothing is NaN."""
    frames, size = pixels.shape
    width = _tile_width(frames, 4, size)
    whole = np.empty((frames, width), np.float32)
    for start in range(0, size, width):
        stop = min(start + width, size)
        tile = whole if stop - start == width else np.empty((frames, stop - start), np.float32)
        tile[:] = pixels[:, start:stop]
        combine_floats(tile, pairs, code, value[start:stop], error[start:stop], count[start:stop])


@kernel
def stack_weighted(
    pixels: Pixels,
    pairs: NDArray[np.int32],
    weights: NDArray[np.float64],
    code: RuleCode,
    value: Pixels,
    error: Pixels,
    count: Counts,
) -> None:
    """Combine as `stack_floats`, each frame with its weight.

    The deviation is the root of ``Σ w (x - mean)² / Σ w · n / (n - 1)``, the error that times
    ``√(Σ w²) / Σ w``: with equal weights what `stack_floats` gives.
    """
    frames, size = pixels.shape
    width = _tile_width(frames, 8, size)
    for start in range(0, size, width):
        stop = min(start + width, size)
        values = pixels[:, start:stop].copy()
        tile = values.copy()
        sort_pixels(tile, pairs)
        low, high = np.full(stop - start, np.inf), np.full(stop - start, -np.inf)
        for p in range(stop - start):
            valid = valid_in(tile, p)
            first, last = kept_range(tile, p, valid, code) if valid > 0 else (0, 0)
            count[start + p] = max(last - first, 0)
            if last > first:
                low[p], high[p] = np.float64(tile[first, p]), np.float64(tile[last - 1, p])
        _average_weighted(
            values,
            weights,
            low,
            high,
            code,
            value[start:stop],
            error[start:stop],
            count[start:stop],
        )


@inlined
def _average_weighted(
    values: Pixels,
    weights: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    code: RuleCode,
    value: Pixels,
    error: Pixels,
    count: Counts,
) -> None:
    frames, size = values.shape
    mean, squares = np.zeros(size), np.zeros(size)
    sum_w, sum_ww = np.zeros(size), np.zeros(size)
    for i in range(frames):
        for p in range(size):
            x = np.float64(values[i, p])
            w = weights[i] if (x >= low[p]) & (x <= high[p]) else 0.0
            sum_w[p] += w
            sum_ww[p] += w * w
            mean[p] += w * (x - low[p]) if w > 0 else 0.0
    for p in range(size):
        mean[p] = low[p] + mean[p] / sum_w[p] if count[p] > 0 else np.nan
    for i in range(frames):
        for p in range(size):
            x = np.float64(values[i, p])
            inside = (x >= low[p]) & (x <= high[p])
            squares[p] += weights[i] * (x - mean[p]) ** 2 if inside else 0.0
    for p in range(size):
        n = np.float64(count[p])
        # One value tells nothing of its deviation: 0/0 is NaN, as it should be.
        deviation = math.sqrt(squares[p] / sum_w[p] * n / (n - 1.0)) if n > 1 else np.nan
        share = math.sqrt(sum_ww[p]) / sum_w[p] if code.error_factor > 0 else 1.0
        value[p], error[p] = np.float32(mean[p]), np.float32(deviation * share)
