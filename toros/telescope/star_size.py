"""How large the stars of a frame are: half-flux diameters, good far from focus. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from toros.telescope.scheduler import Floats

SIGMA_PER_MAD = 1.4826
THRESHOLD_SIGMA = 6.0
SMOOTHING_PX = 2.0
STAMP_PX = 12  # half the side of the square in which a star's light is added up
MAX_STARS = 60


@dataclass(frozen=True)
class StarSize:
    """The median half-flux diameter of a frame's stars, pixels, and how many there were."""

    diameter_px: float
    stars: int


def star_size(pixels: NDArray[np.uint16], max_adu: float) -> StarSize:
    """Return the size of the brightest unsaturated stars that stand alone.

    The half-flux diameter is the diameter of the circle that holds half of a star's light. It is
    defined for a ring out of focus as for a point in focus (Weber & Brady 2001).

    Parameters
    ----------
    pixels : ndarray, shape (y, x)
    max_adu : float
        Stars that come near it are left out.
    """
    image = pixels.astype(np.float64)
    image -= np.median(image)
    smooth = ndimage.gaussian_filter(image, SMOOTHING_PX)
    sigma = SIGMA_PER_MAD * float(np.median(np.abs(smooth - np.median(smooth)))) or 1.0
    peaks = (smooth == ndimage.maximum_filter(smooth, size=2 * STAMP_PX + 1)) & (
        smooth > THRESHOLD_SIGMA * sigma
    )
    peaks[:STAMP_PX] = peaks[-STAMP_PX:] = peaks[:, :STAMP_PX] = peaks[:, -STAMP_PX:] = False
    rows, columns = np.nonzero(peaks)
    brightest = np.argsort(smooth[rows, columns])[::-1][:MAX_STARS]
    sizes = []
    for row, column in zip(rows[brightest], columns[brightest], strict=True):
        square = (
            slice(row - STAMP_PX, row + STAMP_PX + 1),
            slice(column - STAMP_PX, column + STAMP_PX + 1),
        )
        if pixels[square].max() < 0.8 * max_adu:
            sizes.append(_half_flux_diameter(image[square]))
    found = np.array([size for size in sizes if np.isfinite(size)])
    return StarSize(float(np.median(found)) if found.size else float("nan"), int(found.size))


def _half_flux_diameter(stamp: Floats) -> float:
    """Return the diameter that holds half of the light of a background-subtracted stamp."""
    edge = np.concatenate([stamp[0], stamp[-1], stamp[:, 0], stamp[:, -1]])
    light = stamp - np.median(edge)
    y, x = np.indices(light.shape, dtype=np.float64)
    bright = np.clip(light, 0.0, None)
    total = bright.sum()
    if total <= 0:
        return float("nan")
    radius = np.hypot(y - (bright * y).sum() / total, x - (bright * x).sum() / total)
    order = np.argsort(radius, axis=None)
    inside = np.cumsum(light.ravel()[order])
    inside = inside[radius.ravel()[order] <= STAMP_PX]
    if inside[-1] <= 0:
        return float("nan")
    half = int(np.argmax(inside >= inside[-1] / 2))
    return 2.0 * float(radius.ravel()[order][half])


@dataclass(frozen=True)
class BestFocus:
    """Where the stars are smallest, and how small; why not, if that cannot be said."""

    position: int | None
    diameter_px: float
    why_not: str = ""


def best_focus(positions: NDArray[np.int64], diameters_px: Floats) -> BestFocus:
    """Return the vertex of the parabola through the squares of the diameters.

    Seeing and defocus add in quadrature: ``d² = d0² + b² (p - p0)²``.

    Parameters
    ----------
    positions, diameters_px : ndarray, shape (P,)
        NaN where a frame showed too few stars.
    """
    good = np.isfinite(diameters_px)
    if good.sum() < 4:
        return BestFocus(None, float("nan"), f"only {int(good.sum())} frames showed enough stars")
    middle = float(positions[good].mean())
    scale = max(float(np.ptp(positions[good])) / 2.0, 1.0)
    p = (positions[good] - middle) / scale
    curve, slope, floor = np.polyfit(p, diameters_px[good] ** 2, 2)
    if curve <= 0:
        return BestFocus(None, float("nan"), "the stars grow towards the middle")
    vertex = -slope / (2 * curve)
    if abs(vertex) > 1.0:
        return BestFocus(None, float("nan"), "the best focus is outside the positions tried")
    least = floor - slope**2 / (4 * curve)
    return BestFocus(round(middle + vertex * scale), float(np.sqrt(max(least, 0.0))))
