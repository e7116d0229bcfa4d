"""Rows of an image quantised and Rice-coded, as tile-compressed FITS files hold them.

References
----------
FITS standard 4.0, sections 10.2 and 10.4.1; R. White, P. Greenfield, W. Pence et al. (2013),
"Tiled Image Convention for Storing Compressed Images in FITS Binary Tables"; W. Pence, R. Seaman
and R. White (2009), PASP 121, 414, on quantising with dither.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toros.imaging.kernels.compiled import inlined, kernel

BLOCK = 32
_RANDOM = 10000
# The scatter of 2 x[i] - x[i-2] - x[i+2] is √6 of a pixel's; 0.6745 of it is the median deviation.
_TO_SIGMA = 0.6052697319
_SAMPLE = 1024
_LARGEST = 2147483000.0


@kernel
def quantise_rows(
    pixels: NDArray[np.float32],
    noise: NDArray[np.float32],
    level: float,
    first_tile: int,
    random: NDArray[np.float32],
    out: NDArray[np.uint8],
    sizes: NDArray[np.int64],
    scales: NDArray[np.float64],
    zeros: NDArray[np.float64],
) -> None:
    """Quantise each row with subtractive dither, and Rice-code it.

    The step is 1/`level` of the row's scatter from pixel to pixel, or of the smallest of `noise` if
    that is less: so no pixel gains more than 1 / (12 level²) of its own variance.

    Parameters
    ----------
    pixels : numpy.ndarray
        Rows [y, x].
    noise : numpy.ndarray
        One sigma of each pixel [y, x], where it is known; else of no rows.
    first_tile : int
        Where the first row is in the sequence of dithers: its index, and ZDITHER0 - 1.
    random : numpy.ndarray
        The 10000 numbers of the standard's appendix I.
    out, sizes : numpy.ndarray
        The bytes of each row [y, ...], and how many; -1 for one that cannot be quantised: without
        noise, or with values that are not finite or too far apart.
    scales, zeros : numpy.ndarray
        ZSCALE and ZZERO of each row.
    """
    height, width = pixels.shape
    indices = np.empty(width, np.int64)
    step = max(1, (width - 4) // _SAMPLE)
    differences = np.empty(max(0, (width - 4 + step - 1) // step), np.float64)
    for y in range(height):
        row = pixels[y]
        sizes[y], scales[y], zeros[y] = -1, 0.0, 0.0
        low, high, finite = np.inf, -np.inf, True
        for x in range(width):
            value = np.float64(row[x])
            finite = finite and np.isfinite(value)
            low, high = min(low, value), max(high, value)
        if not finite or differences.size < 4:
            continue
        for k in range(differences.size):
            x = 2 + k * step
            differences[k] = abs(
                2.0 * np.float64(row[x]) - np.float64(row[x - 2]) - np.float64(row[x + 2])
            )
        scale = _TO_SIGMA * np.median(differences)
        if noise.shape[0] > 0:
            scale = _least(noise[y], scale)
        scale /= level
        if not scale > 0 or not (high - low) / scale < _LARGEST:
            continue
        seed = (first_tile + y) % _RANDOM
        at = int(random[seed] * np.float32(500.0))
        for x in range(width):
            dithered = (np.float64(row[x]) - low) / scale + np.float64(random[at]) - 0.5
            indices[x] = np.int64(np.floor(dithered + 0.5))
            at += 1
            if at == _RANDOM:
                seed = (seed + 1) % _RANDOM
                at = int(random[seed] * np.float32(500.0))
        scales[y], zeros[y] = scale, low
        sizes[y] = _rice(indices, 32, 5, 25, out[y])


@inlined
def _least(noise: NDArray[np.float32], start: float) -> float:
    least = start
    for x in range(noise.size):
        # Where nothing is known of a pixel it is 0 or no number.
        if noise[x] > 0:
            least = min(least, np.float64(noise[x]))
    return least


@kernel
def rice_bytes(pixels: NDArray[np.uint8], out: NDArray[np.uint8], sizes: NDArray[np.int64]) -> None:
    """Rice-code each row of a mask; see `quantise_rows`."""
    indices = np.empty(pixels.shape[1], np.int64)
    for y in range(pixels.shape[0]):
        for x in range(pixels.shape[1]):
            indices[x] = np.int64(pixels[y, x])
        sizes[y] = _rice(indices, 8, 3, 6, out[y])


@inlined
def _put(
    value: int, bits: int, held: np.uint64, count: int, out: NDArray[np.uint8], at: int
) -> tuple[np.uint64, int, int]:
    """Append the lowest `bits` (32 at most) of `value`; `count` bits are held back, under 8."""
    held = (held << np.uint64(bits)) | np.uint64(value)
    count += bits
    while count >= 8:
        count -= 8
        out[at] = np.uint8((held >> np.uint64(count)) & np.uint64(0xFF))
        at += 1
    held &= (np.uint64(1) << np.uint64(count)) - np.uint64(1)
    return held, count, at


@inlined
def _fold(values: NDArray[np.int64], last: int, word: int, folded: NDArray[np.int64]) -> int:
    """Make of each number its difference to the one before, without sign; return their sum."""
    half = np.int64(1) << np.int64(word - 1)
    total = 0
    for k in range(values.size):
        # As the decoder adds it: modulo the word.
        change = ((values[k] - last + half) & (2 * half - 1)) - half
        folded[k] = 2 * change if change >= 0 else -2 * change - 1
        total += folded[k]
        last = values[k]
    return total


@inlined
def _split_of(total: int, length: int) -> int:
    """Return how many of the lower bits are not worth coding."""
    mean = (total - length // 2 - 1) // length
    split = 0
    while mean > 1:
        split += 1
        mean >>= 1
    return split


@inlined
def _rice(
    values: NDArray[np.int64], word: int, head: int, most: int, out: NDArray[np.uint8]
) -> int:
    """Rice-code whole numbers of `word` bits; return the number of bytes.

    Each block of 32 differences is written as their upper parts in unary and `split` bits each, the
    split told in `head` bits before; in full where that would not be shorter.
    """
    held, count, at = _put(values[0], word, np.uint64(0), 0, out, 0)
    folded = np.empty(BLOCK, np.int64)
    last = values[0]
    for start in range(0, values.size, BLOCK):
        block = values[start : start + BLOCK]
        total = _fold(block, last, word, folded)
        last = block[-1]
        split = _split_of(total, block.size)
        if total == 0:
            held, count, at = _put(0, head, held, count, out, at)
            continue
        whole = split >= most
        held, count, at = _put(most + 1 if whole else split + 1, head, held, count, out, at)
        for k in range(block.size):
            if whole:
                held, count, at = _put(folded[k], word, held, count, out, at)
                continue
            upper = folded[k] >> split
            while upper >= 32:
                held, count, at = _put(0, 32, held, count, out, at)
                upper -= 32
            held, count, at = _put(1, upper + 1, held, count, out, at)
            lower = folded[k] & ((1 << split) - 1)
            held, count, at = _put(lower, split, held, count, out, at)
    if count:
        held, count, at = _put(0, 8 - count, held, count, out, at)
    return at
