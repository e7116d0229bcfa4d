"""Read noise and gain, measured from pairs of frames (the photon-transfer method)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from toros.imaging.sampling import clipped_median, thinned

Array = NDArray[np.floating]

# Wide enough to keep a Gaussian whole (4 in 10 000 000 are lost), tight enough for cosmic rays.
_SIGMA = 5.0


def scatter(values: Array) -> float:
    """Return the standard deviation of `values` without their outliers.

    Not from the MAD: that of whole numbers is a whole number. Of very many, every some is taken.
    """
    finite = thinned(values)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return float("nan")
    return clipped_median(finite, sigma=_SIGMA, iterations=5)[1]


def middle_of_told(noises: Iterable[float]) -> float | None:
    """Return the median of several measurements, of those that tell something; else None."""
    told = [noise for noise in noises if np.isfinite(noise)]
    return float(np.median(told)) if told else None


def read_noise_of_pair(first: Array, second: Array) -> float:
    """Return the read noise, in the unit of the pixels, from two bias frames [y, x].

    The difference of two frames holds no pattern and √2 times the noise of one.
    """
    return scatter(first - second) / float(np.sqrt(2))


def read_noise_of_one(frame: Array) -> float:
    """Return an upper bound of the read noise from one bias frame [y, x].

    The difference of neighbouring pixels still holds the pattern between columns.
    """
    return scatter(np.diff(frame, axis=1)) / float(np.sqrt(2))


def gain_of_pairs(flats: tuple[Array, Array], biases: tuple[Array, Array]) -> float:
    """Return the gain in e-/ADU from two flats of equal level and two biases [y, x].

    Notes
    -----
    Janesick (2001), Scientific Charge-Coupled Devices, chapter 2:
    ``gain = (sum of flat levels - sum of bias levels) / (var(flat difference) - var(bias
    difference))``; levels are medians here. Where the flats differ in level, the second is scaled
    to the first before they are subtracted, or its pattern would count as noise.
    """
    levels = [float(np.median(frame)) for frame in (*flats, *biases)]
    bias_level = (levels[2] + levels[3]) / 2
    signal = (levels[0] - bias_level, levels[1] - bias_level)
    ratio = signal[0] / signal[1]
    difference = (flats[0] - bias_level) - ratio * (flats[1] - bias_level)
    read_variance = scatter(biases[0] - biases[1]) ** 2 / 2
    # var(f1 - r·f2) = s1/g + r²·s2/g + (1 + r²)·read variance, with s1 = r·s2
    shot = scatter(difference) ** 2 - (1 + ratio**2) * read_variance
    return signal[0] * (1 + ratio) / shot
