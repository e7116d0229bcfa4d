"""What is around each pixel: the median of boxes, and of boxes beside them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from toros.imaging.frames import Pixels
from toros.imaging.kernels.defects import Grid, around_rows, fill_boxes
from toros.imaging.kernels.sorting import network, sort_pixels
from toros.imaging.pool import in_threads, strips

Mask = NDArray[np.bool_]

_BOX_PX = 16


def surroundings(shape: tuple[int, ...], read: Callable[[slice], tuple[Pixels, Mask]]) -> Grid:
    """Return what tells the median of an image around each of its pixels.

    Parameters
    ----------
    shape : tuple of int
        (height, width).
    read : callable
        Returns some rows and which of their pixels are bad; called from several threads.
    """
    height, width = shape
    size = max(1, min(_BOX_PX, height, width))
    middle = _beside(_box_medians(shape, size, read)).astype(np.float64)
    return Grid(
        middle,
        *_between(height, middle.shape[0], size),
        *_between(width, middle.shape[1], size),
    )


def around(grid: Grid, rows: slice) -> Pixels:
    """Return what is around the pixels of some rows; 1 where that is 0 or less."""
    found = np.empty((rows.stop - rows.start, grid.across.size), np.float32)
    around_rows(grid, rows.start, found)
    return found


def _box_medians(
    shape: tuple[int, ...], size: int, read: Callable[[slice], tuple[Pixels, Mask]]
) -> Pixels:
    """Return the median of the good pixels of each box, 1 where there are none."""
    height, width = shape
    columns = -(-width // size)
    middle = np.empty((-(-height // size), columns), np.float32)

    def take(rows: slice) -> None:
        """Find the medians of some rows of boxes."""
        at = slice(rows.start * size, min(rows.stop * size, height))
        number = (rows.stop - rows.start) * columns
        boxes, count = np.empty((number, size * size), np.float32), np.empty(number, np.intp)
        fill_boxes(*read(at), size, boxes, count)
        boxes.sort(axis=-1)
        found = boxes[np.arange(number), np.maximum(count, 1) // 2]
        middle[rows] = np.where(count > 0, found, np.float32(1)).reshape(-1, columns)

    in_threads(take, strips(middle.shape[0], width * size))
    return middle


def _beside(middle: Pixels) -> Pixels:
    """Return the median of each box and the eight beside it; the border's are repeated."""
    wide = np.pad(middle, 1, mode="edge")
    height, width = middle.shape
    nine = [wide[y : y + height, x : x + width].ravel() for y in range(3) for x in range(3)]
    tile = np.stack(nine)
    sort_pixels(tile, network(9))
    found: Pixels = tile[4].reshape(middle.shape)
    return found


def _between(
    length: int, number: int, size: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Return, for each pixel, the boxes before and after it, and how far it is between them.

    Linear between the boxes' centres, so that a slope of the light leaves no steps.
    """
    at = np.clip((np.arange(length) + 0.5) / size - 0.5, 0, number - 1)
    before = np.floor(at).astype(np.intp)
    return before, np.minimum(before + 1, number - 1), at - before
