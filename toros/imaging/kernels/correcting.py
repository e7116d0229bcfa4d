"""The calibration of a strip of a light in one pass."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toros.imaging.kernels.compiled import inlined, kernel
from toros.imaging.kernels.words import count_of

Pixels = NDArray[np.float32]
Bits = NDArray[np.uint8]


@kernel
def decode_with_mask(
    raw: NDArray[Any],
    pixels: Pixels,
    mask: Bits,
    scale: float,
    zero: float,
    blank: int,
    saturation: float,
    no_data: np.uint8,
    saturated: np.uint8,
) -> None:
    """Decode numbers in native byte order; what is no value becomes 0 and is masked.

    A saturated pixel keeps its value.
    """
    for p in range(raw.size):
        value = zero + scale * np.float64(raw[p])
        good = abs(value) < np.inf and raw[p] != blank
        pixels[p] = np.float32(value) if good else np.float32(0)
        full = saturated if value >= saturation else np.uint8(0)
        mask[p] = full if good else no_data


@kernel
def decode_counts_with_mask(
    raw: NDArray[np.uint16], pixels: Pixels, mask: Bits, saturation: int, saturated: np.uint8
) -> None:
    """Decode big-endian 16-bit integers with BZERO = 32768."""
    for p in range(raw.size):
        count = count_of(raw[p])
        pixels[p] = np.float32(count)
        mask[p] = saturated if np.int32(count) >= saturation else np.uint8(0)


@kernel
def correct(
    pixels: Pixels,
    mask: Bits,
    uncertainty: Pixels,
    pedestal: Pixels,
    offset: Pixels,
    variance: Pixels,
    bad: Bits,
    flat: Pixels,
    flat_error: Pixels,
    bad_flat: Bits,
    gain: np.float32,
    per_photon: np.float32,
    read_variance: np.float32,
    no_data: np.uint8,
) -> None:
    """Calibrate raw `pixels` [ADU] in place, and find their uncertainty and mask.

    ``value = (raw - offset) · gain / flat``, and of its variance the parts: photons above the
    pedestal, the read-out, the errors of bias and dark, and the flat's error.

    Parameters
    ----------
    pedestal : numpy.ndarray
        What holds no photons: the bias [ADU].
    offset : numpy.ndarray
        What is subtracted: bias and scaled dark [ADU].
    variance : numpy.ndarray
        Of bias and dark [ADU²].
    flat, flat_error : numpy.ndarray
        At a level of 1; nowhere 0.
    bad, bad_flat : numpy.ndarray
        Bits for the mask.
    gain : float
        Electrons per ADU, 1 where unknown.
    per_photon : float
        Variance of one ADU of photons [ADU]: 1/gain, 0 where unknown.
    read_variance : float
        Of the read-out [ADU²].
    no_data : int
        The bit of a pixel whose value or uncertainty is not finite; both become 0.
    """
    for p in range(pixels.size):
        raw = pixels[p]
        photons = max(raw - pedestal[p], np.float32(0))
        noise = photons * per_photon + (variance[p] + read_variance)
        value = (raw - offset[p]) * gain / flat[p]
        of_flat = value * flat_error[p]
        error = math.sqrt(noise * gain * gain + of_flat * of_flat) / flat[p]
        bits = mask[p] | bad[p] | bad_flat[p]
        good = (abs(value) < np.inf) & (error < np.inf)
        pixels[p] = value if good else np.float32(0)
        uncertainty[p] = np.float32(error) if good else np.float32(0)
        mask[p] = bits if good else bits | no_data


@kernel
def count_bits(mask: Bits, counts: NDArray[np.int64]) -> None:
    """Add to `counts`, by bit (8 of them), how many pixels have it; and last, how many have any."""
    body = mask.size // 8 * 8
    # Most pixels are good: eight at a time.
    words = mask[:body].view(np.uint64)
    for k in range(words.size):
        if words[k]:
            for p in range(8 * k, 8 * k + 8):
                _count_one(mask[p], counts)
    for p in range(body, mask.size):
        _count_one(mask[p], counts)


@inlined
def _count_one(bits: np.uint8, counts: NDArray[np.int64]) -> None:
    if bits:
        counts[8] += 1
        for k in range(8):
            counts[k] += (bits >> k) & 1
