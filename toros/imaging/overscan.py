"""The overscan: the level of an amplifier while it read no light, by row, fitted along the rows.

References
----------
Howell (2006), Handbook of CCD Astronomy, 2nd ed., section 4.3; `ccdproc.subtract_overscan` with
``median=True`` and a Legendre model does the same, without leaving out outliers.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

from toros.imaging.clip_error import STEP_ADU, error_factor, rounding_of_median
from toros.imaging.headers.layout import Amplifier
from toros.imaging.kernels.rules import MAD_TO_SIGMA

OverscanMethod = Literal["fit", "row", "median"]

# A row whose overscan a bright star bled into is this far off; a Gaussian row is hardly ever.
_REJECT = 5.0
_ROUNDS = 3
# The part of the rows that must have an overscan of their own.
_LEAST = 0.8


def along_rows(amplifier: Amplifier) -> bool | None:
    """Return whether each row has its overscan (True), each column (False), or neither (None).

    Many headers leave some rows out at both ends: those between tell the level of all.
    """
    bias, data = amplifier.bias, amplifier.data
    if bias is None:
        return None
    height = min(bias.y_stop, data.y_stop) - max(bias.y_start, data.y_start)
    width = min(bias.x_stop, data.x_stop) - max(bias.x_start, data.x_start)
    if height >= _LEAST * data.shape[0] and (width <= 0 or height == data.shape[0]):
        return True
    if width >= _LEAST * data.shape[1] and (height <= 0 or width == data.shape[1]):
        return False
    return None


def overscan_level(
    region: NDArray[np.floating],
    method: OverscanMethod = "fit",
    degree: int = 3,
    reject: float = _REJECT,
) -> NDArray[np.float32]:
    """Return the overscan level of each row of `region` [y, x].

    Parameters
    ----------
    region : numpy.ndarray
        The overscan, raw [ADU]; for an overscan above or below the data, its transpose. Values
        that are not finite do not count; a row that has no other is NaN, unless it is fitted.
    method : str
        ``"row"``: the median of each row. ``"fit"``: a Legendre polynomial along the rows through
        these medians. ``"median"``: one level for all rows.
    degree : int
        Of the polynomial; less where there are too few rows for it.
    reject : float
        Rows that are so many deviations (from the MAD) off the polynomial are left out of it.
    """
    if method == "median":
        # Of the pixels, not of the rows: a mean of medians would be the same but for outliers.
        return np.full(region.shape[0], median_level(region), dtype=np.float32)
    medians = _medians_of_rows(region)
    there = np.isfinite(medians)
    if method == "row" or there.sum() < 2:
        return np.asarray(medians, dtype=np.float32)
    x = np.linspace(-1, 1, medians.size)
    degree = min(degree, int(there.sum()) - 1)
    used = there
    fitted: NDArray[np.floating] = medians
    for _ in range(_ROUNDS):
        fitted = legendre.legval(x, legendre.legfit(x[used], medians[used], degree))
        off = np.abs(medians - fitted)
        # Not less than the step of the median of whole numbers.
        sigma = max(MAD_TO_SIGMA * float(np.median(off[used])), 0.5)
        # The comparison fails where there is no value.
        keep = off <= reject * sigma
        if np.array_equal(keep, used) or keep.sum() <= degree:
            break
        used = keep
    return np.asarray(fitted, dtype=np.float32)


def median_level(region: NDArray[np.floating]) -> np.float32:
    """Return the median of the finite values of an overscan, NaN where there are none."""
    finite = region[np.isfinite(region)]
    return np.float32(np.median(finite)) if finite.size else np.float32(np.nan)


def level_variance(values: int, noise_adu: float) -> float:
    """Return the variance of a level that is the median of so many pixels [ADU²].

    Parameters
    ----------
    noise_adu : float
        Of one of them.
    """
    of_median = (error_factor("median", values) * noise_adu) ** 2 / values
    return of_median + rounding_of_median(values, noise_adu / STEP_ADU) * STEP_ADU**2


def _medians_of_rows(region: NDArray[np.floating]) -> NDArray[np.float64]:
    medians = np.asarray(np.median(region, axis=1), dtype=np.float64)
    for row in np.flatnonzero(~np.isfinite(region).all(axis=1)):
        medians[row] = median_level(region[row])
    return medians
