"""Memory that is used again: what is new must be cleared by the system first.

For the rows of a light that takes a quarter of the time in which they are calibrated.
"""

from __future__ import annotations

import ctypes
import mmap
from collections import defaultdict, deque
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Direct writes begin and end at multiples of the disk's blocks, in memory too.
BLOCK = 4096
# For some strips in each of two threads; the system gets back what is more.
_MOST_OF_A_SIZE = 16

_spare: defaultdict[int, deque[NDArray[np.uint8]]] = defaultdict(
    lambda: deque(maxlen=_MOST_OF_A_SIZE)
)


def take(size: int) -> NDArray[np.uint8]:
    """Return `size` bytes that begin at a multiple of `BLOCK`; what they hold is old."""
    try:
        return _spare[size].pop()
    except IndexError:
        memory = np.empty(size + BLOCK, np.uint8)
    lead = -memory.ctypes.data % BLOCK
    return memory[lead : lead + size]


def give_back(memory: NDArray[np.uint8]) -> None:
    """Let others `take` what the caller took, and looks at no more."""
    _spare[memory.size].append(memory)


def give_up() -> None:
    """Let the system have all that is spare."""
    _spare.clear()


def shrink_to(limit_bytes: int) -> None:
    """Let the system have what was freed, where this process has more than `limit_bytes`.

    The C library keeps freed memory to use it again, which is quicker than to ask for new one; but
    after a master of 10560² that is 400 MB, in pieces that the next step may have no use for.
    """
    if own_memory() > limit_bytes:
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # only glibc has it
        if trim is not None:
            trim(0)


def own_memory() -> int:
    """Return the bytes of memory that this process has for itself; mapped files are not counted."""
    _size, resident, shared = Path("/proc/self/statm").read_text().split()[:3]
    return (int(resident) - int(shared)) * mmap.PAGESIZE
