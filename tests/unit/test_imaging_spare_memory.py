"""Memory that is given back is used again, by one at a time."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from toros.imaging import spare_memory
from toros.imaging.direct_file import CachedFile
from toros.imaging.spare_memory import BLOCK, give_back, give_up, take

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def nothing_spare() -> None:
    give_up()


def test_memory_begins_at_a_block_and_has_the_size_that_was_asked_for() -> None:
    for size in (1, BLOCK - 1, 3 * BLOCK):
        memory = take(size)
        assert memory.size == size
        assert memory.ctypes.data % BLOCK == 0


def test_what_is_given_back_is_taken_again_and_only_once() -> None:
    first = take(BLOCK)
    give_back(first)
    again, other = take(BLOCK), take(BLOCK)
    assert np.shares_memory(first, again)
    assert not np.shares_memory(first, other)


def test_another_size_is_other_memory() -> None:
    first = take(BLOCK)
    give_back(first)
    assert not np.shares_memory(first, take(2 * BLOCK))


def test_it_does_not_grow_without_end() -> None:
    most = spare_memory._MOST_OF_A_SIZE
    taken = [take(BLOCK) for _ in range(most + 3)]
    for memory in taken:
        give_back(memory)
    again = [take(BLOCK) for _ in range(most + 3)]
    assert sum(any(np.shares_memory(a, b) for b in taken) for a in again) == most


def test_a_room_is_spare_once_it_is_written(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as opened:
        file = CachedFile(opened.fileno())
        first, second = file.room(0, BLOCK), file.room(BLOCK, BLOCK)
        assert not np.shares_memory(first.content, second.content)
        first.content[:] = 1
        file.write(first)
        assert np.shares_memory(file.room(2 * BLOCK, BLOCK).content, first.content)


_FREED = """
import numpy as np
from toros.imaging.spare_memory import own_memory, shrink_to

# What lies between the freed pieces keeps the library from giving them back by itself.
for _ in range(2):
    pieces = [(np.ones(2**20, np.uint8), bytearray(50_000)) for _ in range(300)]
    between = [piece for _, piece in pieces]
    del pieces
freed = own_memory()
shrink_to(freed + 2**20)
left = own_memory()
shrink_to(2**20)
print(freed, left, own_memory())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_memory_goes_back_to_the_system_where_there_is_too_much() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FREED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    freed, left, shrunk = map(int, done.stdout.split())
    assert left == pytest.approx(freed, abs=2**20)
    assert freed - shrunk > 200 * 2**20
