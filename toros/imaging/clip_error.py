"""How much worse a clipped mean or a median of N values is than what N values could tell.

The mean of what a clip leaves of a Gaussian sample scatters more than ``σ / √kept``: few values
tell their own deviation badly, so good ones are lost, and not alike on both sides. For 5 frames
and 3σ its error is 6 % larger, for 50 frames 2 %; left out, every uncertainty would be too small
by as much.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from toros.imaging.clip_error_table import FEWEST, KNOWN
from toros.imaging.kernels.rules import MAD_TO_SIGMA

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
