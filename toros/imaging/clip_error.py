"""How much worse a clipped mean or a median of N values is than what N values could tell.

The mean of what a clip leaves of a Gaussian sample scatters more than ``σ / √kept``: few values
tell their own deviation badly, so good ones are lost, and not alike on both sides. For 5 frames
and 3σ its error is 6 % larger, for 50 frames 2 %; left out, every uncertainty would be too small
by as much.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from toros.imaging.clip_error_table import FEWEST, KNOWN
from toros.imaging.kernels.rules import MAD_TO_SIGMA

# Raw frames are whole ADU.
STEP_ADU = 1.0
# Values so far apart, in steps, are rounded each by itself.
_FAR = 10.0

# Samples of the Gaussian, of one seed: the same factor on every machine. Over this many values
# the factor is known to 0.3 %.
_VALUES = 800_000
_FEWEST_SAMPLES = 20_000
_SEED = 20170817


@lru_cache(maxsize=256)
def error_factor(method: str, frames: int, low: float = 3.0, high: float = 3.0) -> float:
    """Return the standard error of a combination, in units of ``σ / √kept``.

    Parameters
    ----------
    method : str
        ``"sigma_clip"``: the mean of what one clip about the median leaves, deviation from the
        MAD; ``"median"``; ``"mean"``.
    frames : int
        Values combined.
    low, high : float
        Where the clip cuts, in deviations.
    """
    if method == "mean" or frames < FEWEST:
        return 1.0
    known = KNOWN[method]
    if (low, high) == (3.0, 3.0) and frames < FEWEST + len(known):
        return known[frames - FEWEST]
    return simulated(method, frames, low, high)


def rounding_of_median(values: int, spread: float = math.inf) -> float:
    """Return the variance that comes to a median because its values are whole [step²].

    The rounding of each value is in its noise; the median is rounded once more. Of an even number
    of values it is the mean of the two in the middle: where they are far apart, half the variance
    of one; where the values are many and their deviation small, both are the same number.

    Parameters
    ----------
    values : int
        How many.
    spread : float
        Their standard deviation [step].

    Notes
    -----
    The error of rounding is a sawtooth; of two that are a gap ``g`` apart the covariance is
    ``(g² - g + 1/6) / 2``, ``g`` modulo 1. The gap in the middle of a Gaussian sample is
    exponential with a mean of ``√(2π) spread / values``; over it the covariance is averaged.
    """
    if values < FEWEST:
        return 0.0
    gap = math.sqrt(2 * math.pi) * spread / values
    if values % 2 or gap == 0:
        return 1 / 12
    if gap > _FAR:
        return 1 / 24
    return 1 / 12 + gap**2 / 2 - gap / 4 / math.tanh(1 / (2 * gap))


def simulated(method: str, frames: int, low: float, high: float) -> float:
    """Return what `error_factor` does, from samples of the Gaussian: a twentieth of a second."""
    samples = max(_FEWEST_SAMPLES, _VALUES // frames)
    rng = np.random.default_rng([_SEED, frames])
    values = rng.standard_normal((samples, frames), dtype=np.float32)
    median = np.median(values, axis=1)
    if method == "median":
        squares = median**2 * frames
    else:
        off = values - median[:, np.newaxis]
        deviation = np.float32(MAD_TO_SIGMA) * np.median(np.abs(off), axis=1)[:, np.newaxis]
        kept = (off >= -low * deviation) & (off <= high * deviation)
        count = kept.sum(axis=1)
        squares = np.where(kept, values, 0).sum(axis=1) ** 2 / count
    # The plain mean of the same values must come out as 1: what it is off, the other is off too.
    plain = values.sum(axis=1) ** 2 / frames
    slope = float(np.cov(squares, plain)[0, 1] / np.var(plain))
    return float(np.sqrt(np.mean(squares) - slope * (np.mean(plain) - 1)))
