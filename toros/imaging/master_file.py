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

from toros.common.errors import MixedShapes, UnreadableFile
from toros.imaging.fits_io import image_hdu, open_fits
from toros.imaging.frames import Master, Pixels, read_master
from toros.imaging.headers import ExposureInfo
from toros.imaging.kernels.decoding import decode_reals
from toros.imaging.pool import in_threads, strips
from toros.imaging.raw import read_bytes

_KINDS = {-32: ">f4", 8: "u1"}


@dataclass(frozen=True)
class _Place:
    """Where the pixels of one HDU are."""

    offset: int
    kind: np.dtype[Any]


class MasterFile:
    """An open master: ours, or any image with optional UNCERT and MASK extensions."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._whole: Master | None = None
        self._uncertainty: _Place | None = None
        self._mask: _Place | None = None
        with open_fits(path) as hdus:
            first = image_hdu(hdus, path)
            pixels = _place(first)
            self.shape: tuple[int, ...] = first.shape
            others = {}
            for name in ("UNCERT", "MASK"):
                if name in hdus and hdus[name].shape == first.shape:
                    others[name] = _place(hdus[name])
        if pixels is None or None in others.values() or pixels.kind.kind != "f":
            # Not as we write masters: compressed, scaled, in integers.
            self._whole = read_master(path)
        else:
            self._pixels = pixels
            self._uncertainty, self._mask = others.get("UNCERT"), others.get("MASK")

    def rows(self, rows: slice, *, uncertainty: bool = True) -> Master:
        """Return some rows, not to be changed; where a pixel is not finite it is 0 and masked.

        Parameters
        ----------
        uncertainty : bool
            Whether it is wanted: reading it takes as long as reading the pixels.

        Raises
        ------
        UnreadableFile
            If the file is cut off.
        """
        if self._whole is not None:
            error = self._whole.uncertainty
            return Master(
                self._whole.pixels[rows],
                None if error is None else error[rows],
                self._whole.mask[rows],
            )
        words = self._read_bytes(self._pixels, rows).view(np.uint32)
        pixels, mask = np.empty(words.shape, np.float32), np.empty(words.shape, np.bool_)
        flags = np.zeros(words.shape, np.uint8)
        if self._mask is not None:
            flags = (self._read_bytes(self._mask, rows) != 0).view(np.uint8)
        decode_reals(
            words.reshape(-1),
            flags.reshape(-1),
            pixels.view(np.uint32).reshape(-1),
            mask.reshape(-1),
        )
        error = None
        if uncertainty and self._uncertainty is not None:
            error = self._read(self._uncertainty, rows)
        return Master(pixels, error, mask)

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
            return np.asarray(self._read(self._uncertainty, rows), np.float32)
        return np.zeros((rows.stop - rows.start, self.shape[1]), np.float32)

    def keep(self) -> None:
        """Read the whole master into memory, where its rows are wanted many times."""
        if self._whole is not None:
            return
        first = self.rows(slice(0, 1))
        shape = (self.shape[0], self.shape[1])
        error = None if first.uncertainty is None else np.empty(shape, np.float32)
        whole = Master(np.empty(shape, np.float32), error, np.empty(shape, np.bool_))

        def fill(rows: slice) -> None:
            part = self.rows(rows)
            whole.pixels[rows], whole.mask[rows] = part.pixels, part.mask
            if error is not None and part.uncertainty is not None:
                error[rows] = part.uncertainty

        in_threads(fill, strips(*shape))
        self._whole = whole

    def _read(self, place: _Place, rows: slice) -> NDArray[Any]:
        found = self._read_bytes(place, rows)
        if found.dtype.isnative:
            return found
        return found.byteswap(inplace=True).view(found.dtype.newbyteorder("="))

    def _read_bytes(self, place: _Place, rows: slice) -> NDArray[Any]:
        """Read rows as they stand in the file."""
        width = self.shape[1]
        found = np.empty((rows.stop - rows.start, width), place.kind)
        start = place.offset + rows.start * width * place.kind.itemsize
        read_bytes(self._descriptor, found, start, self._path)
        return found


def _place(hdu: Any) -> _Place | None:
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
    return _Place(where["datLoc"], np.dtype(kind))


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
        if file.shape != info.shape:
            ours = "×".join(str(size) for size in reversed(info.shape or ()))
            theirs = "×".join(str(size) for size in reversed(file.shape))
            raise MixedShapes(f"{path.name} is {theirs}, but {info.path.name} is {ours}.")
        yield file
    finally:
        os.close(descriptor)
