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
from collections import deque
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toros.common.atomic import begin_flush
from toros.imaging.eldest_first import EldestFirst
from toros.imaging.spare_memory import BLOCK, give_back, take

# Rooms of a file that are on their way: those of two strips of a light.
_MOST_BEGUN = 6
# Disks are quick when they have more than one thing to do; to wait for one takes no core.
_WRITERS = 4
# Counts the files that were opened.
_opened = count()


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
    """Writes the usual way: through the page cache, from which others soon read.

    Parameters
    ----------
    descriptor : int
        Closed by `close`.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._rooms: deque[Room] = deque()
        self._writing = threading.Lock()

    def reserve(self, size: int) -> None:
        """Take the room on the disk, in one go: ext4 would look for it block by block.

        It would also begin to write when the file gets its name. A full disk is noticed before
        anything is computed, and what is not written is zero.
        """
        os.posix_fallocate(self.descriptor, 0, size)

    def room(self, offset: int, size: int) -> Room:
        """Return memory for the `size` bytes at `offset`, which `write` takes back."""
        content = take(size)
        return Room(offset, content, content)

    def write(self, room: Room) -> None:
        """Write what a room was filled with; several threads may.

        The system lets one thread at a time write to a file, and the others wait. Here who finds
        another writing leaves the room to it.
        """
        self._rooms.append(room)
        while self._rooms and self._writing.acquire(blocking=False):
            try:
                while self._rooms:
                    self._write_cached(self._rooms.popleft())
            finally:
                self._writing.release()

    def _write_cached(self, room: Room) -> None:
        write_at(self.descriptor, room.content, room.offset)
        begin_flush(self.descriptor, room.offset, room.content.size)
        give_back(room.whole)

    def finish(self, size: int) -> None:
        """Write what is left of a file of `size` bytes."""

    def close(self) -> None:
        """Close the file, whole or not."""
        os.close(self.descriptor)


@dataclass
class _Edge:
    """A block that more than one room has a part in."""

    content: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(BLOCK, np.uint8))
    upto: int = 0  # known without a gap from its start
    written: bool = False


class DirectFile(CachedFile):
    """Writes past the page cache.

    A room's whole blocks are written at once; a block that it shares with its neighbour is written
    with the later of both, if that comes behind it in the file, else at the end.

    Parameters
    ----------
    descriptor : int
        Opened with O_DIRECT.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self._born = next(_opened)
        self._edges: dict[int, _Edge] = {}
        self._begun: deque[Future[None]] = deque()
        self._lock = threading.Lock()

    def reserve(self, size: int) -> None:
        """Take the room on the disk."""
        try:
            super().reserve(size)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            # Where the file system cannot do it, the C library writes a byte to each block.
            self._go_the_usual_way()
            super().reserve(size)

    def room(self, offset: int, size: int) -> Room:
        """Return memory for the `size` bytes at `offset`."""
        lead = offset % BLOCK
        whole = take(-(-(lead + size) // BLOCK) * BLOCK)
        return Room(offset, whole[lead : lead + size], whole)

    def write(self, room: Room) -> None:
        """Write what a room was filled with; several threads may."""
        lead = room.offset % BLOCK
        end, first = lead + room.content.size, room.offset - lead
        start, stop = 0, room.whole.size
        last = stop - BLOCK
        with self._lock:
            if lead or end < BLOCK:
                known = self._merge(room.whole[:BLOCK], first, lead, min(end, BLOCK))
                start = 0 if known else BLOCK
            if last > 0 and end < stop:
                known = self._merge(room.whole[last:], first + last, 0, end - last)
                stop = stop if known else last
        if stop > start:
            self._begin(room, start, stop)
        else:
            give_back(room.whole)

    def _begin(self, room: Room, start: int, stop: int) -> None:
        """Begin to write some whole blocks; the next rows are computed meanwhile."""
        with self._lock:
            work = partial(self._write, room, start, stop)
            self._begun.append(_writers().submit(self._born, work))
            enough = len(self._begun) > _MOST_BEGUN
        if enough:
            self._begun.popleft().result()

    def _merge(self, block: NDArray[np.uint8], offset: int, start: int, stop: int) -> bool:
        """Take part of a block; complete it and return True, if all of it is known by now."""
        edge = self._edges.setdefault(offset, _Edge())
        edge.content[start:stop] = block[start:stop]
        if start <= edge.upto:
            edge.upto = max(edge.upto, stop)
        edge.written = edge.upto == BLOCK
        if edge.written:
            block[:] = edge.content
        return edge.written

    def finish(self, size: int) -> None:
        """Write what is left of a file of `size` bytes."""
        self._wait()
        for offset, edge in sorted(self._edges.items()):
            if not edge.written:
                room = self.room(offset, BLOCK)
                room.content[:] = edge.content
                self._write(room, 0, BLOCK)
        os.ftruncate(self.descriptor, size)

    def _wait(self) -> None:
        while self._begun:
            self._begun.popleft().result()

    def close(self) -> None:
        """Close the file, whole or not."""
        # Whatever becomes of it: the descriptor may be another file's soon.
        wait(self._begun)
        self._begun.clear()
        super().close()

    def _write(self, room: Room, start: int, stop: int) -> None:
        content, offset = room.whole[start:stop], room.offset - room.offset % BLOCK + start
        try:
            write_at(self.descriptor, content, offset)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            # This disk has larger blocks than we know of; other threads may find that out as well.
            self._go_the_usual_way()
            write_at(self.descriptor, content, offset)
        give_back(room.whole)

    def _go_the_usual_way(self) -> None:
        flags = fcntl.fcntl(self.descriptor, fcntl.F_GETFL)
        fcntl.fcntl(self.descriptor, fcntl.F_SETFL, flags & ~os.O_DIRECT)


@lru_cache(maxsize=1)
def _writers() -> EldestFirst:
    return EldestFirst(_WRITERS, "write")


def open_file(path: Path, *, direct: bool) -> CachedFile:
    """Open `path`, which is there, to be written.

    Parameters
    ----------
    direct : bool
        Past the page cache, if its file system can.
    """
    how = os.O_WRONLY | os.O_CLOEXEC
    if direct:
        try:
            return DirectFile(os.open(path, how | os.O_DIRECT))
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
    return CachedFile(os.open(path, how))


def write_at(descriptor: int, content: NDArray[Any], offset: int) -> None:
    """Write all of `content` at `offset`."""
    view = content.data.cast("B")
    while view:
        done = os.pwrite(descriptor, view, offset)
        view, offset = view[done:], offset + done
