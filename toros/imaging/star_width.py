"""How wide the stars of a light are (FWHM), from stars in some of its rows.

To each star a Gaussian is fitted as a parabola to the logarithm of its light (Caruana, Searle,
Heller & Shupack 1986, Anal. Chem. 58, 1162; weighted by the square of the light as in Guo 2011,
IEEE Signal Process. Mag. 28, 134), which takes no iterations. Only the core is fitted: the full
width at half maximum of Moffat profiles with β from 2.5 on is found to 3 % between 3 and 10 pixels.
Narrower ones with such wings come out too wide, by 6 % at 2.2 pixels and 15 % at 1.5.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toros.imaging.products import Strip

Pixels = NDArray[np.float32]
Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

# Half the side of the square that is cut out around a star.
_HALF = 12
# Rows that are looked at together: stars along their edges are lost.
_ROWS = 72
# Of so many parts those that hold so many pixels are looked at, and more where there are stars, but
# few.
_PARTS = 12
_PIXELS = 500_000
# A frame of no more pixels is looked at as a whole: cut up it would lose many stars.
_SMALL = 2_000_000
# A median of so many is as good as is wanted; of fewer than the least, nothing is said.
_ENOUGH, _MOST, _LEAST = 20, 60, 5
# A star stands out of the sky by so many times its scatter.
_BRIGHT = 20.0
# What its four neighbours have of its peak, at least: cosmic rays are sharper. A star of 1.7 pixels
# has as much, wherever in its pixel it is.
_NEIGHBOUR = 0.12
# And how many times as long as wide it may be: badly guided stars are three times.
_LONGEST = 4.0
# The fit takes pixels so far from the peak, in FWHM, but always the nearest eight.
_FIT_RADIUS = 0.6
_FIT_HALF = 7
_NEAREST = 1.5
_NEAR = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]


@dataclass(frozen=True)
class StarWidth:
    """The median width of the stars.

    Parameters
    ----------
    fwhm : float
        Full width at half maximum [pixel]: that of a circle of the same area.
    stars : int
        Of how many.
    """

    fwhm: float
    stars: int


def star_width(strip: Callable[[slice], Strip], shape: tuple[int, int]) -> StarWidth | None:
    """Return how wide the stars of a light are; None where it has fewer than five to tell from.

    Parameters
    ----------
    strip : callable
        Returns some rows.
    shape : tuple of int
        (height, width).
    """
    widths, looked_at = np.empty(0), 0
    for rows in _parts(*shape):
        if looked_at >= _PIXELS and not 0 < widths.size < _ENOUGH:
            break
        part = strip(rows)
        widths = np.concatenate([widths, widths_of(part.pixels, part.mask != 0)])
        looked_at += part.pixels.size
    return StarWidth(float(np.median(widths)), widths.size) if widths.size >= _LEAST else None


def _parts(height: int, width: int) -> list[slice]:
    """Return rows from all over, at a quarter and three quarters of the height first."""
    if height * width <= _SMALL:
        return [slice(0, height)]
    count = min(_PARTS, max(1, height // _ROWS))
    tops = [max(0, int((index + 0.5) * height / count - _ROWS / 2)) for index in range(count)]
    half = max(1, count // 2)
    order = sorted(range(count), key=lambda index: ((index - count // 4) % half, index))
    return [slice(tops[index], min(tops[index] + _ROWS, height)) for index in order]


def widths_of(pixels: Pixels, bad: NDArray[np.bool_]) -> Floats:
    """Return the FWHM [pixel] of the stars in an image that stand alone, the brightest of them.

    Parameters
    ----------
    pixels : numpy.ndarray
        [y, x], calibrated.
    bad : numpy.ndarray
        Pixels that are not used; nor is a star that has one.
    """
    if min(pixels.shape) <= 2 * _HALF:
        return np.empty(0)
    y, x = _peaks(pixels, bad)
    offsets = np.arange(-_HALF, _HALF + 1)
    rows, columns = (y[:, None, None] + offsets[:, None], x[:, None, None] + offsets)
    stamps = pixels[rows, columns].astype(np.float64)
    edge = np.concatenate(
        [stamps[:, 0], stamps[:, -1], stamps[:, 1:-1, 0], stamps[:, 1:-1, -1]], axis=1
    )
    stamps -= np.median(edge, axis=1)[:, None, None]
    peak = stamps[:, _HALF, _HALF]
    distance = np.hypot(*np.meshgrid(offsets, offsets))
    # Of a star with a neighbour, or one that is wider than its square, this is too large.
    above = stamps > peak[:, None, None] / 2
    guess = 2 * np.sqrt(above.sum(axis=(1, 2)) / math.pi)
    alone = ~(above & (distance > guess[:, None, None] + 1)).any(axis=(1, 2))
    alone &= (_FIT_RADIUS * guess < _FIT_HALF) & ~(
        bad[rows, columns] & (distance <= guess[:, None, None])
    ).any(axis=(1, 2))
    # With the nine pixels in the middle the six terms are told from each other.
    middle = slice(_HALF - 1, _HALF + 2)
    alone &= (stamps[:, middle, middle] > 0).all(axis=(1, 2))
    used = distance <= np.maximum(_FIT_RADIUS * guess, _NEAREST)[:, None, None]
    light = np.where(used, np.maximum(stamps, 0), 0)
    cut = slice(_HALF - _FIT_HALF, _HALF + _FIT_HALF + 1)
    return _fitted(light[alone, cut, cut])


def _peaks(pixels: Pixels, bad: NDArray[np.bool_]) -> tuple[Indices, Indices]:
    """Return where pixels stand out of the sky and of those around them, the brightest first."""
    height, width = pixels.shape
    sample = pixels[::7, ::5][~bad[::7, ::5]]
    if sample.size < 2:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    low, sky = np.quantile(sample, [0.158655, 0.5])
    limit = sky + _BRIGHT * max(float(sky - low), float(np.spacing(abs(sky))))
    inner = pixels[_HALF : height - _HALF, _HALF : width - _HALF]
    y, x = np.divmod(np.flatnonzero(inner > limit), inner.shape[1])
    y, x = y + _HALF, x + _HALF
    value = pixels[y, x]
    around = np.stack([pixels[y + j, x + i] for j, i in _NEAR])
    # Of two that are equal the first is the peak.
    top = (value > around[:4]).all(axis=0) & (value >= around[4:]).all(axis=0)
    beside = np.min(around[[1, 3, 4, 6]], axis=0) - sky
    top &= (beside >= _NEIGHBOUR * (value - sky)) & ~bad[y, x]
    brightest = np.argsort(-value[top], kind="stable")[:_MOST]
    return y[top][brightest], x[top][brightest]


def _fitted(light: Floats) -> Floats:
    """Return the FWHM of each star [star, y, x] by ``ln light = a + bx + cy + dx² + exy + fy²``.

    What is 0 is left out.
    """
    half = light.shape[1] // 2
    offsets = np.arange(-half, half + 1.0)
    y, x = (axis.ravel() for axis in np.meshgrid(offsets, offsets, indexing="ij"))
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y])
    light = light.reshape(len(light), x.size)
    logarithm = np.log(light, out=np.zeros_like(light), where=light > 0)
    # The variance of the logarithm is that of the light, divided by its square.
    weights = light**2 / light.max(axis=1, keepdims=True, initial=0) ** 2
    # No BLAS: its threads would wait for the cores that other strips are worked on with.
    products = (terms[:, None] * terms[None, :]).reshape(36, -1)
    normal = np.einsum("sp,kp->sk", weights, products).reshape(-1, 6, 6)
    right = np.einsum("sp,kp->sk", weights * logarithm, terms)
    d, e, f = np.linalg.solve(normal, right[:, :, None])[:, 3:, 0].T
    # The area of the half maximum is π ln 2 / √(df - e²/4).
    squared = d * f - e * e / 4
    # The line of a lamp's spectrum is a ridge. With r, the ratio of the axes,
    # (d + f)² / (df - e²/4) is (r + 1/r)².
    star = (d < 0) & (f < 0) & ((d + f) ** 2 < (_LONGEST + 1 / _LONGEST) ** 2 * squared)
    found: Floats = 2 * np.sqrt(math.log(2) / np.sqrt(squared[star]))
    return found
