"""The procedural sky: stars that are the same at every visit.

The sky is cut into zones of declination and each zone into cells of equal area, as in the old zone
catalogues. A cell's stars follow from the seed and the cell's number alone, so any part of the sky
can be drawn at any time without a catalogue, and a field looks the same every night.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

ZONE_DEG = 0.5
ZONES = int(180 / ZONE_DEG)
DEEPEST_MAG = 22.0

# Stars per square degree brighter than a magnitude, averaged over the sky: rounded from Tycho-2 and
# Gaia source counts. Between the entries the logarithm is interpolated.
_COUNT_MAG = np.array([2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0, 20.0, DEEPEST_MAG])
_COUNT_LOG = np.log10([0.001, 0.012, 0.12, 1.0, 8.0, 50.0, 250.0, 1000.0, 3300.0, 9000.0, 18000.0])

_GALACTIC_POLE = (math.radians(192.85948), math.radians(27.12825))


@dataclass(frozen=True)
class Stars:
    """Stars of some part of the sky: ICRS degrees, r magnitude and g - r, each of shape (N,)."""

    ra_deg: FloatArray
    dec_deg: FloatArray
    mag: FloatArray
    colour: FloatArray

    def where(self, kept: NDArray[np.bool_]) -> Stars:
        """Return the stars for which `kept` is true."""
        return Stars(self.ra_deg[kept], self.dec_deg[kept], self.mag[kept], self.colour[kept])


def joined(parts: Sequence[Stars]) -> Stars:
    """Return the stars of all parts, in their order."""
    return Stars(
        np.concatenate([part.ra_deg for part in parts]),
        np.concatenate([part.dec_deg for part in parts]),
        np.concatenate([part.mag for part in parts]),
        np.concatenate([part.colour for part in parts]),
    )


def density_factor(ra_deg: float, dec_deg: float) -> float:
    """Return how much richer in stars than the average a direction is, from galactic latitude."""
    ra, dec = math.radians(ra_deg), math.radians(dec_deg)
    sin_b = math.sin(dec) * math.sin(_GALACTIC_POLE[1]) + math.cos(dec) * math.cos(
        _GALACTIC_POLE[1]
    ) * math.cos(ra - _GALACTIC_POLE[0])
    # A thin disc seen from inside, smoothed at the plane; its mean over the sphere is near one.
    return 0.28 + 0.30 / (abs(sin_b) + 0.08)


def cells_in_zone(zone: int) -> int:
    """Return into how many cells a zone of declination is cut."""
    middle = math.radians(-90.0 + (zone + 0.5) * ZONE_DEG)
    return max(round(360.0 * math.cos(middle) / ZONE_DEG), 1)


@lru_cache(maxsize=2048)
def cell_stars(seed: int, zone: int, cell: int) -> Stars:
    """Return the stars of one cell, down to `DEEPEST_MAG`."""
    cells = cells_in_zone(zone)
    width_deg = 360.0 / cells
    south, north = -90.0 + zone * ZONE_DEG, -90.0 + (zone + 1) * ZONE_DEG
    sin_south, sin_north = math.sin(math.radians(south)), math.sin(math.radians(north))
    area_deg2 = math.degrees(math.radians(width_deg)) * math.degrees(sin_north - sin_south)
    factor = density_factor((cell + 0.5) * width_deg, 0.5 * (south + north))
    rng = np.random.default_rng([seed, zone, cell])
    number = int(rng.poisson(10 ** _COUNT_LOG[-1] * area_deg2 * factor))
    ra_deg = (cell + rng.random(number)) * width_deg
    dec_deg = np.degrees(np.arcsin(rng.uniform(sin_south, sin_north, number)))
    # The inverse of the cumulative counts turns uniform numbers into magnitudes.
    log_rank = _COUNT_LOG[-1] + np.log10(rng.random(number) + 1e-12)
    mag = np.interp(log_rank, _COUNT_LOG, _COUNT_MAG)
    colour = np.clip(rng.normal(0.65, 0.35, number), -0.3, 1.6)
    return Stars(ra_deg, dec_deg, mag, colour)


def _cells_near(ra_deg: float, dec_deg: float, radius_deg: float) -> list[tuple[int, int]]:
    """Return the (zone, cell) pairs that a circle may touch."""
    first = max(math.floor((dec_deg - radius_deg + 90.0) / ZONE_DEG), 0)
    last = min(math.floor((dec_deg + radius_deg + 90.0) / ZONE_DEG), ZONES - 1)
    found: list[tuple[int, int]] = []
    for zone in range(first, last + 1):
        cells = cells_in_zone(zone)
        half = _half_width_deg(dec_deg, radius_deg)
        if half >= 180.0:
            found.extend((zone, cell) for cell in range(cells))
            continue
        low = math.floor((ra_deg - half) / 360.0 * cells)
        high = math.floor((ra_deg + half) / 360.0 * cells)
        wrapped = dict.fromkeys(cell % cells for cell in range(low, high + 1))
        found.extend((zone, cell) for cell in wrapped)
    return found


def _half_width_deg(dec_deg: float, radius_deg: float) -> float:
    """Return the largest difference of right ascension within a circle, 180 if it holds a pole."""
    if abs(dec_deg) + radius_deg >= 90.0:
        return 180.0
    return math.degrees(
        math.asin(math.sin(math.radians(radius_deg)) / math.cos(math.radians(dec_deg)))
    )


def stars_near(
    seed: int, ra_deg: float, dec_deg: float, radius_deg: float, faintest_mag: float
) -> Stars:
    """Return the stars of every cell that touches a circle, to a limiting r magnitude.

    Parameters
    ----------
    seed : int
        Seed of the sky.
    ra_deg, dec_deg, radius_deg : float
        The circle, ICRS degrees.
    faintest_mag : float
        Limit, at most `DEEPEST_MAG`; a fainter limit adds stars and moves none.

    Returns
    -------
    Stars
        In a fixed order, some outside the circle.
    """
    parts = [cell_stars(seed, *cell) for cell in _cells_near(ra_deg, dec_deg, radius_deg)]
    stars = joined(parts)
    return stars.where(stars.mag <= faintest_mag)
