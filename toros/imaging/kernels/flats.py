"""What is done to flats before they are combined; what is masked is ∞."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toros.imaging.kernels.compiled import kernel

Pixels = NDArray[np.float32]
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
