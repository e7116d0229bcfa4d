"""The numbers of a FITS file, whose bytes stand the other way round, for the kernels."""

from __future__ import annotations

import numpy as np

from toros.imaging.kernels.compiled import inlined

# Bits of a float32 that is not finite.
_EXPONENT = np.uint32(0x7F800000)


@inlined
def turned(w: np.uint32) -> np.uint32:
    """Return a 32-bit word with its bytes turned round."""
    return np.uint32(
        ((w & np.uint32(0xFF)) << np.uint32(24))
        | ((w & np.uint32(0xFF00)) << np.uint32(8))
        | ((w >> np.uint32(8)) & np.uint32(0xFF00))
        | (w >> np.uint32(24))
    )


@inlined
def is_lost(word: np.uint32) -> bool:
    """Return whether a float32, in the byte order of this machine, is not finite."""
    return bool((word & _EXPONENT) == _EXPONENT)


@inlined
def count_of(raw: np.uint16) -> np.uint16:
    """Return the count that big-endian 16 bits with BZERO = 32768 stand for."""
    turned_round = (raw >> np.uint16(8)) | (raw << np.uint16(8))
    return np.uint16(turned_round ^ np.uint16(0x8000))
