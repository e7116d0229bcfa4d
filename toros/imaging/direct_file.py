"""Writing a file past the system's page cache, whatever the places its parts lie at.

To copy a product into the page cache takes as long as to compute it, and what a whole night writes
there pushes out everything else. Direct writes spare the copy, but must begin and end, in memory
too, at multiples of the disk's blocks, which the parts of a FITS file do not.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toros.common.atomic import begin_flush

# The largest that disks ask for; direct writes refused by a stricter one are made the usual way.
_BLOCK = 4096


@dataclass(frozen=True)
class Room:
    """Memory for some bytes of a file.

    Parameters
    ----------
    offset : int
        Where in the file `content` belongs.
    content : numpy.ndarray
        To be filled (uint8).
    whole : numpy.ndarray
        What `content` lies in: from the start of the block where it begins, as long as needed.
    """

    offset: int
    content: NDArray[np.uint8]
    whole: NDArray[np.uint8]


class CachedFile:
    """Writes the usual way: through the page cache, from which others soon read."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def room(self, offset: int, size: int) -> Room:
        """Return memory for the `size` bytes at `offset`."""
        content = np.empty(size, np.uint8)
        return Room(offset, content, content)

    def write(self, room: Room) -> None:
        """Write what a room was filled with; several threads may."""
        write_at(self._descriptor, room.content, room.offset)
        begin_flush(self._descriptor, room.offset, room.content.size)

    def finish(self, size: int) -> None:
        """Write what is left of a file of `size` bytes."""


@dataclass
class _Edge:
    """A block that more than one room has a part in."""

    content: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(_BLOCK, np.uint8))
    upto: int = 0  # known without a gap from its start
    written: bool = False


class DirectFile:
    """Writes past the page cache.

    A room's whole blocks are written at once; a block that it shares with its neighbour is written
    with the later of both, if that comes behind it in the file, else at the end. What is written a
    second time must come in the same rooms.

    Parameters
    ----------
    descriptor : int
        Opened with O_DIRECT.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._edges: dict[int, _Edge] = {}
        self._lock = threading.Lock()

    def room(self, offset: int, size: int) -> Room:
        """Return memory for the `size` bytes at `offset`."""
        lead = offset % _BLOCK
        whole = _aligned(-(-(lead + size) // _BLOCK) * _BLOCK)
        return Room(offset, whole[lead : lead + size], whole)

    def write(self, room: Room) -> None:
        """Write what a room was filled with; several threads may."""
        lead = room.offset % _BLOCK
        end, first = lead + room.content.size, room.offset - lead
        start, stop = 0, room.whole.size
        last = stop - _BLOCK
        with self._lock:
            if lead or end < _BLOCK:
                known = self._merge(room.whole[:_BLOCK], first, lead, min(end, _BLOCK))
                start = 0 if known else _BLOCK
            if last > 0 and end < stop:
                known = self._merge(room.whole[last:], first + last, 0, end - last)
                stop = stop if known else last
        if stop > start:
            self._write(room.whole[start:stop], first + start)

    def _merge(self, block: NDArray[np.uint8], offset: int, start: int, stop: int) -> bool:
        """Take part of a block; complete it and return True, if all of it is known by now."""
        edge = self._edges.setdefault(offset, _Edge())
        edge.content[start:stop] = block[start:stop]
        if start <= edge.upto:
            edge.upto = max(edge.upto, stop)
        edge.written = edge.upto == _BLOCK
        if edge.written:
            block[:] = edge.content
        return edge.written

    def finish(self, size: int) -> None:
        """Write what is left of a file of `size` bytes."""
        for offset, edge in sorted(self._edges.items()):
            if not edge.written:
                room = self.room(offset, _BLOCK)
                room.content[:] = edge.content
                self._write(room.whole, offset)
        self._edges.clear()
        os.ftruncate(self._descriptor, size)

    def _write(self, content: NDArray[np.uint8], offset: int) -> None:
        try:
            write_at(self._descriptor, content, offset)
        except OSError as error:
            flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
            if error.errno != errno.EINVAL or not flags & os.O_DIRECT:
                raise
            # This disk has larger blocks than we know of.
            fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags & ~os.O_DIRECT)
            write_at(self._descriptor, content, offset)


def open_direct(path: Path) -> int | None:
    """Return a descriptor for direct writes to `path`, None where its file system has none."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_DIRECT)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise


def write_at(descriptor: int, content: NDArray[Any], offset: int) -> None:
    """Write all of `content` at `offset`."""
    view = content.data.cast("B")
    while view:
        done = os.pwrite(descriptor, view, offset)
        view, offset = view[done:], offset + done


def _aligned(size: int) -> NDArray[np.uint8]:
    """Return memory that begins at a multiple of the block."""
    memory = np.empty(size + _BLOCK, np.uint8)
    lead = -memory.ctypes.data % _BLOCK
    return memory[lead : lead + size]
