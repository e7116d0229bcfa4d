"""Levels and scatters of whole images from a sample of their rows: as good, and much sooner."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from toros.imaging.kernels.masters import running_sums

_T = TypeVar("_T", bound=np.generic)

# The error of a median of so many pixels is 0.0025 of their scatter.
_SAMPLE_PIXELS = 250_000
_TOGETHER = 8
_THINNED = 1_000_000
_STEPS = (1, 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 37, 47, 59, 73, 101, 211, 499, 997)


def sample_rows(shape: tuple[int, int], pixels: int = _SAMPLE_PIXELS) -> list[slice]:
    """Return rows, spread evenly over an image, that hold about so many pixels, or all.

    Whole rows, for they lie together in the file, and hold every column of the detector.
    """
    height, width = shape
    wanted = max(1, -(-pixels // max(width, 1)))
    if wanted >= height:
        return [slice(0, height)]
    # A few rows at a time: many short reads cost more than the pixels.
    together = min(_TOGETHER, wanted)
    starts = np.linspace(0, height - together, -(-wanted // together)).astype(int)
    return [slice(int(at), int(at) + together) for at in starts]


def only_value(parts: Iterable[NDArray[np.floating]]) -> float | None:
    """Return the value that all have which are no NaN, None where they differ or there is none.

    No more of the `parts` is asked for than tells it: of an image that is one, the first.
    """
    first: float | None = None
    for part in parts:
        good = part[~np.isnan(part)]
        if first is None and good.size:
            first = float(good[0])
        if (good != first).any():
            return None
    return first


def thinning(size: int) -> int:
    """Return every how many-th of `size` values to take for about a million of them.

    Every 101st for instance: a step that divides no usual width, or it would see some columns
    of the detector only.
    """
    return next((step for step in _STEPS if size <= step * _THINNED), _STEPS[-1])


def thinned(values: NDArray[_T]) -> NDArray[_T]:
    """Return at most about a million of `values`, evenly spread, flat."""
    return values.reshape(-1)[:: thinning(values.size)]


def clipped_median(
    values: NDArray[np.floating], *, sigma: float, iterations: int
) -> tuple[float, float]:
    """Return the median and the standard deviation of `values` with outliers clipped.

    As `astropy.stats.sigma_clipped_stats` with its defaults: the centre is the median. Sorted
    once, a clip keeps a run of the values, whose moments are differences of running sums.

    Parameters
    ----------
    values : numpy.ndarray
        Finite, at least one.
    sigma : float
        Clip so many deviations on both sides.
    iterations : int
        At most so many times.
    """
    ordered = np.sort(values, axis=None).astype(np.float64)
    middle = ordered[ordered.size // 2]
    # Counted from the median: the squares of large levels would drown their scatter.
    sums, squares = np.empty(ordered.size + 1), np.empty(ordered.size + 1)
    running_sums(ordered, float(middle), sums, squares)
    start, stop = 0, ordered.size
    for done in range(iterations + 1):
        count = stop - start
        mean = (sums[stop] - sums[start]) / count
        variance = max((squares[stop] - squares[start]) / count - mean**2, 0.0)
        median = (ordered[(start + stop - 1) // 2] + ordered[(start + stop) // 2]) / 2
        deviation = float(np.sqrt(variance))
        low = int(np.searchsorted(ordered, median - sigma * deviation, "left"))
        high = int(np.searchsorted(ordered, median + sigma * deviation, "right"))
        low, high = max(low, start), min(high, stop)
        if done == iterations or (low, high) == (start, stop) or high <= low:
            break
        start, stop = low, high
    return float(median), deviation
