"""Writing FITS images as they come: planes of float32 or bytes, by rows, from several threads.

astropy takes the whole of each plane, copies it to turn its bytes round, and sums it up in numpy;
here a strip of rows is turned, summed and written while it is in the cache.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from toros.common.atomic import atomic_path
from toros.imaging.direct_file import CachedFile, Room, open_file
from toros.imaging.fits_sums import folded, sealed, unsealed
from toros.imaging.kernels.encoding import sum_bytes, swap_words

if TYPE_CHECKING:
    from toros.imaging.fits_tiles import Compression, TilesFile

BLOCK = 2880


@dataclass
class Plane:
    """One HDU that is being written.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Complete but for CHECKSUM and DATASUM. Until the file is finished, values may still
        change, but not the number of cards.
    shape : tuple of int
        (height, width).
    kind : numpy.dtype
        float32 or uint8.
    content : bytes, optional
        `unsealed` of the header, where no value changes any more.
    start : int
        Where the data are in the file, where they are not compressed.
    data_sum : int
        DATASUM of what is written so far; of compressed data once all are written.
    """

    header: fits.Header
    shape: tuple[int, int]
    kind: np.dtype[Any]
    content: bytes | None = None
    start: int = 0
    data_sum: int = 0

    @property
    def size(self) -> int:
        """Bytes of the data."""
        return self.shape[0] * self.shape[1] * self.kind.itemsize

    @property
    def end(self) -> int:
        """Where the next HDU starts: data are padded to a block."""
        return self.start + -(-self.size // BLOCK) * BLOCK


class PlanesFile:
    """An open FITS file of some planes; `write` may be called from several threads."""

    def __init__(self, file: CachedFile, planes: Sequence[Plane]) -> None:
        self.planes = planes
        self._file = file
        self._lock = threading.Lock()
        self._headers: list[int] = []
        at = 0
        for plane in planes:
            self._headers.append(at)
            plane.start = at + len(plane.content or unsealed(plane.header))
            at = plane.end
        file.reserve(at)

    def write(
        self,
        index: int,
        first_row: int,
        rows: NDArray[Any],
        noise: NDArray[np.float32] | None = None,
    ) -> None:
        """Write `rows` [y, x] of plane `index`, in native byte order.

        `noise` (one sigma) matters to compressed files only: see `toros.imaging.fits_tiles`.
        """
        plane = self.planes[index]
        flat = np.ascontiguousarray(rows, dtype=plane.kind).reshape(-1)
        room = self.room(index, first_row, len(rows))
        if plane.kind.itemsize == 4:
            total = swap_words(flat.view(np.uint32), room.content.view(np.uint32))
        else:
            room.content[:] = flat
            total = sum_bytes(flat, first_row * plane.shape[1] % 4)
        self.put(index, room, total)

    def room(self, index: int, first_row: int, count: int) -> Room:
        """Return memory for `count` rows of plane `index`, to be filled as they stand in a file."""
        plane = self.planes[index]
        row = plane.shape[1] * plane.kind.itemsize
        return self._file.room(plane.start + first_row * row, count * row)

    def put(self, index: int, room: Room, total: int) -> None:
        """Write what `room` was filled with, whose words have the sum `total`."""
        self._file.write(room)
        plane = self.planes[index]
        with self._lock:
            plane.data_sum = folded(plane.data_sum + total)

    def finish(self) -> None:
        """Write the headers, with the sums.

        Raises
        ------
        ValueError
            If a header no longer has the length that it was planned with.
        """
        for plane, at in zip(self.planes, self._headers, strict=True):
            content = sealed(plane.content or unsealed(plane.header), plane.data_sum)
            if at + len(content) != plane.start:
                raise ValueError("The header has grown while its image was written.")
            room = self._file.room(at, len(content))
            room.content[:] = np.frombuffer(content, np.uint8)
            self._file.write(room)
        self._file.finish(self.planes[-1].end)


@contextmanager
def planes_file(
    target: Path,
    planes: Sequence[Plane],
    compression: Compression | None = None,
    written: Callable[[Path], object] | None = None,
    direct: bool = False,
) -> Iterator[PlanesFile | TilesFile]:
    """Open `target` for its planes; it appears when they are written, or not at all.

    Parameters
    ----------
    direct : bool
        Nobody will read it soon: it is written past the page cache, where that is possible.
    written : callable
        Called with the path of the finished file, before it is flushed and gets its name.
    """
    with atomic_path(target) as temporary:
        way = open_file(temporary, direct=direct and compression is None)
        try:
            file: PlanesFile | TilesFile
            if compression is None:
                file = PlanesFile(way, planes)
            else:
                from toros.imaging.fits_tiles import TilesFile

                file = TilesFile(way.descriptor, planes, compression)
            yield file
            file.finish()
        finally:
            way.close()
        if written is not None:
            written(temporary)


def image_header(
    header: fits.Header, shape: tuple[int, int], kind: np.dtype[Any], name: str = ""
) -> fits.Header:
    """Return `header` with the cards that the standard wants first.

    Parameters
    ----------
    name : str
        EXTNAME of an extension; nothing for the primary HDU.
    """
    made = fits.Header()
    if name:
        made["XTENSION"] = ("IMAGE", "image extension")
    else:
        made["SIMPLE"] = (True, "a standard FITS file")
    made["BITPIX"] = (8 if kind.itemsize == 1 else -32, "bits of a pixel")
    made["NAXIS"] = (2, "number of axes")
    made["NAXIS1"] = (shape[1], "width")
    made["NAXIS2"] = (shape[0], "height")
    if name:
        made["PCOUNT"] = (0, "no parameters")
        made["GCOUNT"] = (1, "one group")
        made["EXTNAME"] = (name, "name of this extension")
    else:
        made["EXTEND"] = (True, "extensions may follow")
    rest = header.copy()
    rest.strip()
    for keyword in ("EXTNAME", "EXTEND", "CHECKSUM", "DATASUM"):
        rest.remove(keyword, ignore_missing=True, remove_all=True)
    made.extend(rest.cards, strip=False, bottom=True)
    return made
