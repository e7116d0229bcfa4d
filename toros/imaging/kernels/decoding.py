"""From the bytes of a FITS image to numbers, and what is under them taken away."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from toros.imaging.kernels.compiled import kernel
from toros.imaging.kernels.words import count_of

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
        count = count_of(raw[p])
        pixels[p] = np.float32(count) if np.int32(count) < limit else masked
