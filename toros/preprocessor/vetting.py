"""Whether two files hold one exposure: some programs write it raw and dark-subtracted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def same_exposure(first: NDArray[Any], second: NDArray[Any]) -> bool:
    """Return whether two frames that began together hold the same photons.

    Parameters
    ----------
    first, second : numpy.ndarray
        Pixels of the same shape [y, x].

    Notes
    -----
    Neighbouring pixels of one frame and the same pixel of two independent frames both differ by
    √2 times the noise. In two versions of one exposure the noise is common and cancels, but for
    what the dark frame adds. Deviations are 1.4826 times the median absolute one, so that stars
    and hot pixels do not count.
    """
    one, other = first.astype(np.float64), second.astype(np.float64)
    between = _deviation(one - other)
    within = _deviation(np.diff(one, axis=1))
    return between < 0.9 * within


def _deviation(values: NDArray[np.float64]) -> float:
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def read_pixels(path: Path) -> NDArray[Any]:
    """Return the pixels of the first image of a FITS file."""
    from astropy.io import fits

    with fits.open(path, memmap=False) as hdus:
        for hdu in hdus:
            if hdu.is_image and hdu.data is not None:
                return np.asarray(hdu.data)
    raise OSError(f"{path} holds no image")
