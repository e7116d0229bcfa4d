"""Image work in blocks of rows, on every core: numpy lets go of the interpreter while it counts."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

# A block's few arrays should stay in a core's own cache.
_BLOCK_PIXELS = 1 << 18


def blocks(rows: int, width: int) -> list[tuple[int, int]]:
    """Return the (first, last) rows of blocks that cover `rows` rows of `width` pixels."""
    # Whole cache lines when a block of 16-bit pixels is written as columns.
    step = max(-(-_BLOCK_PIXELS // width) // 32 * 32, 32)
    return [(first, min(first + step, rows)) for first in range(0, rows, step)]


def in_parallel(work: Callable[[int], None], count: int) -> None:
    """Call ``work(0)`` … ``work(count - 1)``, each once, on as many threads as there are cores."""
    workers = min(os.cpu_count() or 1, count)
    if workers < 2:
        for index in range(count):
            work(index)
        return
    with ThreadPoolExecutor(workers, thread_name_prefix="simulated pixels") as pool:
        for done in pool.map(work, range(count)):
            del done  # asking for the result raises what the work raised
