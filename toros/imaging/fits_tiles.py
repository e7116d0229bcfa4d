"""Writing tile-compressed FITS images as they come: by rows, from several threads.

Each row is a tile, each image a table of its own after an empty primary HDU. astropy compresses
too, but holds the interpreter while it does, needs whole planes, and writes the time into gzip's
headers.

References
----------
FITS standard 4.0, section 10.
"""

from __future__ import annotations

import re
import threading
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from toros.common.errors import UnusableFrame
from toros.imaging.direct_file import write_at
from toros.imaging.fits_planes import BLOCK, Plane
from toros.imaging.fits_sums import folded, sealed, unsealed
from toros.imaging.kernels.encoding import sum_bytes

_GZIP = 31  # zlib's word for: with gzip's header, in which no time stands
_GZIP_LEVEL = 1  # noise is as small after the fastest
_LARGEST_HEAP = 2**31 - 1  # offsets into it are of 32 bits
_UNKNOWN = np.empty((0, 0), np.float32)
# What would be taken for a description of the table.
_RESERVED = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|EXTEND|TFIELDS|THEAP|T(TYPE|FORM|UNIT|NULL|SCAL"
    r"|ZERO|DISP|DIM)\d+|Z(IMAGE|SIMPLE|TENSION|EXTEND|BLOCKED|PCOUNT|GCOUNT|HECKSUM|DATASUM|BITPIX"
    r"|NAXIS\d*|TILE\d+|CMPTYPE|NAME\d+|VAL\d+|MASKCMP|QUANTIZ|DITHER0|SCALE|ZERO|BLANK)"
)


@dataclass(frozen=True)
class Compression:
    """How a product is compressed.

    Parameters
    ----------
    kind : str
        ``"rice"``: float32 quantised with subtractive dither, then Rice-coded; ``"gzip"``: nothing
        is lost.
    level : float
        Of Rice: the quantisation's step is the least noise in a row divided by this. It adds at
        most 1 / (12 level²) to the variance of a pixel.
    """

    kind: Literal["rice", "gzip"]
    level: float = 16.0


@dataclass(frozen=True)
class _Rows:
    """Some rows, compressed: their bytes, and for each how many, and how it was quantised."""

    content: NDArray[np.uint8]
    sizes: NDArray[np.int64]
    lossless: NDArray[np.bool_]  # where quantisation was not possible
    scales: NDArray[np.float64]
    zeros: NDArray[np.float64]


class TilesFile:
    """An open compressed file of some planes; `write` may be called from several threads.

    The compressed bytes are kept in memory until the end, when their places are known.
    """

    def __init__(self, descriptor: int, planes: Sequence[Plane], compression: Compression) -> None:
        self.planes = planes
        self._descriptor = descriptor
        self._compression = compression
        self._lock = threading.Lock()
        self._parts: list[dict[int, _Rows]] = [{} for _ in planes]
        first = planes[0].header
        # Other frames, and other planes, have other dithers; the same frame the same.
        name = f"{first.get('RAWNAME', '')} {first.get('DATE-OBS', '')}".encode()
        self._seeds = [1 + zlib.crc32(name, index) % 10000 for index in range(len(planes))]

    def write(
        self,
        index: int,
        first_row: int,
        rows: NDArray[Any],
        noise: NDArray[np.float32] | None = None,
    ) -> None:
        """Compress `rows` [y, x] of plane `index`, whose pixels have this `noise` (one sigma)."""
        plane = self.planes[index]
        pixels = np.ascontiguousarray(rows, dtype=plane.kind)
        if self._compression.kind == "gzip":
            part = _gzipped_rows(pixels)
        elif plane.kind.kind == "f":
            first_tile = first_row + self._seeds[index] - 1
            part = _quantised_rows(pixels, noise, self._compression.level, first_tile)
        else:
            part = _riced_rows(pixels)
        with self._lock:
            self._parts[index][first_row] = part

    def finish(self) -> None:
        """Write all, with the sums."""
        primary = fits.Header()
        primary["SIMPLE"] = (True, "a standard FITS file")
        primary["BITPIX"] = (8, "no pixels here: see the extensions")
        primary["NAXIS"] = (0, "number of axes")
        primary["EXTEND"] = (True, "extensions follow")
        at = self._append(0, sealed(unsealed(primary), 0))
        for index, plane in enumerate(self.planes):
            parts = [rows for _, rows in sorted(self._parts[index].items())]
            self._parts[index].clear()
            at = self._append_plane(at, plane, parts, self._seeds[index])

    def _append(self, at: int, content: bytes | NDArray[np.uint8]) -> int:
        array = np.frombuffer(content, np.uint8) if isinstance(content, bytes) else content
        write_at(self._descriptor, array, at)
        return at + array.size

    def _append_plane(self, at: int, plane: Plane, parts: Sequence[_Rows], seed: int) -> int:
        sizes = np.concatenate([part.sizes for part in parts])
        if int(sizes.sum()) > _LARGEST_HEAP:
            raise UnusableFrame("This image is too large to be compressed losslessly.")
        table = _table(plane, parts, self._compression)
        pieces = [np.frombuffer(table.tobytes(), np.uint8), *(part.content for part in parts)]
        header = _header(plane, table, sizes, seed, self._compression)
        total = place = 0
        for piece in pieces:
            total = folded(total + sum_bytes(piece, place % 4))
            place += piece.size
        plane.data_sum = total
        at = self._append(at, sealed(unsealed(header), total))
        for piece in pieces:
            at = self._append(at, piece)
        return self._append(at, bytes(-place % BLOCK))


def _table(plane: Plane, parts: Sequence[_Rows], how: Compression) -> NDArray[Any]:
    """Return the table of a plane: where each row's bytes are, and how they were quantised."""
    fields: list[tuple[str, Any]] = [("COMPRESSED_DATA", (">i4", 2))]
    sizes = np.concatenate([part.sizes for part in parts])
    offsets = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    lossless = np.concatenate([part.lossless for part in parts])
    quantised = how.kind == "rice" and plane.kind.kind == "f"
    if quantised and lossless.any():
        fields.append(("GZIP_COMPRESSED_DATA", (">i4", 2)))
    if quantised:
        fields += [("ZSCALE", ">f8"), ("ZZERO", ">f8")]
    table = np.zeros(sizes.size, fields)
    places = np.stack([sizes, offsets], axis=1)
    if quantised:
        table["ZSCALE"] = np.concatenate([part.scales for part in parts])
        table["ZZERO"] = np.concatenate([part.zeros for part in parts])
        table["COMPRESSED_DATA"][~lossless] = places[~lossless]
        if lossless.any():
            table["GZIP_COMPRESSED_DATA"][lossless] = places[lossless]
    else:
        table["COMPRESSED_DATA"] = places
    return table


def _header(
    plane: Plane, table: NDArray[Any], sizes: NDArray[np.int64], seed: int, how: Compression
) -> fits.Header:
    """Return the header of a table that holds an image, with the image's own cards."""
    first = "SIMPLE" in plane.header
    header = fits.Header()
    header["XTENSION"] = ("BINTABLE", "an image, compressed row by row")
    header["BITPIX"], header["NAXIS"] = 8, 2
    header["NAXIS1"] = (table.dtype.itemsize, "bytes of a row of the table")
    header["NAXIS2"] = (table.size, "rows of the image")
    header["PCOUNT"] = (int(sizes.sum()), "bytes of the compressed rows")
    header["GCOUNT"], header["TFIELDS"] = 1, len(table.dtype.fields or ())
    for number, name in enumerate(table.dtype.names or (), start=1):
        header[f"TTYPE{number}"] = name
        place = f"1PB({int(sizes.max(initial=0))})"
        header[f"TFORM{number}"] = "1D" if name in ("ZSCALE", "ZZERO") else place
    header["ZIMAGE"] = (True, "this table is an image")
    if first:
        header["ZSIMPLE"] = (True, "the image was the primary one")
    else:
        header["ZTENSION"] = "IMAGE"
    header["ZBITPIX"] = (plane.header["BITPIX"], "bits of a pixel of the image")
    header["ZNAXIS"] = 2
    header["ZNAXIS1"], header["ZNAXIS2"] = plane.shape[1], plane.shape[0]
    if first:
        header["ZEXTEND"] = True
    else:
        header["ZPCOUNT"], header["ZGCOUNT"] = 0, 1
    header["ZTILE1"], header["ZTILE2"] = plane.shape[1], 1
    _describe(header, plane, seed, how)
    if first:
        header["EXTNAME"] = "COMPRESSED_IMAGE"
    cards = (card for card in plane.header.cards if not _RESERVED.fullmatch(card.keyword))
    header.extend(cards, strip=False, bottom=True)
    for keyword in ("CHECKSUM", "DATASUM"):
        header.remove(keyword, ignore_missing=True, remove_all=True)
    return header


def _describe(header: fits.Header, plane: Plane, seed: int, how: Compression) -> None:
    real = plane.kind.kind == "f"
    if how.kind == "gzip":
        header["ZCMPTYPE"] = "GZIP_2" if real else "GZIP_1"
        if real:
            # cfitsio takes real numbers for quantised ones unless told.
            header["ZQUANTIZ"] = ("NONE", "nothing is lost")
        return
    header["ZCMPTYPE"] = "RICE_1"
    header["ZNAME1"], header["ZVAL1"] = "BLOCKSIZE", 32
    header["ZNAME2"], header["ZVAL2"] = "BYTEPIX", 4 if real else 1
    if real:
        header["ZQUANTIZ"] = "SUBTRACTIVE_DITHER_1"
        header["ZDITHER0"] = (seed, "start of the sequence of dithers")
        header["QUANTLEV"] = (how.level, "steps of quantisation in the noise of a pixel")


@lru_cache(maxsize=1)
def _random() -> NDArray[np.float32]:
    """Return the sequence of the FITS standard, appendix I: Park and Miller's generator."""
    seed, found = 1, np.empty(10000, np.float32)
    for k in range(found.size):
        seed = 16807 * seed % 2147483647
        found[k] = seed / 2147483647
    if seed != 1043618065:  # as the standard says
        raise AssertionError("The generator of the dithers is wrong.")
    return found


def _room(pixels: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    height, width = pixels.shape
    # A head for each block, and what is not smaller than the numbers themselves.
    most = width * pixels.itemsize + width // 32 + 16
    return np.empty((height, most), np.uint8), np.empty(height, np.int64)


def _quantised_rows(
    pixels: NDArray[np.float32], noise: NDArray[np.float32] | None, level: float, first_tile: int
) -> _Rows:
    from toros.imaging.kernels.tiles import quantise_rows

    out, sizes = _room(pixels)
    scales, zeros = np.empty(len(pixels)), np.empty(len(pixels))
    sigma = _UNKNOWN if noise is None else np.ascontiguousarray(noise, np.float32)
    quantise_rows(pixels, sigma, level, first_tile, _random(), out, sizes, scales, zeros)
    lossless = sizes < 0
    pieces = []
    for y, size in enumerate(sizes):
        if size < 0:
            pieces.append(_gzipped(pixels[y].astype(">f4").tobytes()))
            sizes[y] = pieces[-1].size
        else:
            pieces.append(out[y, :size])
    return _Rows(np.concatenate(pieces), sizes, lossless, scales, zeros)


def _riced_rows(pixels: NDArray[np.uint8]) -> _Rows:
    from toros.imaging.kernels.tiles import rice_bytes

    out, sizes = _room(pixels)
    rice_bytes(pixels, out, sizes)
    return _plain([out[y, :size] for y, size in enumerate(sizes)])


def _gzipped_rows(pixels: NDArray[Any]) -> _Rows:
    if pixels.itemsize == 1:
        return _plain([_gzipped(row.tobytes()) for row in pixels])
    # All first bytes, all second ones, and so on: those of the exponent are alike.
    turned = pixels.astype(">f4").view(np.uint8).reshape(*pixels.shape, 4)
    return _plain([_gzipped(row.T.tobytes()) for row in turned])


def _gzipped(content: bytes) -> NDArray[np.uint8]:
    packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP)
    return np.frombuffer(packer.compress(content) + packer.flush(), np.uint8)


def _plain(pieces: list[NDArray[np.uint8]]) -> _Rows:
    none = np.zeros(len(pieces))
    sizes = np.array([piece.size for piece in pieces], np.int64)
    return _Rows(np.concatenate(pieces), sizes, none != 0, none, none)
