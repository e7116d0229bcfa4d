"""Separable running medians of small images: of each row, then of each column of the result.

Networks of comparisons, so that they vectorise. Where the image ends the result does: it is
smaller than the image by the width of the filter less one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toros.imaging.kernels.compiled import inlined

Pixels = NDArray[np.float32]


@inlined
def _low(a: float, b: float) -> float:
    return a if a < b else b


@inlined
def _high(a: float, b: float) -> float:
    return b if a < b else a


@inlined
def _middle3(a: float, b: float, c: float) -> float:
    return _high(_low(a, b), _low(_high(a, b), c))


@inlined
def _middle5(a: float, b: float, c: float, d: float, e: float) -> float:
    # Of two pairs, neither the lowest nor the highest of the four is the middle of five.
    low, high = _high(_low(a, b), _low(c, d)), _low(_high(a, b), _high(c, d))
    return _middle3(low, high, e)


@inlined
def _middle7(a: float, b: float, c: float, d: float, e: float, f: float, g: float) -> float:
    # Sort a, b, c and d, e, f; the middle three of these six and g, as in Knuth 5.3.3.
    a1, a3 = _low(_low(a, b), c), _high(_high(a, b), c)
    a2 = _middle3(a, b, c)
    b1, b3 = _low(_low(d, e), f), _high(_high(d, e), f)
    b2 = _middle3(d, e, f)
    # Of two sorted triples: the third and fourth of all six.
    third = _high(_high(_low(a1, b3), _low(a2, b2)), _low(a3, b1))
    fourth = _low(_low(_high(a1, b3), _high(a2, b2)), _high(a3, b1))
    return _middle3(third, fourth, g)


@inlined
def _of_3(x: Pixels, y: Pixels, z: Pixels, found: Pixels) -> None:
    for p in range(found.size):
        found[p] = _middle3(x[p], y[p], z[p])


@inlined
def _lowest(x: Pixels, y: Pixels, z: Pixels, found: Pixels) -> None:
    for p in range(found.size):
        found[p] = _low(_low(x[p], y[p]), z[p])


@inlined
def _highest(x: Pixels, y: Pixels, z: Pixels, found: Pixels) -> None:
    for p in range(found.size):
        found[p] = _high(_high(x[p], y[p]), z[p])


@inlined
def _rows_of_5(image: Pixels, found: Pixels) -> None:
    for y in range(image.shape[0]):
        source, row = image[y], found[y]
        for p in range(row.size):
            row[p] = _middle5(source[p], source[p + 1], source[p + 2], source[p + 3], source[p + 4])


@inlined
def _rows_of_7(image: Pixels, found: Pixels) -> None:
    for y in range(image.shape[0]):
        s, row = image[y], found[y]
        for p in range(row.size):
            row[p] = _middle7(s[p], s[p + 1], s[p + 2], s[p + 3], s[p + 4], s[p + 5], s[p + 6])


@inlined
def _column_of_5(a: Pixels, b: Pixels, c: Pixels, d: Pixels, e: Pixels, row: Pixels) -> None:
    for p in range(row.size):
        row[p] = _middle5(a[p], b[p], c[p], d[p], e[p])


@inlined
def _column_of_7(
    a: Pixels, b: Pixels, c: Pixels, d: Pixels, e: Pixels, f: Pixels, g: Pixels, row: Pixels
) -> None:
    for p in range(row.size):
        row[p] = _middle7(a[p], b[p], c[p], d[p], e[p], f[p], g[p])


@inlined
def median_5(image: Pixels) -> Pixels:
    """Return the separable median of 5×5 pixels."""
    height, width = image.shape
    rows, found = (
        np.empty((height, width - 4), np.float32),
        np.empty((height - 4, width - 4), np.float32),
    )
    _rows_of_5(image, rows)
    for y in range(height - 4):
        _column_of_5(rows[y], rows[y + 1], rows[y + 2], rows[y + 3], rows[y + 4], found[y])
    return found


@inlined
def median_7(image: Pixels) -> Pixels:
    """Return the separable median of 7×7 pixels."""
    height, width = image.shape
    rows, found = (
        np.empty((height, width - 6), np.float32),
        np.empty((height - 6, width - 6), np.float32),
    )
    _rows_of_7(image, rows)
    for y in range(height - 6):
        _column_of_7(
            rows[y], rows[y + 1], rows[y + 2], rows[y + 3], rows[y + 4], rows[y + 5], rows[y + 6],
            found[y],
        )  # fmt: skip
    return found


@inlined
def _middles_of_9(low: Pixels, middle: Pixels, high: Pixels, step: int, found: Pixels) -> None:
    """Find medians of nine from the sorted triples at p, p + step and p + 2·step."""
    size = found.size
    bottom, centre = np.empty(size, np.float32), np.empty(size, np.float32)
    top = np.empty(size, np.float32)
    _highest(low[:size], low[step : step + size], low[2 * step : 2 * step + size], bottom)
    _of_3(middle[:size], middle[step : step + size], middle[2 * step : 2 * step + size], centre)
    _lowest(high[:size], high[step : step + size], high[2 * step : 2 * step + size], top)
    _of_3(bottom, centre, top, found)


@inlined
def median_9(image: Pixels) -> Pixels:
    """Return the separable median of 9×9 pixels.

    The median of nine is that of: the largest of the smallest of three triples, the median of
    their medians, and the smallest of their largest. Sorted triples serve three medians each.
    """
    height, width = image.shape
    rows = np.empty((height, width - 8), np.float32)
    low, middle = np.empty(width - 2, np.float32), np.empty(width - 2, np.float32)
    high = np.empty(width - 2, np.float32)
    for y in range(height):
        left, centre, right = image[y, : width - 2], image[y, 1 : width - 1], image[y, 2:]
        _lowest(left, centre, right, low)
        _of_3(left, centre, right, middle)
        _highest(left, centre, right, high)
        _middles_of_9(low, middle, high, 3, rows[y])
    # The columns of a contiguous image are the same with a step of three rows.
    wide = width - 8
    flat, kept = rows.reshape(-1), (height - 2) * wide
    lows, middles = np.empty(kept, np.float32), np.empty(kept, np.float32)
    highs = np.empty(kept, np.float32)
    _lowest(flat[:kept], flat[wide : wide + kept], flat[2 * wide :], lows)
    _of_3(flat[:kept], flat[wide : wide + kept], flat[2 * wide :], middles)
    _highest(flat[:kept], flat[wide : wide + kept], flat[2 * wide :], highs)
    found = np.empty((height - 8) * wide, np.float32)
    _middles_of_9(lows, middles, highs, 3 * wide, found)
    return found.reshape(height - 8, wide)


@inlined
def median_7_at(image: Pixels, y: int, x: int) -> float:
    """Return what `median_7` gives for one pixel, at least 3 pixels from the edge."""
    m = np.empty(7, np.float32)
    for k in range(7):
        s = image[y - 3 + k, x - 3 : x + 4]
        m[k] = _middle7(s[0], s[1], s[2], s[3], s[4], s[5], s[6])
    return _middle7(m[0], m[1], m[2], m[3], m[4], m[5], m[6])
