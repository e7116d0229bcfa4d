"""Bleed trails: charge that flowed out of saturated pixels along their column.

The counts there are finite, below saturation, and wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from toros.imaging.frames import Pixels
from toros.imaging.kernels.trails import FAR_PX, MISSES, follow
from toros.imaging.mask_bits import MaskBit

Bits = NDArray[np.uint8]
Flags = NDArray[np.bool_]
# Some rows of some columns of the raw frame.
Read = Callable[[slice, slice], Pixels]

# A saturated star is about as high as wide; a trail makes it longer than this along the column.
_ELONGATION = 2.0
_SHORTEST_PX = 8
_BLOCK_PX = 16
# Rows that are read at a time beyond the ends of what is saturated: most trails end soon.
_ROWS = 64


def mark_bleed_trails(mask: Bits, read: Read, axis: Literal[0, 1] = 0) -> None:
    """Set the bit of bleed trails in `mask`, saturated pixels included, a pixel wider on each side.

    Parameters
    ----------
    mask : numpy.ndarray
        `MaskBit` of each pixel [y, x]; those that are saturated are marked already.
    read : callable
        Returns the raw pixels of some rows and columns.
    axis : int
        Along which axis charge is shifted as the detector is read out: 0, along y, for most.

    Notes
    -----
    Connected saturated pixels that are much longer along the column than across it are a trail.
    From each of its ends the trail is followed while the pixel is brighter than those beside it.
    """
    if axis == 1:
        mark_bleed_trails(mask.T, lambda rows, columns: read(columns, rows).T)
        return
    for (rows, columns), part in _connected(mask):
        height = rows.stop - rows.start
        # The width where it is long: half of its columns reach across a star's own core.
        long = np.flatnonzero(part.sum(axis=0) > height / 2)
        if long.size and height >= max(_SHORTEST_PX, _ELONGATION * long.size):
            _mark(mask, read, rows, long + columns.start)


def _connected(mask: Bits) -> Iterator[tuple[tuple[slice, slice], Flags]]:
    """Yield each connected part of the saturated: its box, and which pixels of the box are of it.

    What is connected lies in blocks that are connected; so the whole frame, of which a few
    pixels are set, need not be labelled.
    """
    if not _saturated(np.bitwise_or.reduce(mask, axis=0)).any():
        return
    # Imported here: a command that finds no saturated pixel starts sooner without.
    from scipy import ndimage

    groups, _ = ndimage.label(_blocks(mask), np.ones((3, 3)))
    for group, found in enumerate(ndimage.find_objects(groups), start=1):
        top, left = (side.start * _BLOCK_PX for side in found)
        own = np.repeat(np.repeat(groups[found] == group, _BLOCK_PX, axis=0), _BLOCK_PX, axis=1)
        window = _saturated(mask[top : top + own.shape[0], left : left + own.shape[1]])
        labels, _ = ndimage.label(
            window & own[: window.shape[0], : window.shape[1]], np.ones((3, 3))
        )
        for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
            box = (
                slice(top + rows.start, top + rows.stop),
                slice(left + columns.start, left + columns.stop),
            )
            yield box, labels[rows, columns] == number


def _blocks(mask: Bits) -> Flags:
    """Return which blocks of the frame hold a saturated pixel."""
    blocks = np.zeros([-(-size // _BLOCK_PX) for size in mask.shape], dtype=np.bool_)
    for number, line in enumerate(blocks):
        rows = mask[number * _BLOCK_PX : (number + 1) * _BLOCK_PX]
        line[np.flatnonzero(_saturated(np.bitwise_or.reduce(rows, axis=0))) // _BLOCK_PX] = True
    return blocks


def _saturated(mask: Bits) -> Flags:
    return np.asarray((mask & MaskBit.SATURATED.value) != 0)


def _mark(mask: Bits, read: Read, rows: slice, columns: NDArray[np.intp]) -> None:
    """Set the bit of the trail that goes out from these rows of these columns."""
    height, width = mask.shape
    left = max(int(columns[0]) - FAR_PX, 0)
    across = slice(left, min(int(columns[-1]) + FAR_PX + 1, width))
    known: dict[int, tuple[Pixels, Flags]] = {}

    def around(number: int) -> tuple[Pixels, Flags]:
        if number not in known:
            part = slice(number * _ROWS, min((number + 1) * _ROWS, height))
            known[number] = read(part, across), _saturated(mask[part, across])
        return known[number]

    def end(column: int, start: int, step: int) -> int:
        row, misses, found = start, 0, start - step
        while 0 <= row < height and misses < MISSES:
            number = row // _ROWS
            first = number * _ROWS
            row, misses, found = follow(
                *around(number), column - left, row - first, step, misses, found - first
            )
            row, found = row + first, found + first
        return found

    for column in columns:
        low, high = end(column, rows.start - 1, -1), end(column, rows.stop, 1)
        mask[low : high + 1, max(column - 1, 0) : column + 2] |= MaskBit.BLEED.value
