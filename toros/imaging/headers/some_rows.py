"""Some rows of an image, to tell by its pixels what its header leaves open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from toros.imaging.fits_io import read_pixels
from toros.imaging.gzipped import gzip_content, is_gzipped
from toros.imaging.raw import opened_file, raw_image

_ROWS = 32
_TOP_BIT = np.uint16(0x8000)


def some_rows(path: Path, hdu: Any) -> Iterator[NDArray[Any]]:
    """Yield rows from all over an image of 16-bit integers, one by one, from the first on.

    Parameters
    ----------
    hdu : astropy.io.fits.PrimaryHDU, ImageHDU or CompImageHDU
        An image of the open file `path`; BSCALE is 1, BZERO 0 or 32768.

    Raises
    ------
    UnreadableFile
        If they cannot be read.
    """
    rows = np.unique(np.linspace(0, hdu.shape[-2] - 1, _ROWS).astype(int)).tolist()
    # To astropy a compressed image is an ImageHDU, too.
    stands_as_it_is = isinstance(hdu, fits.PrimaryHDU | fits.ImageHDU) and not isinstance(
        hdu, fits.CompImageHDU
    )
    plain = stands_as_it_is and "BLANK" not in hdu.header
    image = raw_image(path) if plain and isinstance(hdu, fits.PrimaryHDU) else None
    if image is not None:
        with opened_file(path) as descriptor:
            for row in rows:
                yield _values(image.rows(descriptor, slice(row, row + 1)), hdu)
    elif plain and is_gzipped(path):
        yield from _out_of_gzip(path, hdu, rows)
    else:
        for row in rows:
            yield read_pixels(hdu, path, slice(row, row + 1))


def _values(words: NDArray[Any], hdu: Any) -> NDArray[Any]:
    signed = words.astype(np.int16)
    return signed.view(np.uint16) ^ _TOP_BIT if hdu.header.get("BZERO", 0) else signed


def _out_of_gzip(path: Path, hdu: Any, rows: Sequence[int]) -> Iterator[NDArray[Any]]:
    """Read on from row to row: astropy begins anew for each."""
    size = 2 * hdu.shape[-1]
    wanted = [hdu.fileinfo()["datLoc"] + size * row for row in rows]
    held, start = b"", 0  # what is kept of the file, and where in it that begins
    for piece in gzip_content(path):
        held += piece
        while wanted and start + len(held) >= wanted[0] + size:
            at = wanted.pop(0) - start
            yield _values(np.frombuffer(held[at : at + size], ">i2"), hdu)
        if not wanted:
            return
        drop = min(max(wanted[0] - start, 0), len(held))
        held, start = held[drop:], start + drop
