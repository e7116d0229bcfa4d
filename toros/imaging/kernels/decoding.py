"""From the bytes of a FITS image to numbers, and what is under them taken away."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from toros.imaging.kernels.compiled import kernel

Pixels = NDArray[np.float32]
Raw = NDArray[Any]


@kernel
def decode_counts(raw: NDArray[np.uint16], counts: NDArray[np.uint16]) -> None:
    """Decode big-endian 16-bit integers with BZERO = 32768 into unsigned `counts`."""
    for p in range(raw.size):
        r = raw[p]
        counts[p] = ((r >> np.uint16(8)) | (r << np.uint16(8))) ^ np.uint16(0x8000)


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
def subtract_and_divide(
    pixels: Pixels,
    bias: Pixels,
    dark: Pixels,
    dark_scale: np.float32,
    level: np.float32,
    bad: NDArray[np.bool_],
    masked: np.float32,
) -> None:
    """Make ``(pixels - bias - dark_scale * dark) / level``; what is `bad` is masked.

    `bias`, `dark` and `bad` may be empty: there is none.
    """
    if bias.size:
        for p in range(pixels.size):
            pixels[p] -= bias[p]
    if dark.size:
        for p in range(pixels.size):
            pixels[p] -= dark_scale * dark[p]
    for p in range(pixels.size):
        pixels[p] /= level
    if bad.size:
        for p in range(pixels.size):
            if bad[p]:
                pixels[p] = masked
