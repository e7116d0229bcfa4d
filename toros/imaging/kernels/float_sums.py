"""Sums of the float32 values of a stack that are kept, in float64."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toros.imaging.kernels.compiled import inlined

Pixels = NDArray[np.float32]
Doubles = NDArray[np.float64]


@inlined
def _add(
    row: Pixels,
    origin: Doubles,
    low: Doubles,
    high: Doubles,
    kept: Doubles,
    total: Doubles,
    squares: Doubles,
) -> None:
    for p in range(row.size):
        x = np.float64(row[p])
        inside = (x >= low[p]) & (x <= high[p])
        d = x - origin[p] if inside else 0.0
        kept[p] += 1.0 if inside else 0.0
        total[p] += d
        squares[p] += d * d


@inlined
def _add_four(
    r: Pixels,
    s: Pixels,
    t: Pixels,
    u: Pixels,
    origin: Doubles,
    low: Doubles,
    high: Doubles,
    kept: Doubles,
    total: Doubles,
    squares: Doubles,
) -> None:
    """Add four rows, each after the other: the sums are fetched and put back once."""
    for p in range(r.size):
        a, b, c, d = np.float64(r[p]), np.float64(s[p]), np.float64(t[p]), np.float64(u[p])
        bottom, top, centre = low[p], high[p], origin[p]
        in_a, in_b = (a >= bottom) & (a <= top), (b >= bottom) & (b <= top)
        in_c, in_d = (c >= bottom) & (c <= top), (d >= bottom) & (d <= top)
        e, f = a - centre if in_a else 0.0, b - centre if in_b else 0.0
        g, h = c - centre if in_c else 0.0, d - centre if in_d else 0.0
        n = (1.0 if in_a else 0.0) + (1.0 if in_b else 0.0)
        kept[p] += n + (1.0 if in_c else 0.0) + (1.0 if in_d else 0.0)
        total[p] = total[p] + e + f + g + h
        squares[p] = squares[p] + e * e + f * f + g * g + h * h


@inlined
def sum_kept(
    tile: Pixels,
    origin: Doubles,
    low: Doubles,
    high: Doubles,
    kept: NDArray[np.uint16],
    total: Doubles,
    squares: Doubles,
) -> None:
    """Count and sum what lies between the limits, as distances from `origin`."""
    frames, size = tile.shape
    count = np.zeros(size)
    total[:] = 0.0
    squares[:] = 0.0
    whole = frames // 4 * 4
    for i in range(0, whole, 4):
        _add_four(
            tile[i], tile[i + 1], tile[i + 2], tile[i + 3],
            origin, low, high, count, total, squares,
        )  # fmt: skip
    for i in range(whole, frames):
        _add(tile[i], origin, low, high, count, total, squares)
    for p in range(size):
        kept[p] = np.uint16(count[p])
