"""Where the pixels of a plain FITS image are, so that rows are read with no more ado.

astropy reads a header in milliseconds and a section of an image through several copies; a stack
reads some thousand strips of rows. What is not plain (compressed, in an extension, a cube of
planes) is left to astropy.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toros.common.errors import UnreadableFile

_BLOCK, _CARD = 2880, 80
_MOST_BLOCKS = 200
_KINDS = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}
_PLANES = (b"NAXIS3", b"NAXIS4")
_WANTED = (
    b"SIMPLE", b"BITPIX", b"NAXIS", b"NAXIS1", b"NAXIS2", *_PLANES, b"BZERO", b"BSCALE", b"BLANK",
)  # fmt: skip


@dataclass(frozen=True)
class RawImage:
    """A plain image of one plane in a file.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    offset : int
        Where the first pixel is [byte].
    kind : numpy.dtype
        Of the pixels as they stand there.
    shape : tuple of int
        (height, width).
    scale, zero : float
        The value of a pixel is ``zero + scale * raw``.
    blank : int, optional
        The integer that stands for no value.
    """

    path: Path
    offset: int
    kind: np.dtype[Any]
    shape: tuple[int, int]
    scale: float = 1.0
    zero: float = 0.0
    blank: int | None = None

    @property
    def is_counts(self) -> bool:
        """Whether these are unsigned 16-bit integers, as FITS writes them."""
        return self.kind == np.dtype(">i2") and (self.scale, self.zero, self.blank) == (
            1.0,
            32768.0,
            None,
        )

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.shape[1] * self.kind.itemsize

    def read_rows(self, descriptor: int, rows: slice, buffer: NDArray[Any]) -> None:
        """Fill `buffer` with rows as they stand in the open file.

        Raises
        ------
        UnreadableFile
            If the file ends before, or the disk fails.
        """
        read_bytes(descriptor, buffer, self.offset + rows.start * self.row_bytes, self.path)

    def rows(self, descriptor: int, rows: slice) -> NDArray[Any]:
        """Return rows [y, x] as they stand in the open file; as `read_rows`."""
        raw = np.empty((rows.stop - rows.start, self.shape[1]), self.kind)
        self.read_rows(descriptor, rows, raw)
        return raw

    def will_need(self, descriptor: int, rows: slice) -> None:
        """Ask the system to read these rows from the disk while something else is done."""
        os.posix_fadvise(
            descriptor,
            self.offset + rows.start * self.row_bytes,
            (rows.stop - rows.start) * self.row_bytes,
            os.POSIX_FADV_WILLNEED,
        )


def described(path: Path, header: Mapping[str, Any], shape: tuple[int, int]) -> RawImage:
    """Return the image of a file that a header tells of, as if its pixels began the file."""
    return RawImage(
        path=path,
        offset=0,
        kind=np.dtype(_KINDS[header["BITPIX"]]),
        shape=shape,
        scale=header.get("BSCALE", 1.0),
        zero=header.get("BZERO", 0.0),
        blank=header.get("BLANK"),
    )


def saturated_from(saturation_adu: float | None) -> int:
    """Return the first of the 16-bit counts that is saturated; 65536: none."""
    if saturation_adu is None or saturation_adu > 65535:
        return 65536
    return max(ceil(saturation_adu), 0)


def raw_image(path: Path) -> RawImage | None:
    """Return where the pixels of `path` are; None unless its primary HDU is a plain image.

    Raises
    ------
    UnreadableFile
        If the file cannot be opened, or is shorter than its header says.
    """
    try:
        with path.open("rb", buffering=0) as file:
            cards, offset = _cards(_blocks(file.fileno()))
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError as error:
        raise UnreadableFile(f"{path}: there is no such file.") from error
    except OSError as error:
        raise UnreadableFile(f"{path}: cannot be read: {error}.") from error
    found = _image(path, cards, offset)
    if found is not None and size < offset + found.shape[0] * found.row_bytes:
        raise UnreadableFile(f"{path}: is truncated: it ends before its last pixel.")
    return found


def _blocks(descriptor: int) -> Iterator[bytes]:
    for _ in range(_MOST_BLOCKS):
        block = os.read(descriptor, _BLOCK)
        if len(block) < _BLOCK:
            return
        yield block


def _cards(blocks: Iterator[bytes]) -> tuple[dict[bytes, bytes], int]:
    """Return the values of the cards that tell the image, and where the header ends."""
    found: dict[bytes, bytes] = {}
    offset = 0
    for block in blocks:
        offset += _BLOCK
        for start in range(0, _BLOCK, _CARD):
            keyword = block[start : start + 8].rstrip()
            if keyword == b"END":
                return found, offset
            if keyword in _WANTED and keyword not in found:
                found[keyword] = block[start + 10 : start + _CARD].partition(b"/")[0].strip()
        if b"SIMPLE" not in found:
            break
    return {}, 0


def _image(path: Path, cards: dict[bytes, bytes], offset: int) -> RawImage | None:
    try:
        more = int(cards[b"NAXIS"]) - 2
        if cards.get(b"SIMPLE") != b"T" or not 0 <= more <= len(_PLANES):
            return None
        if any(int(cards[name]) != 1 for name in _PLANES[:more]):
            return None
        blank = cards.get(b"BLANK")
        kind = np.dtype(_KINDS[int(cards[b"BITPIX"])])
        return RawImage(
            path=path,
            offset=offset,
            kind=kind,
            shape=(int(cards[b"NAXIS2"]), int(cards[b"NAXIS1"])),
            scale=float(cards.get(b"BSCALE", b"1").replace(b"D", b"E")),
            zero=float(cards.get(b"BZERO", b"0").replace(b"D", b"E")),
            blank=int(blank) if blank and kind.kind in "iu" else None,
        )
    except (KeyError, ValueError):
        # Not as the standard wants it: astropy may know what to do.
        return None


@contextmanager
def opened_file(path: Path) -> Iterator[int]:
    """Yield a descriptor of the open file `path`.

    Raises
    ------
    UnreadableFile
        If it cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise UnreadableFile(f"{path}: cannot be opened: {error}.") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read_bytes(descriptor: int, buffer: NDArray[Any], offset: int, path: Path) -> None:
    """Fill `buffer` from `offset` of an open file.

    Raises
    ------
    UnreadableFile
        If the file ends before, or the disk fails.
    """
    view = buffer.data.cast("B")
    done = 0
    while done < len(view):
        try:
            got = os.preadv(descriptor, [view[done:]], offset + done)
        except OSError as error:
            raise UnreadableFile(f"{path}: cannot be read: {error}.") from error
        if got == 0:
            raise UnreadableFile(f"{path}: was cut off while it was read.")
        done += got
