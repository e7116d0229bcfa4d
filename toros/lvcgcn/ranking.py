"""Which galaxies are the likeliest hosts of an event.

The score of a galaxy is the probability per volume where it stands (Singer et al. 2016, ApJL 829,
L15), times its weight (its B luminosity or stellar mass, or 1)::

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

from toros.common.errors import UnusableCatalogue
from toros.lvcgcn.catalogue import Catalogue, Weight
from toros.lvcgcn.completeness import completeness_of
from toros.lvcgcn.search import HostSearch, score_of
from toros.lvcgcn.skymap import Floats, SkyMap


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
        dP/dV in Mpc⁻³, or for a map in two dimensions dP/dΩ in sr⁻¹, times the weight.
    total : float
        The sum of the scores of all galaxies, ranked here or not.
    dimensions : int
        3 where distances were used, else 2.
    weight : Weight
        What the scores are weighted with.
    completeness : float or None
        The probability that the host is in the catalogue; None where nobody can say.
    """

    catalogue: Catalogue
    order: npt.NDArray[np.intp]
    score: Floats
    total: float
    dimensions: int
    weight: Weight = Weight.NONE
    completeness: float | None = None

    def __len__(self) -> int:
        return int(self.order.size)

    @property
    def probability(self) -> Floats:
        """That each is the host if one of the catalogue is: its score over the sum of all."""
        return self.score / self.total if self.total > 0 else self.score

    def hosts(self, count: int) -> list[dict[str, Any]]:
        """Return the first `count` galaxies as JSON-able rows."""
        return [
            host_row(self, int(row), float(score), rank)
            for rank, (row, score) in enumerate(
                zip(self.order[:count], self.score[:count], strict=True), 1
            )
        ]


def host_row(ranking: Ranking, row: int, score: float, rank: int) -> dict[str, Any]:
    """Return one galaxy as JSON-able data."""
    catalogue = ranking.catalogue
    distance = float(catalogue.distance_mpc[row])
    probability = score / ranking.total if ranking.total > 0 else 0.0
    whole = ranking.completeness
    return {
        "rank": rank,
        "name": catalogue.name_of(row),
        "ra": float(catalogue.ra_deg[row]),
        "dec": float(catalogue.dec_deg[row]),
        "distance_mpc": distance if np.isfinite(distance) else None,
        "score": score,
        "probability": probability,
        "probability_corrected": None if whole is None else probability * whole,
    }


def scores(sky_map: SkyMap, catalogue: Catalogue, weight: Weight = Weight.NONE) -> Floats:
    """Return the score of every galaxy: the plain way, which `rank` must equal.

    Returns
    -------
    ndarray, shape (n,)
        As `Ranking.score`; 0 for a galaxy off the map, or of unknown distance where the map has
        distances.
    """
    cell = sky_map.cells_at(catalogue.pixel)
    found = score_of(sky_map, catalogue, slice(None), cell, weight)
    return np.where(cell >= 0, found, 0.0)


def rank(
    sky_map: SkyMap,
    catalogue: Catalogue,
    count: int | None = None,
    weight: Weight = Weight.NONE,
) -> Ranking:
    """Return the `count` likeliest hosts, by default all, in descending order of score.

    Equal scores keep the catalogue's order.

    Raises
    ------
    UnusableCatalogue
        If the catalogue does not know the weight.
    """
    require_weight(catalogue, weight)
    search = HostSearch(sky_map, catalogue, weight)
    best = search.best(len(catalogue) if count is None else count)
    # All that have a score were found: their sum is exact.
    whole = count is None or best.rows.size < count
    return Ranking(
        catalogue=catalogue,
        order=best.rows,
        score=best.scores,
        total=float(best.scores.sum()) if whole else search.total(),
        dimensions=2 if sky_map.distances is None else 3,
        weight=weight,
        completeness=completeness_of(sky_map, catalogue.info.completeness),
    )


def require_weight(catalogue: Catalogue, weight: Weight) -> None:
    """Refuse a weight that the catalogue does not know.

    Raises
    ------
    UnusableCatalogue
        Naming those that it knows.
    """
    if weight not in catalogue.weights():
        known = ", ".join(found.value for found in catalogue.weights())
        raise UnusableCatalogue(
            f"The catalogue {catalogue.info.name} knows no {weight.value}; it knows: {known}."
        )
