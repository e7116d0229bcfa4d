"""Whether two files hold one exposure: some programs write it raw and dark-subtracted."""

from __future__ import annotations

import numpy as np

from toros.imaging.frames import Pixels
from toros.imaging.kernels.rules import MAD_TO_SIGMA

# Of √2 times the noise of one frame. Equal for two exposures; less when they are one.
_COMMON = 0.9


def same_exposure(first: Pixels, second: Pixels) -> bool:
    """Return whether two frames that began together hold the same photons.

    Parameters
    ----------
    first, second : numpy.ndarray
        Pixels of the same shape [y, x].

    Notes
    -----
    Neighbouring pixels of one frame, and the same pixel of two independent frames, both differ by
    √2 times the noise. In two versions of one exposure the noise is common and cancels, but for
    what the dark frame adds. Deviations are 1.4826 times the median absolute one, so that neither
    stars nor hot pixels count.
    """
    between = _deviation(first - second)
    within = _deviation(np.diff(first, axis=1))
    return between < _COMMON * within


def _deviation(values: Pixels) -> float:
    # The median of whole numbers is a whole number: they are spread over their steps first.
    spread = values + np.random.default_rng(0).uniform(-0.5, 0.5, values.shape)
    return float(MAD_TO_SIGMA * np.median(np.abs(spread - np.median(spread))))
