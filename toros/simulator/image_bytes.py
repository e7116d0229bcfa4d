"""The ImageBytes form of an image: a 44-byte little-endian header and raw pixels.

See "ASCOM Alpaca API Reference", section on ImageBytes. Pixels go out as 16-bit unsigned numbers
and are to be understood as 32-bit ones. They are ordered ``[x][y]``, y fastest.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

MEDIA_TYPE = "application/imagebytes"
HEADER = struct.Struct("<iiIIiiiiiii")
METADATA_VERSION = 1
INT32, UINT16 = 2, 8
_CHUNK_BYTES = 1 << 21


def chunks(image: NDArray[np.uint16], client_id: int, server_id: int) -> Iterator[bytes]:
    """Return an image as ImageBytes, in pieces that are made as they are sent.

    Parameters
    ----------
    image : array of uint16, shape (width, height)
        Indexed ``[x][y]``.
    client_id, server_id : int
        Transaction numbers.
    """
    yield HEADER.pack(
        *(METADATA_VERSION, 0, client_id, server_id, HEADER.size),
        *(INT32, UINT16, 2, image.shape[0], image.shape[1], 0),
    )
    columns = max(_CHUNK_BYTES // (2 * image.shape[1]), 1)
    for first in range(0, image.shape[0], columns):
        yield np.ascontiguousarray(image[first : first + columns], dtype="<u2").tobytes()


def length(image: NDArray[np.uint16]) -> int:
    """Return how many bytes `chunks` will give."""
    return HEADER.size + 2 * image.size


def encode_error(number: int, message: str, client_id: int, server_id: int) -> bytes:
    """Return an error as ImageBytes: the message in UTF-8 where the pixels would be."""
    header = HEADER.pack(
        *(METADATA_VERSION, number, client_id, server_id, HEADER.size), *(0, 0, 0, 0, 0, 0)
    )
    return header + message.encode()
