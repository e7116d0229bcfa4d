"""Bleed trails: charge that flowed out of saturated pixels along their column.

The counts there are finite, below saturation, and wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from toros.imaging.kernels.rules import MAD_TO_SIGMA

Mask = NDArray[np.bool_]

# A saturated star is about as high as wide; a trail makes it longer than this along the column.
_ELONGATION = 2.0
_SHORTEST_PX = 8
_BLOCK_PX = 16
# Pixels of a trail stand out from those beside it by so many of their deviations.
_THRESHOLD = 5.0
_BESIDE_PX = (3, 12)
# A trail may be lost in the noise for so many pixels and come back.
_MISSES = 3


def bleed_mask(pixels: NDArray[np.float32], saturated: Mask, axis: Literal[0, 1] = 0) -> Mask:
    """Return the pixels of bleed trails, saturated ones included, a pixel wider on each side.

    Parameters
    ----------
    pixels : numpy.ndarray
        The frame [y, x].
    saturated : numpy.ndarray
        Which pixels are saturated.
    axis : int
        Along which axis charge is shifted as the detector is read out: 0, along y, for most.

    Notes
    -----
    Connected saturated pixels that are much longer along the column than across it are a trail.
    From each of its ends the trail is followed while the pixel is brighter than those beside it.
    """
    if not saturated.any():
        return np.zeros_like(saturated)
    if axis == 1:
        return np.ascontiguousarray(bleed_mask(pixels.T, saturated.T, 0).T)
    trail = np.zeros_like(saturated)
    for box, part in _connected(saturated):
        rows, columns = box
        height = rows.stop - rows.start
        # The width where it is long: half of its columns reach across a star's own core.
        lengths = part.sum(axis=0)
        wide = int((lengths > height / 2).sum())
        if height < _SHORTEST_PX or height < _ELONGATION * min(wide, columns.stop - columns.start):
            continue
        for column in np.flatnonzero(lengths > height / 2) + columns.start:
            _follow(pixels, saturated, trail, int(column), rows)
    if not trail.any():
        return trail
    wider = trail.copy()
    wider[:, 1:] |= trail[:, :-1]
    wider[:, :-1] |= trail[:, 1:]
    return wider


def _connected(flags: Mask) -> Iterator[tuple[tuple[slice, slice], Mask]]:
    """Yield each connected part: its box, and which pixels of the box are of it.

    What is connected lies in blocks that are connected; so the whole frame, of which a few
    pixels are set, need not be labelled.
    """
    # Imported here: a command that finds no saturated pixel starts sooner without.
    from scipy import ndimage

    y, x = np.nonzero(flags)
    blocks = np.zeros([-(-size // _BLOCK_PX) for size in flags.shape], dtype=np.bool_)
    blocks[y // _BLOCK_PX, x // _BLOCK_PX] = True
    groups, _ = ndimage.label(blocks, np.ones((3, 3)))
    for group, found in enumerate(ndimage.find_objects(groups), start=1):
        top, left = (side.start * _BLOCK_PX for side in found)
        own = np.repeat(np.repeat(groups[found] == group, _BLOCK_PX, axis=0), _BLOCK_PX, axis=1)
        window = flags[top : top + own.shape[0], left : left + own.shape[1]]
        labels, _ = ndimage.label(
            window & own[: window.shape[0], : window.shape[1]], np.ones((3, 3))
        )
        for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
            box = (
                slice(top + rows.start, top + rows.stop),
                slice(left + columns.start, left + columns.stop),
            )
            yield box, labels[rows, columns] == number


def _follow(
    pixels: NDArray[np.float32], saturated: Mask, trail: Mask, column: int, rows: slice
) -> None:
    trail[rows, column] = True
    for start, step in ((rows.start - 1, -1), (rows.stop, 1)):
        row, misses, found = start, 0, start - step
        while 0 <= row < pixels.shape[0] and misses < _MISSES:
            if saturated[row, column] or _stands_out(pixels, row, column):
                misses, found = 0, row
            else:
                misses += 1
            row += step
        low, high = sorted((start, found))
        if (found - start) * step >= 0:
            trail[low : high + 1, column] = True


def _stands_out(pixels: NDArray[np.float32], row: int, column: int) -> bool:
    near, far = _BESIDE_PX
    left = pixels[row, max(0, column - far) : max(0, column - near)]
    right = pixels[row, column + near + 1 : column + far + 1]
    beside = np.concatenate([left, right])
    if beside.size == 0:
        return False
    level = float(np.median(beside))
    sigma = MAD_TO_SIGMA * float(np.median(np.abs(beside - level)))
    return float(pixels[row, column]) > level + _THRESHOLD * max(sigma, 1e-6 * abs(level))
