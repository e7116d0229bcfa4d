"""Rows of a master: as they stand in a file, and the noise of what is stacked."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from toros.imaging.kernels.compiled import inlined, kernel
from toros.imaging.kernels.words import is_lost, turned

Pixels = NDArray[np.float32]


@kernel
def decode_words(words: NDArray[np.uint32], marks: NDArray[np.uint8], lost_is_zero: bool) -> None:
    """Turn the bytes of float32 round, in place.

    Parameters
    ----------
    words : numpy.ndarray
        The float32 as big-endian words.
    marks : numpy.ndarray
        0 or what marks a pixel as bad; becomes 1 there and where the value is not finite.
    lost_is_zero : bool
        Whether values that are not finite become 0 (else they stay, and `marks` too).
    """
    for p in range(words.size):
        words[p] = turned(words[p])
    if lost_is_zero:
        for p in range(words.size):
            lost = is_lost(words[p])
            words[p] = np.uint32(0) if lost else words[p]
            marks[p] = np.uint8(1) if lost | (marks[p] != 0) else np.uint8(0)


@kernel
def standard_errors(
    noise: Pixels,
    count: NDArray[np.uint16],
    own: Pixels,
    factor: np.float32,
    rounding: float,
    times: np.float32,
    error: Pixels,
) -> None:
    """Find the standard error of each pixel of a stack; see `toros.imaging.draft.standard_error`.

    Parameters
    ----------
    noise : numpy.ndarray
        Of one frame.
    count, own : numpy.ndarray
        Frames in each pixel, and the standard error that they show themselves.
    factor : float
        How much worse the combination is than a mean.
    rounding : float
        What comes on top, in quadrature.
    times : float
        A pixel's own error is taken where it is so many times what it should be.
    error : numpy.ndarray
        To be filled.
    """
    for p in range(noise.size):
        frames = count[p] if count[p] > 0 else np.uint16(1)
        one = noise[p] / math.sqrt(np.float32(frames)) * factor
        # In double precision, as `numpy.hypot` does it.
        should = np.float32(math.sqrt(np.float64(one) * np.float64(one) + rounding * rounding))
        noisier = (own[p] < np.float32(np.inf)) & (own[p] > times * should)
        error[p] = own[p] if noisier else should


@kernel
def dark_noises(
    excess: Pixels, hot: float, measured: np.float32, gain: np.float32, noise: Pixels
) -> None:
    """Find the noise of one dark frame: what is `hot` has the photon noise of its excess too."""
    for p in range(excess.size):
        more = np.float32(0) if np.float64(excess[p]) < hot else excess[p]
        noise[p] = math.sqrt(measured + more / gain)


@kernel
def add_errors(error: Pixels, other: Pixels) -> None:
    """Add an error in quadrature, in place."""
    for p in range(error.size):
        error[p] = in_quadrature(error[p], other[p])


@inlined
def in_quadrature(one: np.float32, other: np.float32) -> np.float32:
    """Return the root of the sum of two squares, as `numpy.hypot` does it."""
    a, b = np.float64(one), np.float64(other)
    return np.float32(math.sqrt(a * a + b * b))


@kernel
def block_means(
    pixels: Pixels, bad: NDArray[np.bool_], down: int, across: int, means: NDArray[np.float64]
) -> None:
    """Find the means of blocks of `down` rows and `across` columns; NaN where all is bad.

    Parameters
    ----------
    means : numpy.ndarray
        To be filled [block, block]; what of `pixels` [y, x] lies beyond its last block is left out.
    """
    for line in range(means.shape[0]):
        for block in range(means.shape[1]):
            total, count = 0.0, 0
            for y in range(line * down, (line + 1) * down):
                for x in range(block * across, (block + 1) * across):
                    total += 0.0 if bad[y, x] else np.float64(pixels[y, x])
                    count += 0 if bad[y, x] else 1
            means[line, block] = total / count if count > 0 else np.nan


@kernel
def running_sums(
    ordered: NDArray[np.float64],
    origin: float,
    sums: NDArray[np.float64],
    squares: NDArray[np.float64],
) -> None:
    """Fill the sums of the values before each place, and of their squares, from `origin`."""
    total, square = 0.0, 0.0
    sums[0] = squares[0] = 0.0
    for p in range(ordered.size):
        off = ordered[p] - origin
        total += off
        square += off * off
        sums[p + 1], squares[p + 1] = total, square


@inlined
def _sum(values: NDArray[np.float64]) -> float:
    """Add in the order in which numpy does, which loses the fewest digits."""
    size = values.size
    if size < 8:
        total = 0.0
        for p in range(size):
            total += values[p]
        return float(total)
    if size > 128:
        half = size // 2 - size // 2 % 8
        return _sum(values[:half]) + _sum(values[half:])
    a, b, c, d = values[0], values[1], values[2], values[3]
    e, f, g, h = values[4], values[5], values[6], values[7]
    for p in range(8, size - size % 8, 8):
        a, b, c, d = a + values[p], b + values[p + 1], c + values[p + 2], d + values[p + 3]
        e, f, g, h = e + values[p + 4], f + values[p + 5], g + values[p + 6], h + values[p + 7]
    total = ((a + b) + (c + d)) + ((e + f) + (g + h))
    for p in range(size - size % 8, size):
        total += values[p]
    return float(total)


@kernel
def moments_of_kept(
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    difference: NDArray[np.float64],
    limits: NDArray[np.float64],
    means: NDArray[np.float64],
    variance: NDArray[np.float64],
) -> None:
    """Find moments of blocks [block, pixel] where `difference` is nearer to 0 than its limit.

    Parameters
    ----------
    means : numpy.ndarray
        [2, block], to be filled with those of `a` and `b`.
    variance : numpy.ndarray
        [block], to be filled with that of `difference`; NaN where fewer than two are kept.
    """
    kept = np.empty((3, a.shape[1]), np.float64)
    for block in range(a.shape[0]):
        n = 0
        for p in range(a.shape[1]):
            kept[0, n], kept[1, n], kept[2, n] = a[block, p], b[block, p], difference[block, p]
            n += 1 if abs(difference[block, p]) < limits[block] else 0
        means[0, block], means[1, block] = _sum(kept[0, :n]) / n, _sum(kept[1, :n]) / n
        off = kept[2, :n]
        middle = _sum(off) / n
        for p in range(n):
            off[p] = (off[p] - middle) ** 2
        variance[block] = _sum(off) / (n - 1) if n > 1 else np.nan
