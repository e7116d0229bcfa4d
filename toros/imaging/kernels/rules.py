"""How frames are combined, as a person says it and as the kernels take it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

# The standard error of the median of a Gaussian sample, in units of that of its mean: √(π/2).
MEDIAN_ERROR = float(np.sqrt(np.pi / 2))
# From the median absolute deviation to σ, the digits that astropy takes.
MAD_TO_SIGMA = 1.482602218505602

NO_CLIP, SIGMA_CLIP, EXTREMA_CLIP, PERCENTILE_CLIP, RANGE_CLIP = range(5)
_CLIPS = {
    "none": NO_CLIP,
    "sigma": SIGMA_CLIP,
    "extrema": EXTREMA_CLIP,
    "percentile": PERCENTILE_CLIP,
    "range": RANGE_CLIP,
}


class RuleCode(NamedTuple):
    """A `Rule` in numbers, for the kernels."""

    clip: int
    median_centre: bool
    mad: bool
    low: float
    high: float
    iterations: int
    median: bool
    error_factor: float


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How the values of one pixel are combined.

    Parameters
    ----------
    average : str
        ``"mean"`` or ``"median"`` of the values that are kept.
    clip : str
        Which values are left out: ``"none"``; ``"sigma"``: those further than `low` deviations
        below or `high` above the centre, as `astropy.stats.sigma_clip`; ``"extrema"``: the `low`
        lowest and the `high` highest (as `Combiner.clip_extrema`, but never the last one);
        ``"percentile"``: those below the percentile `low` or above the percentile `high`, as
        `numpy.percentile` interpolates it; ``"range"``: those below `low` or above `high` (as
        `Combiner.minmax_clipping`).
    low, high : float
        See `clip`.
    centre, deviation : str
        Of the sigma clip: ``"median"`` or ``"mean"``; ``"mad"`` (of the median, times 1.4826) or
        ``"std"`` (of the population).
    iterations : int
        Of the sigma clip: at most so many; 0: until nothing more is clipped.
    weights : tuple of float
        One for each frame, for a weighted mean.
    """

    average: Literal["mean", "median"] = "mean"
    clip: Literal["none", "sigma", "extrema", "percentile", "range"] = "none"
    low: float = 3.0
    high: float = 3.0
    centre: Literal["median", "mean"] = "median"
    deviation: Literal["mad", "std"] = "mad"
    iterations: int = 1
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.weights and (self.average == "median" or self.clip == "extrema"):
            raise ValueError("Only a mean can be weighted, and not with the extrema left out.")
        if any(not weight > 0 for weight in self.weights):
            raise ValueError("Weights are above 0.")
        if self.iterations < 0 or (
            self.clip in ("sigma", "extrema") and min(self.low, self.high) < 0
        ):
            raise ValueError("Limits and iterations are not below 0.")

    def code(self, *, standard_error: bool = True) -> RuleCode:
        """Return the rule as the kernels take it.

        Parameters
        ----------
        standard_error : bool
            Whether the standard error of the average is wanted, or the standard deviation of
            the values that are kept.
        """
        factor = MEDIAN_ERROR if self.average == "median" else 1.0
        return RuleCode(
            _CLIPS[self.clip],
            self.centre == "median",
            self.deviation == "mad",
            float(self.low),
            float(self.high),
            self.iterations,
            self.average == "median",
            factor if standard_error else 0.0,
        )
