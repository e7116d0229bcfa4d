"""Rows of a master flat from rows of its stack: response, mask and uncertainty."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from toros.imaging.kernels.compiled import inlined, kernel
from toros.imaging.kernels.masters import in_quadrature

Pixels = NDArray[np.float32]
Mask = NDArray[np.uint8]

_LARGEST = np.float32(np.finfo(np.float32).max)


@kernel
def respond(
    stacked: Pixels,
    count: NDArray[np.uint16],
    floor: np.float32,
    no_data: np.uint8,
    too_low: np.uint8,
    pixels: Pixels,
    mask: Mask,
) -> None:
    """Fill `pixels` with the response, 1 where there is none, and `mask`.

    Parameters
    ----------
    stacked, count : numpy.ndarray
        The stack, and of how many frames each of its pixels comes.
    floor : float
        A response below is `too_low`.
    """
    for p in range(stacked.size):
        none = count[p] == 0
        value = np.float32(1) if none else stacked[p]
        pixels[p] = value
        mask[p] = (no_data if none else np.uint8(0)) | (too_low if value < floor else np.uint8(0))


@kernel
def photon_noise(pixels: Pixels, photons: np.float32, read_out: np.float32, noise: Pixels) -> None:
    """Fill `noise` with the root of ``photons * pixels + read_out``."""
    for p in range(pixels.size):
        light = pixels[p] if pixels[p] > 0 else np.float32(0)
        noise[p] = np.sqrt(light * photons + read_out)


@inlined
def _finite(value: np.float32) -> np.float32:
    number = np.float32(0) if np.isnan(value) else value
    return min(max(number, -_LARGEST), _LARGEST)


@kernel
def normalise(
    pixels: Pixels,
    mask: Mask,
    error: Pixels,
    bias: Pixels,
    bias_share: np.float32,
    dark: Pixels,
    dark_share: np.float32,
    mean: np.float32,
) -> None:
    """Bring a response and its error to a mean of 1, in place; what is masked becomes 1.

    Parameters
    ----------
    error : numpy.ndarray
        Of the stack; those of the pedestal are added.
    bias, dark : numpy.ndarray
        Errors of the masters; where one is not known, 0 is taken.
    bias_share, dark_share : float
        How much of them is in the stack.
    """
    for p in range(pixels.size):
        under = in_quadrature(_finite(bias[p] * bias_share), _finite(dark[p] * dark_share))
        error[p] = in_quadrature(error[p], under) / mean
        pixels[p] = np.float32(1) if mask[p] != 0 else pixels[p] / mean
