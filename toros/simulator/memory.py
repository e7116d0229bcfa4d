"""Large arrays that are used again: fresh memory takes longer to get than to fill."""

from __future__ import annotations

import math
import threading
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from toros.simulator.parallel import blocks, in_parallel

_MOST_KEPT = 3


@dataclass
class _Block:
    """Some memory, and the array by which it was given away: all views of it refer to that."""

    owner: NDArray[np.uint8]
    given: weakref.ref[NDArray[np.uint8]] | None = None

    @property
    def free(self) -> bool:
        return self.given is None or self.given() is None

    def give(self) -> NDArray[np.uint8]:
        # Not a view of the owner: numpy would let views of views refer to the owner itself.
        array: NDArray[np.uint8] = np.frombuffer(self.owner.data, np.uint8)
        self.given = weakref.ref(array)
        return array


class Memory:
    """Hands out arrays, and takes an array's memory for the next one as soon as nobody has it."""

    def __init__(self) -> None:
        self._blocks: list[_Block] = []
        self._lock = threading.Lock()

    @property
    def held_bytes(self) -> int:
        """Bytes that are given away or kept for the next array."""
        with self._lock:
            return sum(each.owner.nbytes for each in self._blocks)

    def array(self, shape: tuple[int, int], dtype: DTypeLike) -> NDArray[Any]:
        """Return an array with anything in it."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        with self._lock:
            fitting = [each for each in self._blocks if each.free and each.owner.nbytes == size]
            if not fitting:
                del self._blocks[: len(self._blocks) + 1 - _MOST_KEPT]
                self._blocks.append(_Block(np.empty(size, np.uint8)))
                fitting = self._blocks[-1:]
            given = fitting[0].give()
        return given.view(dtype).reshape(shape)

    def make_ready(self, shape: tuple[int, int], dtype: DTypeLike) -> None:
        """Get the memory of such an array before it is wanted, unless there is some already."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        with self._lock:
            if any(each.owner.nbytes == size for each in self._blocks):
                return
        # What the kernel promised it gives when it is written to.
        array = self.array(shape, dtype)
        parts = blocks(*shape)

        def touch(number: int) -> None:
            first, last = parts[number]
            array[first:last] = 0

        in_parallel(touch, len(parts))
