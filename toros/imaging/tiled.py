"""Rows of 16-bit integers out of tile-compressed FITS images, as if these were plain.

What cameras and fpack write: a tile for each row, Rice-coded or gzipped. astropy takes three times
as long for Rice codes, and lets no two threads read one file. What is not so (numbers of other
kinds, tiles of other shapes, integers that stand for no value) is left to it.

References
----------
FITS standard 4.0, section 10.
"""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from toros.common.errors import UnreadableFile
from toros.imaging.fits_io import BROKEN, open_fits, quiet
from toros.imaging.kernels.untiling import LONGEST_BLOCK, SLACK, unpack_rice
from toros.imaging.raw import RawImage, described, opened_file, raw_image, read_bytes

_RICE = ("RICE_1", "RICE_ONE")
_GZIP = ("GZIP_1", "GZIP_2")
_BYTES_FORM = re.compile(r"1?([PQ])B(\(\d*\))?")
# How many bytes there are and where: of 32 bits each, or of 64.
_DESCRIPTORS: dict[str, np.dtype[Any]] = {"P": np.dtype(">i4"), "Q": np.dtype(">i8")}
_INTEGERS = {1: "u1", 2: ">i2", 4: ">i4", 8: ">i8"}
_ZEROS = (0, 32768)  # BZERO of signed and of unsigned numbers
# No row takes more bytes: not even one of numbers of 64 bits that gzip makes nothing of.
_MOST_BYTES, _MOST_MORE = 9, 1024


@dataclass(frozen=True, eq=False, kw_only=True)
class TiledImage(RawImage):
    """An image whose rows are compressed, one by one.

    Parameters
    ----------
    starts, sizes : numpy.ndarray
        Where in the file each row is, and how many bytes it has.
    way : str
        ZCMPTYPE.
    block : int
        How many pixels are coded alike.
    """

    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    way: str
    block: int

    def read_rows(self, descriptor: int, rows: slice, buffer: NDArray[Any]) -> None:
        """Fill `buffer` with rows as they would stand in a plain file.

        Raises
        ------
        UnreadableFile
            If the file ends before, the disk fails, or a row cannot be decompressed.
        """
        sizes = self.sizes[rows]
        at = np.cumsum(sizes) - sizes
        content = self._content(descriptor, rows, at)
        words = buffer.view(np.uint16).reshape(len(sizes), self.shape[1])
        if self.way in _RICE:
            where = at.astype(np.uint64), sizes.astype(np.uint64)
            damaged = unpack_rice(content, *where, self.block, words)
        else:
            tiles = (content[start : start + size] for start, size in zip(at, sizes, strict=True))
            damaged = _inflate(tiles, self.way == "GZIP_2", words)
        if damaged >= 0:
            row = rows.start + damaged + 1
            raise UnreadableFile(f"{self.path}: its pixels cannot be read: row {row} is damaged.")

    def will_need(self, descriptor: int, rows: slice) -> None:
        """Ask the system to read these rows from the disk while something else is done."""
        start = self.starts[rows].min()
        size = (self.starts[rows] + self.sizes[rows]).max() - start
        os.posix_fadvise(descriptor, int(start), int(size), os.POSIX_FADV_WILLNEED)

    def _content(self, descriptor: int, rows: slice, at: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the tiles of some rows, one after the other, and what may be looked at besides."""
        starts, sizes = self.starts[rows], self.sizes[rows]
        size = int(sizes.sum())
        content = np.zeros(size + SLACK, np.uint8)
        if np.array_equal(starts - starts[0], at):
            read_bytes(descriptor, content[:size], int(starts[0]), self.path)
        else:
            for start, to, length in zip(starts, at, sizes, strict=True):
                read_bytes(descriptor, content[to : to + length], int(start), self.path)
        return content


def _inflate(tiles: Iterable[NDArray[np.uint8]], shuffled: bool, rows: NDArray[np.uint16]) -> int:
    """Decompress a tile into each of `rows`; return the first that is damaged, -1 if none is."""
    for y, (tile, row) in enumerate(zip(tiles, rows, strict=True)):
        try:
            found = np.frombuffer(gzip.decompress(tile.tobytes()), np.uint8)
        except BROKEN:
            return y
        each = found.size // row.size
        if each not in _INTEGERS or found.size != each * row.size:
            return y
        if shuffled:
            found = found.reshape(each, row.size).T.ravel()
        row.view(">i2")[:] = found.view(_INTEGERS[each])
    return -1


def stored_image(path: Path) -> RawImage | None:
    """Return what reads the rows of the first image of a file, plain or in tiles.

    None where that must be left to astropy: in extensions it takes counts and tiles only.

    Raises
    ------
    UnreadableFile
        If the file cannot be opened, or is cut off.
    """
    plain = raw_image(path)
    if plain is not None or not is_plain_file(path):
        return plain
    with open_fits(path, tiles_as_tables=True) as hdus:
        try:
            with quiet():  # astropy parses a header as it is looked at
                first = next(filter(_holds_image, hdus), None)
                found = None if first is None else image_in(path, first)
        except BROKEN:
            return None
    known = isinstance(found, TiledImage) or (found is not None and found.is_counts)
    return found if known else None


def _holds_image(hdu: Any) -> bool:
    """Return whether an HDU holds an image of two axes or more, maybe as a table."""
    if not getattr(hdu, "is_image", False):
        return False
    axes = hdu.header.get("ZNAXIS") if isinstance(hdu, fits.BinTableHDU) else len(hdu.shape)
    return isinstance(axes, int) and axes >= 2


def is_plain_file(path: Path) -> bool:
    """Return whether a file is FITS, not compressed as a whole."""
    with opened_file(path) as descriptor:
        return os.pread(descriptor, 6, 0) == b"SIMPLE"


def image_in(path: Path, hdu: Any) -> RawImage | None:
    """Return what reads the rows of an image; None where it is left to astropy.

    Parameters
    ----------
    hdu : fits.PrimaryHDU, fits.ImageHDU or fits.BinTableHDU
        Holds the image; of a compressed one it is the table that this is stored in.
    """
    if isinstance(hdu, fits.BinTableHDU):
        return _tiled_image(path, hdu)
    if not isinstance(hdu, fits.PrimaryHDU | fits.ImageHDU) or len(hdu.shape) != 2:
        return None
    return replace(described(path, hdu.header, hdu.shape), offset=hdu.fileinfo()["datLoc"])


def _tiled_image(path: Path, hdu: fits.BinTableHDU) -> TiledImage | None:
    header = hdu.header
    try:
        form = _form_of_rows(header)
        if form is None:
            return None
        shape = index(header["ZNAXIS2"]), index(header["ZNAXIS1"])
        block, zero = index(_setting(header, "BLOCKSIZE", 32)), float(header.get("BZERO", 0))
        table, start = np.empty((shape[0], 2), form), hdu.fileinfo()["datLoc"]
        heap = start + index(header.get("THEAP", table.nbytes))
        end = start + table.nbytes + index(header["PCOUNT"])
    except BROKEN:
        # Not as the standard wants it: astropy may know what to do, or says what is wrong.
        return None
    with opened_file(path) as descriptor:
        read_bytes(descriptor, table, start, path)
    sizes, starts = table.astype(np.int64).T
    starts += heap
    too_long = sizes.max() > _MOST_BYTES * shape[1] + _MOST_MORE
    if too_long or sizes.min() < 1 or starts.min() < start or (starts + sizes).max() > end:
        return None
    return TiledImage(
        path, start, np.dtype(">i2"), shape, zero=zero, starts=starts, sizes=sizes,
        way=header["ZCMPTYPE"], block=block,
    )  # fmt: skip


def _form_of_rows(header: Mapping[str, Any]) -> np.dtype[Any] | None:
    """Return what the table says where its rows are in; None unless each is one of an image."""
    form = _BYTES_FORM.fullmatch(header["TFORM1"])
    width, height = header["ZNAXIS1"], header["ZNAXIS2"]
    if form is None or header["ZNAXIS"] != 2 or min(width, height) < 1:
        return None
    descriptor = _DESCRIPTORS[form[1]]
    # In the words of the standard: what one column holds, its tiles, and the numbers in them.
    by_rows = (
        (header["TFIELDS"], header["TTYPE1"]) == (1, "COMPRESSED_DATA")
        and (header["NAXIS1"], header["NAXIS2"]) == (2 * descriptor.itemsize, height)
        and (header.get("ZTILE1", width), header.get("ZTILE2", 1)) == (width, 1)
        and (header["ZBITPIX"], header.get("BSCALE", 1)) == (16, 1)
        and header.get("BZERO", 0) in _ZEROS
        and not any(key in header for key in ("BLANK", "ZBLANK"))
    )
    return descriptor if by_rows and _is_known(header) else None


def _is_known(header: Mapping[str, Any]) -> bool:
    """Return whether `TiledImage` can decompress the rows."""
    if header["ZCMPTYPE"] in _GZIP:
        return True
    pixel, block = _setting(header, "BYTEPIX", 4), _setting(header, "BLOCKSIZE", 32)
    return header["ZCMPTYPE"] in _RICE and pixel == 2 and block in range(1, LONGEST_BLOCK + 1)


def _setting(header: Mapping[str, Any], name: str, default: int) -> Any:
    """Return what a compressed image is told to be compressed with."""
    number = 1
    while f"ZNAME{number}" in header:
        if header[f"ZNAME{number}"] == name:
            return header[f"ZVAL{number}"]
        number += 1
    return default
