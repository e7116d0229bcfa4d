"""Files written past the page cache hold what they would hold otherwise."""

from __future__ import annotations

import fcntl
import os
import random
import resource
import signal
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from toros.imaging import direct_file, spare_memory
from toros.imaging.direct_file import CachedFile, DirectFile, open_file
from toros.imaging.pool import in_threads

# Parts of a file: shorter than a block, just as long, and some blocks long.
SIZES = st.lists(st.integers(1, 3 * 4096 + 5), min_size=1, max_size=12)


@contextmanager
def direct() -> Iterator[tuple[DirectFile, Path]]:
    with tempfile.NamedTemporaryFile() as made:
        path = Path(made.name)
        file = open_file(path, direct=True)
        try:
            if not isinstance(file, DirectFile):
                pytest.skip("This file system has no direct writes.")
            yield file, path
        finally:
            file.close()


def write(file: CachedFile, content: NDArray[np.uint8], parts: list[tuple[int, int]]) -> None:
    for start, stop in parts:
        room = file.room(start, stop - start)
        room.content[:] = content[start:stop]
        file.write(room)


def parts_of(sizes: list[int]) -> list[tuple[int, int]]:
    ends = np.cumsum([0, *sizes]).tolist()
    return list(pairwise(ends))


def noise(size: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(1, 256, size, np.uint8)


@given(SIZES, st.randoms(use_true_random=False))
def test_parts_in_any_order_make_the_file(sizes: list[int], order: random.Random) -> None:
    content, parts = noise(sum(sizes)), parts_of(sizes)
    order.shuffle(parts)
    with direct() as (file, path):
        write(file, content, parts)
        file.finish(content.size)
        assert path.read_bytes() == content.tobytes()


def test_what_is_not_written_is_zero() -> None:
    with direct() as (file, path):
        file.reserve(20_000)
        write(file, noise(20_000), [(9000, 9100)])
        file.finish(20_000)
        expected = bytearray(20_000)
        expected[9000:9100] = noise(20_000)[9000:9100].tobytes()
        assert path.read_bytes() == bytes(expected)


def test_a_disk_of_larger_blocks_is_written_the_usual_way(monkeypatch: pytest.MonkeyPatch) -> None:
    # To a disk, blocks of 64 bytes are what blocks of 4096 are to one of larger blocks.
    for module in (direct_file, spare_memory):
        monkeypatch.setattr(module, "BLOCK", 64)
    spare_memory.give_up()
    content = noise(100_000)
    with direct() as (file, path):
        write(file, content, [(0, 10_000), (10_000, 100_000)])
        file.finish(content.size)
        if fcntl.fcntl(file.descriptor, fcntl.F_GETFL) & os.O_DIRECT:
            pytest.skip("This file system takes direct writes of 64 bytes.")
        assert path.read_bytes() == content.tobytes()


def test_a_file_system_that_cannot_take_room_is_written_the_usual_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fallocate = os.posix_fallocate

    def as_the_c_library_does(descriptor: int, offset: int, size: int) -> None:
        # There is no such file system here.
        os.pwrite(descriptor, b"\0", offset + size - 1)
        fallocate(descriptor, offset, size)

    monkeypatch.setattr(os, "posix_fallocate", as_the_c_library_does)
    with direct() as (file, path):
        file.reserve(20_000)
        write(file, noise(20_000), [(0, 20_000)])
        file.finish(20_000)
        assert path.read_bytes() == noise(20_000).tobytes()


def test_a_file_system_without_direct_writes_is_written_the_usual_way() -> None:
    # The system's own files know no such thing.
    file = open_file(Path("/proc/self/comm"), direct=True)
    file.close()
    assert type(file) is CachedFile


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_file(tmp_path / "missing", direct=True)


@pytest.mark.parametrize("direct_writes", [True, False])
def test_several_threads_write_one_file(direct_writes: bool, tmp_path: Path) -> None:
    path = tmp_path / "made"
    path.touch()
    content = noise(2_000_001)
    parts = parts_of([997] * (content.size // 997) + [content.size % 997])
    file = open_file(path, direct=direct_writes)
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda part: write(file, content, [part]), parts))
        file.finish(content.size)
    finally:
        file.close()
    assert path.read_bytes() == content.tobytes()


def test_what_another_thread_cannot_write_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "made"
    path.touch()
    file = open_file(path, direct=False)
    try:
        with file_size_limit(50_000), pytest.raises(OSError, match="File too large"):
            in_threads(lambda part: write(file, noise(100_000), [part]), parts_of([10_000] * 10))
    finally:
        file.close()


def test_a_write_that_fails_is_an_error() -> None:
    with direct() as (file, _), file_size_limit(50_000):
        write(file, noise(40_000), [(0, 40_000)])
        with pytest.raises(OSError, match="File too large"):
            write_all(file, noise(100_000))


def write_all(file: DirectFile, content: NDArray[np.uint8]) -> None:
    write(file, content, [(0, content.size)])
    file.finish(content.size)


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
