"""Numbers into the bytes of a FITS image, and the 32-bit sum that DATASUM holds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toros.imaging.kernels.compiled import kernel
from toros.imaging.kernels.words import turned


@kernel
def swap_words(words: NDArray[np.uint32], swapped: NDArray[np.uint32]) -> int:
    """Write `words` with their bytes turned round; return their sum.

    The sum of the big-endian words of a file is the sum of the words here: end-around carries are
    left to the caller, and 2³¹ words cannot overflow 64 bits.
    """
    total = np.uint64(0)
    for p in range(words.size):
        w = words[p]
        swapped[p] = turned(w)
        total += np.uint64(w)
    return int(total)


@kernel
def sum_bytes(content: NDArray[np.uint8], phase: int) -> int:
    """Return the sum of the big-endian words that `content` is part of.

    Parameters
    ----------
    phase : int
        Which byte of its word the first byte is, 0 to 3.
    """
    turn = np.uint64(8 * phase)
    body = content.size // 4 * 4
    words = content[:body].view(np.uint32)
    total = np.uint64(0)
    for p in range(words.size):
        w = np.uint64(turned(words[p]))
        total += (w >> turn) | ((w << (np.uint64(32) - turn)) & np.uint64(0xFFFFFFFF))
    for k in range(body, content.size):
        place = (phase + k) % 4
        total += np.uint64(content[k]) << np.uint64(24 - 8 * place)
    return int(total)
