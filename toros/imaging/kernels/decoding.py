"""From the bytes of a FITS image to numbers, and what is under them taken away."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from toros.imaging.kernels.compiled import kernel

Pixels = NDArray[np.float32]
Raw = NDArray[Any]


@kernel
def decode_floats(
    raw: Raw,
    pixels: Pixels,
    scale: float,
    zero: float,
    blank: int,
    saturation: float,
    masked: np.float32,
) -> None:
    """Decode numbers in native byte order, ``zero + scale * raw``, into `pixels`.

    Parameters
    ----------
    blank : int
        The integer that stands for no value.
    saturation : float
        Values from here on are masked.
    masked : float
        What a masked value becomes: NaN, or ∞ for the kernels that sort.
    """
    for p in range(raw.size):
        value = zero + scale * np.float64(raw[p])
        # Values that are not finite fail the first comparison too.
        good = abs(value) < np.inf and value < saturation and raw[p] != blank
        pixels[p] = np.float32(value) if good else masked


@kernel
def decode_counts(
    raw: NDArray[np.uint16], pixels: Pixels, saturation: int, masked: np.float32
) -> None:
    """Decode big-endian 16-bit integers with BZERO = 32768, as they stand in the file.

    Parameters
    ----------
    saturation : int
        Counts from here on are masked; 65536 or more: none.
    """
    limit = np.int32(min(saturation, 65536))
    for p in range(raw.size):
        r = raw[p]
        count = np.uint16(((r >> np.uint16(8)) | (r << np.uint16(8))) ^ np.uint16(0x8000))
        pixels[p] = np.float32(count) if np.int32(count) < limit else masked


@kernel
def decode_reals(
    words: NDArray[np.uint32],
    flags: NDArray[np.uint8],
    pixels: NDArray[np.uint32],
    bad: NDArray[np.bool_],
) -> None:
    """Decode big-endian float32 numbers and tell which are bad.

    Parameters
    ----------
    words : numpy.ndarray
        As they stand in the file.
    flags : numpy.ndarray
        Where not 0, the pixel is bad.
    pixels : numpy.ndarray
        The bits of the numbers; of what is not finite, 0.
    bad : numpy.ndarray
        Not finite, or flagged.
    """
    exponent = np.uint32(0x7F800000)
    for p in range(words.size):
        w = words[p]
        bits = np.uint32(
            (w << np.uint32(24))
            | ((w & np.uint32(0xFF00)) << np.uint32(8))
            | ((w >> np.uint32(8)) & np.uint32(0xFF00))
            | (w >> np.uint32(24))
        )
        finite = (bits & exponent) != exponent
        pixels[p] = bits if finite else np.uint32(0)
        bad[p] = (flags[p] != 0) | (not finite)
