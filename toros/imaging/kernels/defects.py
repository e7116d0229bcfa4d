"""Which pixels of a master are bad, strip by strip."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from toros.imaging.kernels.compiled import inlined, kernel

Pixels = NDArray[np.float32]
Mask = NDArray[np.bool_]
Bits = NDArray[np.uint8]
Reals = NDArray[np.float64]
Places = NDArray[np.intp]


class Grid(NamedTuple):
    """Medians of boxes [y, x], and for each pixel of an image the boxes that it lies between.

    Parameters
    ----------
    middle : numpy.ndarray
        The medians.
    top, below, down : numpy.ndarray
        By row: the boxes above and below, and how far it is between them.
    left, right, across : numpy.ndarray
        By column.
    """

    middle: Reals
    top: Places
    below: Places
    down: Reals
    left: Places
    right: Places
    across: Reals


@kernel
def fill_boxes(
    pixels: Pixels, bad: Mask, size: int, boxes: Pixels, count: NDArray[np.intp]
) -> None:
    """Sort pixels [y, x] into boxes [box, pixel]; what is bad or beyond the edge becomes ∞.

    Parameters
    ----------
    size : int
        Pixels of a side of a box.
    count : numpy.ndarray
        Of the good pixels of each box, to be filled.
    """
    height, width = pixels.shape
    columns = -(-width // size)
    boxes[:] = np.float32(np.inf)
    count[:] = 0
    for y in range(height):
        for column in range(columns):
            box, start = y // size * columns + column, column * size
            at = y % size * size
            for x in range(start, min(start + size, width)):
                good = (abs(pixels[y, x]) < np.float32(np.inf)) & (not bad[y, x])
                boxes[box, at + x - start] = pixels[y, x] if good else np.float32(np.inf)
                count[box] += 1 if good else 0


@inlined
def _around_row(grid: Grid, y: int, lines: Reals, found: Pixels) -> None:
    """Fill `found` with what is around the pixels of a row; `lines` is room for a row of boxes."""
    top, below, part = grid.top[y], grid.below[y], grid.down[y]
    for box in range(lines.size):
        lines[box] = grid.middle[top, box] * (1 - part) + grid.middle[below, box] * part
    for x in range(found.size):
        share = grid.across[x]
        value = np.float32(lines[grid.left[x]] * (1 - share) + lines[grid.right[x]] * share)
        found[x] = np.float32(1) if value <= 0 else value


@kernel
def around_rows(grid: Grid, first: int, found: Pixels) -> None:
    """Fill `found` with what is around the pixels of the rows from `first`; 1 for 0 or less."""
    lines = np.empty(grid.middle.shape[1], np.float64)
    for y in range(found.shape[0]):
        _around_row(grid, first + y, lines, found[y])


@kernel
def mark_dead(
    pixels: Pixels,
    bad: Mask,
    grid: Grid,
    first: int,
    low: np.float32,
    high: np.float32,
    bit: np.uint8,
    bits: Bits,
) -> None:
    """Fill `bits` with `bit` where a pixel is below `low` or above `high` of what is around it.

    Parameters
    ----------
    bad : numpy.ndarray
        Pixels that are not judged.
    first : int
        The first row of `pixels` in the image.
    """
    lines = np.empty(grid.middle.shape[1], np.float64)
    around = np.empty(pixels.shape[1], np.float32)
    for y in range(pixels.shape[0]):
        _around_row(grid, first + y, lines, around)
        for x in range(pixels.shape[1]):
            response = pixels[y, x] / around[x]
            odd = ((response < low) | (response > high)) & (not bad[y, x])
            bits[y, x] = bit if odd else np.uint8(0)


class DarkLimits(NamedTuple):
    """From where a pixel of a master dark is hot or noisy.

    Parameters
    ----------
    scale, hot : float
        It is hot where its value times `scale` is above `hot`.
    middle, variance, electrons, ratio : float
        It is noisy where its error is above `ratio` times the root of `variance` and of what it
        has above `middle` by `electrons`.
    """

    scale: np.float32
    hot: np.float32
    middle: np.float32
    variance: np.float32
    electrons: np.float32
    ratio: np.float32


@kernel
def mark_dark(
    pixels: Pixels,
    error: Pixels,
    bad: Mask,
    limits: DarkLimits,
    hot: np.uint8,
    noisy: np.uint8,
    bits: Bits,
) -> None:
    """Fill `bits` with `hot` and `noisy`; pixels that are `bad` are not judged."""
    for p in range(pixels.size):
        above = pixels[p] - limits.middle
        level = above if above > 0 else np.float32(0)
        expected = np.sqrt(limits.variance + level / limits.electrons)
        mark = hot if pixels[p] * limits.scale > limits.hot else np.uint8(0)
        mark |= noisy if error[p] > limits.ratio * expected else np.uint8(0)
        bits[p] = np.uint8(0) if bad[p] else mark
