"""A sky map: where an event can be, and how far.

Flat and multi-order maps become the same thing: HEALPix cells in order of their place along the
nested curve, each with a probability density and, in three dimensions, the parameters of its
distance distribution (Singer et al. 2016, ApJL 829, L15 and its supplement, ApJS 226, 10).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

#: The finest order of HEALPix in 64 bits; a cell of any order is a run of cells of this one.
FINEST_ORDER = 29

SQUARE_DEGREES_PER_STERADIAN = (180.0 / np.pi) ** 2

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Distances:
    """Parameters of each cell's distance distribution, p(r) = DISTNORM · r² · N(r; μ, σ).

    Parameters
    ----------
    mu_mpc, sigma_mpc : ndarray, shape (cells,), Mpc
        DISTMU and DISTSIGMA. A cell that cannot say has μ = ∞, σ = 1 and a norm of 0.
    norm : ndarray, shape (cells,), Mpc⁻²
        DISTNORM.
    """

    mu_mpc: Floats
    sigma_mpc: Floats
    norm: Floats


@dataclass(frozen=True)
class SkyMap:
    """Cells of the sky in ascending order of `first`, none over another.

    Parameters
    ----------
    first : ndarray of int64, shape (cells,)
        Nested index, at order 29, of the first pixel in each cell.
    order : ndarray of int64, shape (cells,)
        HEALPix order of each cell.
    density : ndarray, shape (cells,), sr⁻¹
        PROBDENSITY.
    distances : Distances or None
        ``None`` for a map in two dimensions.
    distance_mpc, distance_sigma_mpc : float or None
        Posterior mean and standard deviation of the distance over the whole sky, from the header.
    event : str or None
        OBJECT of the header.
    event_time : datetime or None
        DATE-OBS of the header.
    notes : tuple of str
        What was odd about the map but did not make it unusable.
    """

    first: Integers
    order: Integers
    density: Floats
    distances: Distances | None = None
    distance_mpc: float | None = None
    distance_sigma_mpc: float | None = None
    event: str | None = None
    event_time: datetime | None = None
    notes: tuple[str, ...] = ()

    @property
    def area_sr(self) -> Floats:
        """Area of each cell, in steradians."""
        return cell_area_sr(self.order)

    @property
    def probability(self) -> Floats:
        """Probability in each cell."""
        return self.density * self.area_sr

    def cells_at(self, index: Integers) -> Integers:
        """Return the cell in which each pixel of order 29 lies, -1 where the map has none."""
        cell = np.searchsorted(self.first, index, side="right") - 1
        length = np.int64(1) << (2 * (FINEST_ORDER - self.order[cell]))
        inside = (cell >= 0) & (index - self.first[cell] < length)
        return np.where(inside, cell, -1)

    def credible_area_deg2(self, level: float) -> float:
        """Return the area of the smallest region that holds `level` of the probability.

        Parameters
        ----------
        level : float
            Between 0 and 1.

        Returns
        -------
        float
            Square degrees; the last cell counts in proportion, as in `ligo.skymap`.
        """
        densest = np.argsort(-self.density, kind="stable")
        held = np.cumsum(self.probability[densest])
        area = np.cumsum(self.area_sr[densest])
        wanted = level * held[-1]
        return float(np.interp(wanted, held, area, left=0.0) * SQUARE_DEGREES_PER_STERADIAN)

    def summary(self) -> dict[str, Any]:
        """Return the figures that people ask for first, as JSON-able data."""
        return {
            "area_50_deg2": self.credible_area_deg2(0.5),
            "area_90_deg2": self.credible_area_deg2(0.9),
            "distance_mpc": self.distance_mpc,
            "distance_sigma_mpc": self.distance_sigma_mpc,
            "cells": int(self.first.size),
            "notes": list(self.notes),
        }


def cell_area_sr(order: Integers) -> Floats:
    """Return the area of HEALPix cells of the given orders, in steradians: 4π / (12 · 4^order)."""
    area: Floats = np.pi / 3.0 * np.exp2(-2.0 * order)
    return area


def pixels_of(ra_deg: Floats, dec_deg: Floats) -> Integers:
    """Return the nested HEALPix index at order 29 of positions in degrees (ICRS)."""
    from astropy import units
    from astropy.coordinates import Latitude, Longitude
    from cdshealpix import nested

    longitude = Longitude(np.asarray(ra_deg, float), units.deg)
    latitude = Latitude(np.asarray(dec_deg, float), units.deg)
    # One thread: the machine also reduces images.
    index = nested.lonlat_to_healpix(longitude, latitude, FINEST_ORDER, num_threads=1)
    return np.asarray(index, dtype=np.int64)
