"""Rows of 16-bit integers out of the Rice code of tile-compressed FITS files.

References
----------
FITS standard 4.0, section 10.4.1; R. White, P. Greenfield, W. Pence et al. (2013), "Tiled Image
Convention for Storing Compressed Images in FITS Binary Tables".
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from toros.imaging.kernels.compiled import inlined, kernel

LONGEST_BLOCK = 32
# Of a damaged tile so many bytes after its end may be looked at: a block of pixels of all the bits
# that are taken at once, and one word.
SLACK = 8 * (LONGEST_BLOCK + 2)
# Everything is unsigned, or numba would look whether an index counts from the end.
_ONE, _BYTE, _HEAD, _WORD = np.uint64(1), np.uint64(8), np.uint64(4), np.uint64(16)
_WHOLE = np.uint64(15)
# So many zeros, the one after them and the bits of any split are in one word, wherever it begins.
_SHORT = np.uint64(40)


@kernel
def unpack_rice(
    content: NDArray[np.uint8],
    starts: NDArray[np.uint64],
    sizes: NDArray[np.uint64],
    block: int,
    rows: NDArray[np.uint16],
) -> int:
    """Decode tiles that are one row each, into words as they stand in a plain file: big-endian.

    Parameters
    ----------
    content : numpy.ndarray
        Holds the tiles, and `SLACK` bytes more.
    starts, sizes : numpy.ndarray
        Where each is in it, and how many bytes it has.
    block : int
        How many pixels are coded alike; at most `LONGEST_BLOCK`.
    rows : numpy.ndarray
        What is filled [y, x].

    Returns
    -------
    int
        The first row whose tile does not end where it should, and so is damaged; -1: none.
    """
    for y in range(starts.size):
        if not _unpack(content, starts[y], starts[y] + sizes[y], block, rows[y]):
            return y
    return -1


@inlined
def _unpack(
    content: NDArray[np.uint8], start: np.uint64, stop: np.uint64, block: int, row: NDArray[Any]
) -> bool:
    """Decode one row; return whether its code ends at `stop`."""
    end = stop * _BYTE
    last = np.uint32(_bits_at(content, start * _BYTE) >> np.uint64(48))
    at = start * _BYTE + _WORD
    for first in range(0, row.size, block):
        split = _bits_at(content, at) >> np.uint64(60)
        at += _HEAD
        for x in range(first, min(first + block, row.size)):
            if split != np.uint64(0):
                held = _bits_at(content, at)
                bits, upper = _WORD, np.uint64(0)
                if split < _WHOLE:
                    bits, upper = split - _ONE, _leading_zeros(held | _ONE)
                    if upper > _SHORT:
                        upper = _long_run(content, at, end)
                    at += upper + _ONE
                    held = _bits_at(content, at) if upper > _SHORT else held << (upper + _ONE)
                # In two steps: a shift by all 64 bits would do nothing.
                folded = np.uint32((upper << bits) | ((held >> _ONE) >> (np.uint64(63) - bits)))
                at += bits
                change = (folded >> np.uint32(1)) ^ (np.uint32(0) - (folded & np.uint32(1)))
                last = (last + change) & np.uint32(0xFFFF)
            row[x] = np.uint16((last << np.uint32(8)) | (last >> np.uint32(8)))
        if at > end:
            return False
    return bool((at + np.uint64(7)) // _BYTE == stop)


@inlined
def _bits_at(content: NDArray[np.uint8], at: np.uint64) -> np.uint64:
    """Return the bits from `at` on, the next as the highest: 57 or more, then zeros."""
    first = at // _BYTE
    word = np.uint64(0)
    for k in range(8):
        word = (word << _BYTE) | np.uint64(content[first + np.uint64(k)])
    return word << (at % _BYTE)


@inlined
def _long_run(content: NDArray[np.uint8], start: np.uint64, end: np.uint64) -> np.uint64:
    """Return how many zeros follow, up to the `end` of the tile."""
    at = start
    while at < end:
        held = _bits_at(content, at) >> np.uint64(7)
        if held != np.uint64(0):
            return np.uint64(at + _leading_zeros(held) - np.uint64(7) - start)
        at += np.uint64(57)
    return np.uint64(max(end, start) - start)


@intrinsic  # type: ignore[untyped-decorator]
def _leading_zeros(_context: Any, _value: Any) -> Any:
    """Return how many of the highest bits of a 64-bit number are 0."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], context.get_constant(types.boolean, False))

    return types.uint64(types.uint64), generate
