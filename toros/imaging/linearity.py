"""Correction of a detector whose answer to light is not quite linear.

Coefficients are measured by the observatory and configured; nothing is assumed without them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]

NOT_LINEAR = "No bias level is known: the linearity is not corrected."


def linearise(counts: Pixels, coefficients: Sequence[float]) -> Pixels:
    """Return the counts that a linear detector would have given.

    Parameters
    ----------
    counts : numpy.ndarray
        Counts above the bias [ADU].
    coefficients : sequence of float
        c1, c2, … of ``true = counts · (1 + c1·counts + c2·counts² + …)`` [1/ADU, 1/ADU², …].

    Notes
    -----
    The convention is that of IRAF's ``irlincor`` without its scale of 32767 ADU. The detector
    collects photons linearly and its read-out is what bends: so photon noise is that of the
    corrected counts.
    """
    if not coefficients:
        return counts
    factor = np.zeros_like(counts)
    for coefficient in reversed(coefficients):
        factor = (factor + np.float32(coefficient)) * counts
    corrected: Pixels = counts * (np.float32(1) + factor)
    return corrected


def linearise_raw(
    pixels: Pixels, pedestal: Pixels | np.float32, coefficients: Sequence[float]
) -> Pixels:
    """Return raw pixels [ADU] with what is above `pedestal` (the bias) made linear."""
    if not coefficients:
        return pixels
    return linearise(pixels - pedestal, coefficients) + pedestal
