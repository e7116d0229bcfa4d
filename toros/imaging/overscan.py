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

from toros.imaging.headers.layout import Amplifier
from toros.imaging.kernels.rules import MAD_TO_SIGMA

OverscanMethod = Literal["fit", "row", "median"]

# A row whose overscan a bright star bled into is this far off; a Gaussian row is hardly ever.
_REJECT = 5.0
_ROUNDS = 3


def along_rows(amplifier: Amplifier) -> bool | None:
    """Return whether each row has its overscan (True), each column (False), or neither (None)."""
    bias, data = amplifier.bias, amplifier.data
    if bias is None:
        return None
    if bias.y_start <= data.y_start and bias.y_stop >= data.y_stop:
        return True
    if bias.x_start <= data.x_start and bias.x_stop >= data.x_stop:
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
        The overscan, raw [ADU]; for an overscan above or below the data, its transpose.
    method : str
        ``"row"``: the median of each row. ``"fit"``: a Legendre polynomial along the rows through
        these medians. ``"median"``: one level for all rows.
    degree : int
        Of the polynomial; less where there are too few rows for it.
    reject : float
        Rows that are so many deviations (from the MAD) off the polynomial are left out of it.
    """
    medians = np.median(region, axis=1).astype(np.float64)
    if method == "median":
        # Of the pixels, not of the rows: a mean of medians would be the same but for outliers.
        return np.full(medians.shape, np.median(region), dtype=np.float32)
    if method == "row" or medians.size < 2:
        return np.asarray(medians, dtype=np.float32)
    x = np.linspace(-1, 1, medians.size)
    degree = min(degree, medians.size - 1)
    used = np.ones(medians.size, dtype=bool)
    fitted = medians
    for _ in range(_ROUNDS):
        fitted = legendre.legval(x, legendre.legfit(x[used], medians[used], degree))
        off = np.abs(medians - fitted)
        # Not less than the step of the median of whole numbers.
        sigma = max(MAD_TO_SIGMA * float(np.median(off[used])), 0.5)
        keep = off <= reject * sigma
        if np.array_equal(keep, used) or keep.sum() <= degree:
            break
        used = keep
    return np.asarray(fitted, dtype=np.float32)
