"""What is done to flats before they are combined; what is masked is ∞."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toros.imaging.kernels.compiled import kernel

Pixels = NDArray[np.float32]
Doubles = NDArray[np.float64]
Bad = NDArray[np.bool_]

BLOCK_PX = 8


@kernel
def prepare(
    pixels: Pixels,
    bias: Pixels,
    dark: Pixels,
    bad: Bad,
    scale: np.float32,
    level: np.float32,
    masked: np.float32,
) -> None:
    """Make ``(pixels - bias - scale * dark) / level`` in place; what is `bad` becomes `masked`."""
    for p in range(pixels.size):
        above = (pixels[p] - bias[p] - scale * dark[p]) / level
        pixels[p] = masked if bad[p] else above


@kernel
def mean_blocks(pixels: Pixels, made: Pixels) -> None:
    """Average blocks of 8×8 pixels, in the order in which numpy adds them; ∞ counts as 1.

    Parameters
    ----------
    pixels : numpy.ndarray
        [y, x]; of what is over at the right and below nothing is made.
    made : numpy.ndarray
        The means [y, x].
    """
    height, width = made.shape
    line = np.empty(width * BLOCK_PX, np.float32)
    for y in range(height):
        made[y] = 0
        for row in range(y * BLOCK_PX, (y + 1) * BLOCK_PX):
            for p in range(line.size):
                v = pixels[row, p]
                line[p] = v if v < np.inf else np.float32(1)
            for x in range(width):
                a = line[x * BLOCK_PX : (x + 1) * BLOCK_PX]
                made[y, x] += ((a[0] + a[1]) + (a[2] + a[3])) + ((a[4] + a[5]) + (a[6] + a[7]))
        for x in range(width):
            made[y, x] /= np.float32(BLOCK_PX * BLOCK_PX)


@kernel
def mask_blocks(pixels: Pixels, blocks: Bad, first_row: int, masked: np.float32) -> None:
    """Mask the `blocks` of a frame in some of its rows.

    Parameters
    ----------
    pixels : numpy.ndarray
        Rows [y, x], from `first_row` on.
    blocks : numpy.ndarray
        Of the whole frame; incomplete ones at the far edges are not in it.
    """
    for row in range(pixels.shape[0]):
        y = (first_row + row) // BLOCK_PX
        if y >= blocks.shape[0]:
            return
        for x in range(blocks.shape[1]):
            if blocks[y, x]:
                for p in range(x * BLOCK_PX, (x + 1) * BLOCK_PX):
                    pixels[row, p] = masked


@kernel
def sum_planes(
    values: Doubles, rest: Doubles, limit: float, x: Doubles, y: Doubles, sums: Doubles
) -> int:
    """Sum up the normal equations of the plane through `values` [y, x].

    By a kernel, not by a product of matrices: so few unknowns are no work for BLAS and all its
    threads.

    Parameters
    ----------
    rest : numpy.ndarray
        Places where its size is over `limit` take no part.
    x, y : numpy.ndarray
        The places along both axes.
    sums : numpy.ndarray
        [3, 4], to be filled: of 1, x and y, the products with each other and with the values.

    Returns
    -------
    int
        How many places take part.
    """
    sums[:] = 0
    for j in range(y.size):
        n = of_x = of_xx = of_v = of_xv = 0.0
        for i in range(x.size):
            used = 1.0 if abs(rest[j, i]) <= limit else 0.0
            at, v = used * x[i], used * values[j, i]
            n += used
            of_x += at
            of_xx += at * x[i]
            of_v += v
            of_xv += v * x[i]
        sums[0, 0] += n
        sums[0, 1] += of_x
        sums[0, 2] += n * y[j]
        sums[0, 3] += of_v
        sums[1, 1] += of_xx
        sums[1, 2] += of_x * y[j]
        sums[1, 3] += of_xv
        sums[2, 2] += n * y[j] * y[j]
        sums[2, 3] += of_v * y[j]
    for j in range(3):
        for i in range(j):
            sums[j, i] = sums[i, j]
    return int(sums[0, 0])


@kernel
def subtract_plane(values: Doubles, fit: Doubles, x: Doubles, y: Doubles, rest: Doubles) -> None:
    """Write `values` less the plane ``fit[0] + fit[1] x + fit[2] y`` into `rest`."""
    for j in range(y.size):
        start = fit[0] + fit[2] * y[j]
        for i in range(x.size):
            rest[j, i] = values[j, i] - (start + fit[1] * x[i])
