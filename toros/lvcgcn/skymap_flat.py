"""Flat sky maps as cells: four pixels that say the same, in every column, become one cell.

The LVK's flat maps are multi-order maps spread out, 20,000 cells on millions of pixels. Joined
again they hold the same, bit by bit, in a hundredth of the memory. One base cell of HEALPix is
read at a time, so that neither all pixels nor copies of all columns are ever in memory; what is
nowhere alike stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from toros.lvcgcn.skymap import FINEST_ORDER, Floats, Integers

_BASE_CELLS = 12


def flat_cells(
    columns: Sequence[npt.NDArray[Any]], level: int, *, ring: bool
) -> tuple[Integers, Integers, list[Floats]]:
    """Return the cells of a flat map, in ascending order.

    Parameters
    ----------
    columns : sequence of ndarray, shape (12 · 4^level,)
        What each pixel says, in the order of the file and of any byte order. They are not copied
        as a whole.
    level : int
        HEALPix order of the pixels.
    ring : bool
        Whether the file is in ring order; else nested.

    Returns
    -------
    first, order : ndarray of int64, shape (cells,)
        As in `SkyMap`.
    values : list of ndarray, shape (cells,)
        Each column as double precision.
    """
    parts = [_base_cell(columns, level, base, ring=ring) for base in range(_BASE_CELLS)]
    first = np.concatenate([part[0] for part in parts])
    order = np.concatenate([part[1] for part in parts])
    values = []
    for number in range(len(columns)):
        values.append(np.concatenate([part[2][number] for part in parts]))
        for part in parts:  # it is not needed twice
            part[2][number] = np.empty(0)
    return first, order, values


def _base_cell(
    columns: Sequence[npt.NDArray[Any]], level: int, base: int, *, ring: bool
) -> tuple[Integers, Integers, list[Floats]]:
    begin, end = base << (2 * level), (base + 1) << (2 * level)
    rows = _ring_rows(begin, end, level) if ring else slice(begin, end)
    values = [np.asarray(column[rows], dtype=np.float64) for column in columns]
    firsts, orders, found = [], [], []
    index = np.arange(begin, end, dtype=np.int64)
    for order in range(level, -1, -1):
        quads = _quads(index, values) if order else np.empty(0, dtype=np.intp)
        stays = np.ones(index.size, dtype=bool)
        for corner in range(4):
            stays[quads + corner] = False
        firsts.append(index[stays] << (2 * (FINEST_ORDER - order)))
        orders.append(np.full(firsts[-1].size, order, dtype=np.int64))
        found.append([column[stays] for column in values])
        if not quads.size:
            break
        index, values = index[quads] >> 2, [column[quads] for column in values]
    first = np.concatenate(firsts)
    rank = np.argsort(first)
    joined = [np.concatenate(column)[rank] for column in zip(*found, strict=True)]
    return first[rank], np.concatenate(orders)[rank], joined


def _quads(index: Integers, values: Sequence[Floats]) -> npt.NDArray[np.intp]:
    """Return where four cells begin that are the children of one and alike in every column."""
    if index.size < 4:
        return np.empty(0, dtype=np.intp)
    # Ascending and distinct: the fourth one after a first child is its sibling, or is farther.
    alike = (index[:-3] & 3 == 0) & (index[3:] == index[:-3] + 3)
    for column in values:
        for corner in (1, 2, 3):
            # What is no number is like nothing, and is counted later.
            alike &= column[:-3] == column[corner : column.size - 3 + corner]
    return np.flatnonzero(alike)


def _ring_rows(begin: int, end: int, level: int) -> npt.NDArray[np.intp]:
    import cdshealpix

    pixels = np.arange(begin, end, dtype=np.uint64)
    return np.asarray(cdshealpix.to_ring(pixels, level, num_threads=1), dtype=np.intp)
