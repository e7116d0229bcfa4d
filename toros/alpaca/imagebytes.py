"""ImageBytes: the binary form of a camera's image (ASCOM Alpaca API reference, part 8).

A little-endian header of eleven 32-bit integers, then the pixels as ``[x][y]``, y fastest.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toros.alpaca.answers import parse, raise_for_number, value_of
from toros.common.errors import DeviceError

HEADER_BYTES = 44
# So many columns at once become rows: what is read and written for them stays in the cache.
_STRIP = 64
_VERSION = 1
_WHAT = "camera imagearray"

_TYPES: dict[int, str] = {
    1: "<i2",
    2: "<i4",
    3: "<f8",
    4: "<f4",
    5: "<u8",
    6: "u1",
    7: "<i8",
    8: "<u2",
    9: "<u4",
}


@dataclass(frozen=True)
class Header:
    """The eleven numbers at the start."""

    version: int
    error: int
    client_transaction: int
    server_transaction: int
    data_start: int
    image_type: int
    transmission_type: int
    rank: int
    dimension1: int
    dimension2: int
    dimension3: int


def decode(content_type: str, content: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Return the pixels ``[y, x]`` of an answer to ``imagearray``.

    Parameters
    ----------
    content_type : str
        ``application/imagebytes``, or JSON from servers that do not know it.
    content : numpy.ndarray
        The bytes of the body.

    Raises
    ------
    DeviceRefused
        The camera answers with an error.
    DeviceError
        The bytes are not a monochrome image of 16-bit counts.
    """
    kind = content_type.partition(";")[0].strip().casefold()
    pixels = _binary(content) if kind == "application/imagebytes" else _json(content)
    return _counts(pixels)


def _binary(content: NDArray[np.uint8]) -> NDArray[Any]:
    if content.size < HEADER_BYTES:
        raise DeviceError(f"{_WHAT}: {content.size} bytes are no image.")
    header = Header(*(int(value) for value in content[:HEADER_BYTES].view("<i4")))
    if header.version != _VERSION:
        raise DeviceError(f"{_WHAT}: unknown version {header.version} of ImageBytes.")
    if not HEADER_BYTES <= header.data_start <= content.size:
        raise DeviceError(f"{_WHAT}: the data start at byte {header.data_start}, which is not so.")
    data = content[header.data_start :]
    if header.error:
        raise_for_number(header.error, data.tobytes().decode("utf-8", "replace"), _WHAT)
    if header.rank != 2:
        raise DeviceError(f"{_WHAT}: an image of rank {header.rank}; only monochrome is read.")
    kind = _TYPES.get(header.transmission_type)
    if kind is None:
        raise DeviceError(f"{_WHAT}: unknown pixel type {header.transmission_type}.")
    size = header.dimension1 * header.dimension2 * np.dtype(kind).itemsize
    if header.dimension1 < 1 or header.dimension2 < 1 or data.size != size:
        raise DeviceError(
            f"{_WHAT}: {data.size} bytes of pixels, "
            f"{header.dimension1} × {header.dimension2} need {size}."
        )
    return np.frombuffer(data, dtype=kind).reshape(header.dimension1, header.dimension2).T


def _json(content: NDArray[np.uint8]) -> NDArray[Any]:
    body = content.tobytes()
    value = value_of(parse(200, body, _WHAT), _WHAT)
    try:
        pixels = np.asarray(value)
    except ValueError as error:
        raise DeviceError(f"{_WHAT}: the rows differ in length.") from error
    if pixels.ndim != 2 or pixels.size == 0 or pixels.dtype.kind not in "iuf":
        shown = json.dumps(value)[:40]
        raise DeviceError(f"{_WHAT}: not a monochrome image: {shown}.")
    return pixels.T


def _counts(pixels: NDArray[Any]) -> NDArray[np.uint16]:
    """Return the pixels as 16-bit counts, without changing a value silently."""
    if pixels.dtype == np.uint16:
        return _in_rows(pixels)
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise DeviceError(f"{_WHAT}: pixels that are not finite.")
    lowest, highest = pixels.min(), pixels.max()
    if lowest < 0 or highest > np.iinfo(np.uint16).max:
        raise DeviceError(f"{_WHAT}: counts from {lowest} to {highest} do not fit in 16 bits.")
    return np.ascontiguousarray(np.rint(pixels) if pixels.dtype.kind == "f" else pixels, np.uint16)


def _in_rows(pixels: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Return the pixels with each row in one piece, as numpy and FITS have them.

    Strip by strip, this takes a quarter of the time of `numpy.ascontiguousarray`, which writes
    each row at a stride of whole columns.
    """
    if pixels.flags.c_contiguous:
        return pixels
    rows = np.empty(pixels.shape, np.uint16)
    for first in range(0, pixels.shape[1], _STRIP):
        rows[:, first : first + _STRIP] = pixels[:, first : first + _STRIP]
    return rows
