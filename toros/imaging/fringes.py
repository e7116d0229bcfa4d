"""Fringes: interference of sky lines in the detector, removed with a fringe frame.

A fringe frame is the pattern alone, made once for a camera and filter from many dithered
exposures of the sky and configured; its amplitude is fitted in each light.

References
----------
Howell (2012), PASP 124, 263; IRAF's ``rmfringe`` fits the amplitude in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]

# Stars and galaxies are brighter than the sky by more than this: no fringe is.
_CLIP = 3.0
_ROUNDS = 10


@dataclass(frozen=True)
class FringeFit:
    """By how much the fringe frame is in a light, and how well that is known (one sigma)."""

    amplitude: float
    error: float


def fit_fringes(pixels: Pixels, fringe: Pixels, bad: NDArray[np.bool_]) -> FringeFit:
    """Fit ``pixels = sky + amplitude · fringe`` to the sky by least squares, objects clipped.

    Parameters
    ----------
    pixels, fringe : numpy.ndarray
        The flat-fielded light and the fringe frame [y, x].
    bad : numpy.ndarray
        Pixels of either that are not used.

    Returns
    -------
    FringeFit
        Amplitude 0 and an infinite error where the frame has no usable pixel or no pattern.
    """
    light = pixels[~bad].astype(np.float64)
    pattern = fringe[~bad].astype(np.float64)
    amplitude, error = 0.0, float("inf")
    used = np.ones(light.shape, dtype=bool)
    for _ in range(_ROUNDS):
        x, y = pattern[used], light[used]
        if x.size < 3:
            return FringeFit(0.0, float("inf"))
        centred = x - x.mean()
        power = float(centred @ centred)
        if power == 0:
            return FringeFit(0.0, float("inf"))
        amplitude = float(centred @ y) / power
        rest = light - amplitude * pattern
        sky = float(np.median(rest[used]))
        sigma = float(np.std(rest[used]))
        error = sigma / np.sqrt(power)
        keep = np.abs(rest - sky) <= _CLIP * sigma
        if np.array_equal(keep, used):
            break
        used = keep
    return FringeFit(amplitude, float(error))
