"""Stars on pixels: a Moffat profile, drawn as cut-outs."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
FloatArray = NDArray[np.float64]

# Total electrons below which a star is drawn out to so many times the FWHM. Beyond that radius what
# is left of it is under a tenth of an electron per pixel.
_TIERS = ((3e3, 3.0), (3e4, 4.5), (1e6, 8.0), (3e7, 20.0), (math.inf, 60.0))
_CHUNK_PIXELS = 1_000_000


def moffat(r2_over_alpha2: Image, beta: float) -> Image:
    """Return the unnormalised Moffat profile at (r / alpha)²."""
    profile: Image = np.exp(np.float32(-beta) * np.log1p(r2_over_alpha2))
    return profile


def moffat_alpha(fwhm_px: float, beta: float) -> float:
    """Return the core width of a Moffat profile of the given FWHM."""
    return fwhm_px / (2.0 * math.sqrt(2.0 ** (1.0 / beta) - 1.0))


def add_stars(
    image: Image, x: FloatArray, y: FloatArray, electrons: FloatArray, fwhm_px: float, beta: float
) -> None:
    """Add stars to `image` in place.

    Parameters
    ----------
    image : array, shape (height, width)
        Electrons, float32.
    x, y : array, shape (N,)
        0-based positions; they may lie outside the image.
    electrons : array, shape (N,)
        Total electrons of each star.
    fwhm_px, beta : float
        Full width at half maximum and shape of the Moffat profile.
    """
    height, width = image.shape
    lower = 0.0
    for upper, reach in _TIERS:
        half = max(math.ceil(reach * fwhm_px), 3)
        chosen = (electrons > lower) & (electrons <= upper)
        chosen &= (x > -half) & (x < width + half) & (y > -half) & (y < height + half)
        lower = upper
        per_chunk = max(_CHUNK_PIXELS // (2 * half + 1) ** 2, 1)
        index = np.flatnonzero(chosen)
        for start in range(0, index.size, per_chunk):
            part = index[start : start + per_chunk]
            _add_stamps(image, x[part], y[part], electrons[part], half, (fwhm_px, beta))


def _add_stamps(
    image: Image,
    x: FloatArray,
    y: FloatArray,
    electrons: FloatArray,
    half: int,
    shape: tuple[float, float],
) -> None:
    """Add stars whose cut-outs are squares of 2 × half + 1 pixels."""
    fwhm_px, beta = shape
    alpha = moffat_alpha(fwhm_px, beta)
    height, width = image.shape
    offsets = np.arange(-half, half + 1)
    column, row = np.rint(x).astype(np.int64), np.rint(y).astype(np.int64)
    dx = ((offsets - (x - column)[:, None]) / alpha).astype(np.float32) ** 2
    dy = ((offsets - (y - row)[:, None]) / alpha).astype(np.float32) ** 2
    stamps = moffat(dy[:, :, None] + dx[:, None, :], beta)
    stamps *= (electrons * ((beta - 1.0) / (math.pi * alpha**2))).astype(np.float32)[:, None, None]
    columns, rows = column[:, None] + offsets, row[:, None] + offsets
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[
        :, None, :
    ]
    flat = rows[:, :, None] * width + columns[:, None, :]
    if inside.all():
        np.add.at(image.reshape(-1), flat.reshape(-1), stamps.reshape(-1))
    else:
        np.add.at(image.reshape(-1), flat[inside], stamps[inside])
