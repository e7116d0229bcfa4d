"""Which galaxies are the likeliest hosts of an event.

The score of a galaxy is the probability per volume where it stands (Singer et al. 2016, ApJL 829,
L15)::

    dP/dV = PROBDENSITY · DISTNORM · N(D; DISTMU, DISTSIGMA)

without the r² of the distance distribution p(r) = DISTNORM · r² · N(r; DISTMU, DISTSIGMA): that
factor is the volume element, and a galaxy is a point in the volume. The catalogue's distance error
σ_D widens the Gaussian, σ² = DISTSIGMA² + σ_D², which is the usual approximation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from toros.lvcgcn.catalogue import Catalogue
from toros.lvcgcn.skymap import Distances, Floats, Integers, SkyMap


@dataclass(frozen=True)
class Ranking:
    """Galaxies of a catalogue in descending order of score.

    Parameters
    ----------
    catalogue : Catalogue
        The galaxies.
    order : ndarray of intp, shape (n,)
        Rows of the catalogue, the likeliest host first; only those with a score above 0.
    score : ndarray, shape (n,)
        dP/dV in Mpc⁻³, or for a map in two dimensions dP/dΩ in sr⁻¹.
    probability : ndarray, shape (n,)
        Score over the sum of the scores: the probability that this galaxy is the host if one of
        the catalogue is.
    dimensions : int
        3 where distances were used, else 2.
    """

    catalogue: Catalogue
    order: npt.NDArray[np.intp]
    score: Floats
    probability: Floats
    dimensions: int

    def __len__(self) -> int:
        return int(self.order.size)

    def top(self, count: int) -> Ranking:
        """Return the first `count` galaxies, with the ranks and probabilities that they have."""
        return self.chosen(np.arange(min(count, len(self))))

    def chosen(self, places: npt.NDArray[np.intp]) -> Ranking:
        """Return the galaxies at `places` in this ranking."""
        return Ranking(
            self.catalogue,
            self.order[places],
            self.score[places],
            self.probability[places],
            self.dimensions,
        )

    def hosts(self, count: int) -> list[dict[str, Any]]:
        """Return the first `count` galaxies as JSON-able rows."""
        return [self._row(place) for place in range(min(count, len(self)))]

    def _row(self, place: int) -> dict[str, Any]:
        row = self.order[place]
        distance = float(self.catalogue.distance_mpc[row])
        return {
            "rank": place + 1,
            "name": str(self.catalogue.name[row]),
            "ra": float(self.catalogue.ra_deg[row]),
            "dec": float(self.catalogue.dec_deg[row]),
            "distance_mpc": distance if np.isfinite(distance) else None,
            "score": float(self.score[place]),
            "probability": float(self.probability[place]),
        }


def scores(sky_map: SkyMap, catalogue: Catalogue) -> Floats:
    """Return the score of every galaxy.

    Returns
    -------
    ndarray, shape (n,)
        dP/dV in Mpc⁻³, 0 for a galaxy of unknown distance; for a map in two dimensions dP/dΩ in
        sr⁻¹.
    """
    cell = sky_map.cells_at(catalogue.pixel)
    covered = cell >= 0
    density = np.where(covered, sky_map.density[cell], 0.0)
    if sky_map.distances is None:
        return density
    return density * _per_distance(sky_map.distances, cell, catalogue)


def _per_distance(distances: Distances, cell: Integers, catalogue: Catalogue) -> Floats:
    """Return DISTNORM · N(D; μ, √(σ² + σ_D²)) in Mpc⁻³, 0 where the distance is unknown."""
    error = np.nan_to_num(catalogue.distance_error_mpc, nan=0.0)
    sigma = np.hypot(distances.sigma_mpc[cell], error)
    off = (catalogue.distance_mpc - distances.mu_mpc[cell]) / sigma
    density = distances.norm[cell] * np.exp(-0.5 * off**2) / (np.sqrt(2.0 * np.pi) * sigma)
    result: Floats = np.where(np.isfinite(catalogue.distance_mpc), density, 0.0)
    return result


def rank(sky_map: SkyMap, catalogue: Catalogue) -> Ranking:
    """Return the galaxies in descending order of score; equal scores keep the catalogue's order."""
    score = scores(sky_map, catalogue)
    order = np.argsort(-score, kind="stable")
    order = order[: np.count_nonzero(score > 0)]
    kept = score[order]
    total = float(kept.sum())
    return Ranking(
        catalogue=catalogue,
        order=order,
        score=kept,
        probability=kept / total if total > 0 else kept,
        dimensions=2 if sky_map.distances is None else 3,
    )
