"""A master's file, of which rows are read without the rest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from toros.common.errors import UnreadableFile
from toros.imaging.fits_io import image_hdu, open_fits, plane_shape
from toros.imaging.frames import Master, Pixels, check_size, read_master
from toros.imaging.headers import ExposureInfo
from toros.imaging.kernels.masters import decode_words
from toros.imaging.raw import read_bytes

_KINDS = {-32: ">f4", 8: "u1"}
# What the extensions of our own masters hold.
_OURS = {"UNCERT": "f", "MASK": "u"}


@dataclass(frozen=True)
class Place:
    """Where the pixels of one HDU are, and of what kind."""

    offset: int
    kind: np.dtype[Any]


class MasterFile:
    """An open master: ours, or any image with optional UNCERT and MASK extensions."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self._whole: Master | None = None
        self._uncertainty: Place | None = None
        self._mask: Place | None = None
        with open_fits(path) as hdus:
            first = image_hdu(hdus, path)
            pixels = _place(first)
            self.shape: tuple[int, ...] = plane_shape(first.shape) or first.shape
            others = {}
            for name in ("UNCERT", "MASK"):
                if name in hdus and hdus[name].shape == first.shape:
                    others[name] = _place(hdus[name])
        alike = all(place and place.kind.kind == _OURS[name] for name, place in others.items())
        if pixels is None or not alike:
            # Not as we write masters: compressed, scaled, in large integers.
            self._whole = read_master(path)
        else:
            self._pixels = pixels
            self._uncertainty, self._mask = others.get("UNCERT"), others.get("MASK")

    @property
    def places(self) -> tuple[Place, Place | None, Place | None] | None:
        """Where the float32 pixels, UNCERT and MASK are; None unless they stand as we write them.

        None too for what extension there is not.
        """
        if self._whole is not None or self._pixels.kind.kind != "f":
            return None
        return self._pixels, self._uncertainty, self._mask

    def rows(self, rows: slice, *, with_error: bool = True) -> Master:
        """Return some rows, not to be changed; where a pixel is not finite it is 0 and masked.

        Parameters
        ----------
        with_error : bool
            False: the uncertainty is not wanted, and need not be read.

        Raises
        ------
        UnreadableFile
            If the file is cut off.
        """
        if self._whole is not None:
            return self._whole.rows(rows, with_error=with_error)
        shape = (rows.stop - rows.start, self.shape[1])
        marks = np.zeros(shape, np.uint8) if self._mask is None else self._read(self._mask, rows)
        if self._pixels.kind.kind == "u":  # a bad-pixel mask
            pixels = self._read(self._pixels, rows).astype(np.float32)
            marks = (marks != 0).view(np.uint8)
        else:
            pixels = self._read_floats(self._pixels, rows, marks)
        error = None
        if self._uncertainty is not None and with_error:
            error = self._read_floats(self._uncertainty, rows, None)
        return Master(pixels, error, marks.view(np.bool_))

    def uncertainty(self, rows: slice) -> Pixels:
        """Return the uncertainty of some rows, not to be changed; 0 where the master has none.

        Raises
        ------
        UnreadableFile
            If the file is cut off.
        """
        known = None if self._whole is None else self._whole.uncertainty
        if known is not None:
            return known[rows]
        if self._whole is None and self._uncertainty is not None:
            return self._read_floats(self._uncertainty, rows, None)
        return np.zeros((rows.stop - rows.start, self.shape[1]), np.float32)

    def _read(self, place: Place, rows: slice) -> NDArray[Any]:
        return read_rows(self.descriptor, self.path, place, rows, self.shape[1])

    def _read_floats(self, place: Place, rows: slice, marks: NDArray[np.uint8] | None) -> Pixels:
        words = self._read(place, rows).view(np.uint32)
        if marks is None:
            decode_words(words.reshape(-1), np.empty(0, np.uint8), False)
        else:
            decode_words(words.reshape(-1), marks.reshape(-1), True)
        return words.view(np.float32)


def read_rows(descriptor: int, path: Path, place: Place, rows: slice, width: int) -> NDArray[Any]:
    """Return some rows as they stand in the file.

    Raises
    ------
    UnreadableFile
        If the file is cut off, or the disk fails.
    """
    found = np.empty((rows.stop - rows.start, width), place.kind)
    start = place.offset + rows.start * width * place.kind.itemsize
    read_bytes(descriptor, found, start, path)
    return found


def _place(hdu: Any) -> Place | None:
    header = hdu.header
    scaled = header.get("BSCALE", 1) != 1 or header.get("BZERO", 0) != 0
    kind = _KINDS.get(header.get("BITPIX"))
    tiles = isinstance(hdu, fits.CompImageHDU)
    if scaled or kind is None or tiles or not hasattr(hdu, "fileinfo"):
        return None
    where = hdu.fileinfo()
    # A compressed file is decompressed as it is read: its bytes are elsewhere.
    if where is None or hdu._file.compression is not None:
        return None
    return Place(where["datLoc"], np.dtype(kind))


@contextmanager
def open_master(path: Path, info: ExposureInfo) -> Iterator[MasterFile]:
    """Open a master for the frame `info`.

    Raises
    ------
    UnreadableFile
        If the file cannot be read.
    MixedShapes
        If the master has another size.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise UnreadableFile(f"{path}: cannot be opened: {error}.") from error
    try:
        file = MasterFile(path, descriptor)
        check_size(path, file.shape, info)
        yield file
    finally:
        os.close(descriptor)
