"""The best hosts of a map, exactly, without looking at every galaxy.

No galaxy of a map cell can score more than the cell's bound,

    PROBDENSITY · DISTNORM / (√2π · DISTSIGMA) · (the greatest weight there),

because N(D; μ, σ) ≤ 1/(√2π σ) and a catalogue's distance error only widens σ. The cells are looked
at in descending order of their bounds. When the next bound is below the worst of the best N so
far, no galaxy that is left can be among them: the result is that of scoring every galaxy, for a
credible region is not used anywhere (at 99 % it would keep about half of the best 100).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from toros.lvcgcn.catalogue import PEAK_ORDER, Catalogue, Weight
from toros.lvcgcn.skymap import FINEST_ORDER, Distances, Floats, Integers, SkyMap

Rows = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]

#: Bounds are computed in another order than scores: this much more than rounding can do.
_ROOM = 1.0 + 1e-9
#: Galaxies that are scored at a time.
_BLOCK = 2**16
#: Of a flat map with millions of cells only so many are sorted at first.
_FIRST_CELLS = 2**17
#: The sum of all scores is known to this fraction.
TOTAL_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Best:
    """Rows of the catalogue in descending order of score; equal ones in the catalogue's order."""

    rows: Rows
    scores: Floats


@dataclass(frozen=True)
class _Cells:
    """Cells in descending order of their bounds, and the rows of the catalogue in each."""

    cell: Rows
    bound: Floats
    begin: Rows
    end: Rows


class HostSearch:
    """One map over one catalogue.

    Parameters
    ----------
    sky_map : SkyMap
        The map.
    catalogue : Catalogue
        The galaxies.
    weight : Weight
        What else they are weighted with.
    within : ndarray of bool, shape (12 · 4^PEAK_ORDER,), optional
        Pixels of order `PEAK_ORDER` to which the search is confined (cells that touch them).
    """

    def __init__(
        self,
        sky_map: SkyMap,
        catalogue: Catalogue,
        weight: Weight = Weight.NONE,
        within: Bools | None = None,
    ) -> None:
        self._map = sky_map
        self._catalogue = catalogue
        self._weight = weight
        bound = sky_map.density.copy()
        if sky_map.distances is not None:
            distances = sky_map.distances
            bound *= distances.norm / (np.sqrt(2.0 * np.pi) * distances.sigma_mpc)
        if weight is not Weight.NONE:
            bound *= catalogue.peak_in(weight, sky_map.first, sky_map.order)
        if within is not None:
            bound *= touching(sky_map, within)
        self._bound: Floats = bound * _ROOM

    def best(self, count: int, least: float = 0.0) -> Best:
        """Return the `count` best hosts with a score above 0, fewer if there are no more.

        Parameters
        ----------
        count : int
            How many.
        least : float
            A score that they must have.
        """
        found = _Best(count, least)
        for bound, rows, scores in self._sweep():
            if bound < found.threshold:
                break
            found.add(rows, scores)
        self._catalogue.release()
        return found.sorted()

    def at_least(self, score: float) -> Best:
        """Return every host with that score or a better one."""
        rows, scores = [np.empty(0, np.intp)], [np.empty(0)]
        for bound, some, theirs in self._sweep():
            if bound < score:
                break
            good = (theirs >= score) & (theirs > 0)
            rows.append(some[good])
            scores.append(theirs[good])
        return _sorted(np.concatenate(rows), np.concatenate(scores))

    def total(self, tolerance: float = TOTAL_TOLERANCE) -> float:
        """Return the sum of the scores of all galaxies.

        Parameters
        ----------
        tolerance : float
            It ends when what is left cannot be more than this fraction of the sum.
        """
        total = 0.0
        for left, scores in self._sweep_with_rest():
            total += float(scores.sum())
            if left <= tolerance * total:
                break
        self._catalogue.release()
        return total

    def _sweep(self) -> Iterator[tuple[float, Rows, Floats]]:
        """Yield the bound of a block of cells, the galaxies in them, and their scores."""
        for cells in self._cells():
            for part in _parts(cells):
                rows, cell = _rows_of(cells, part)
                yield float(cells.bound[part.start]), rows, self._scores(rows, cell)

    def _sweep_with_rest(self) -> Iterator[tuple[float, Floats]]:
        """Yield the most that the galaxies after each block can have, and the block's scores."""
        for cells, beyond in zip(self._cells(), self._beyond(), strict=True):
            each = cells.bound * (cells.end - cells.begin)
            after = np.concatenate([np.cumsum(each[::-1])[::-1], [0.0]])
            for part in _parts(cells):
                rows, cell = _rows_of(cells, part)
                yield float(after[part.stop] + beyond), self._scores(rows, cell)

    def _scores(self, rows: Rows, cell: Rows) -> Floats:
        return score_of(self._map, self._catalogue, rows, cell, self._weight)

    @cached_property
    def _groups(self) -> list[Rows]:
        """The cells with a bound above 0: the best ones first, in groups of growing size."""
        left = np.flatnonzero(self._bound > 0)
        groups, size = [], _FIRST_CELLS
        while left.size > size:
            split = np.argpartition(-self._bound[left], size)
            groups.append(left[split[:size]])
            left, size = left[split[size:]], 4 * size
        return [*groups, left]

    def _beyond(self) -> list[float]:
        """Return, for each group, the most that the galaxies in all later ones can have."""
        highest = [float(self._bound[cells].max(initial=0.0)) for cells in self._groups[1:]]
        return [bound * len(self._catalogue) for bound in [*highest, 0.0]]

    def _cells(self) -> Iterator[_Cells]:
        for chosen in self._groups:
            yield self._with_rows(chosen)

    def _with_rows(self, chosen: Rows) -> _Cells:
        first, order = self._map.first[chosen], self._map.order[chosen]
        pixel = self._catalogue.pixel
        begin = np.searchsorted(pixel, first)
        end = np.searchsorted(pixel, first + (np.int64(1) << (2 * (FINEST_ORDER - order))))
        self._catalogue.release()
        peopled = np.flatnonzero(end > begin)
        ordered = peopled[np.argsort(-self._bound[chosen[peopled]], kind="stable")]
        return _Cells(chosen[ordered], self._bound[chosen[ordered]], begin[ordered], end[ordered])


def _parts(cells: _Cells) -> Iterator[slice]:
    """Yield runs of cells with about `_BLOCK` galaxies each, the first with fewer."""
    held = np.cumsum(cells.end - cells.begin)
    start, aim = 0, _BLOCK // 8
    while start < held.size:
        before = held[start - 1] if start else 0
        stop = max(int(np.searchsorted(held, before + aim)), start + 1)
        stop = min(stop, held.size)
        yield slice(start, stop)
        start, aim = stop, _BLOCK


def _rows_of(cells: _Cells, part: slice) -> tuple[Rows, Rows]:
    """Return the rows in some cells, in the catalogue's order, and the cell of each."""
    along = np.argsort(cells.begin[part], kind="stable")
    begin, end = cells.begin[part][along], cells.end[part][along]
    lengths = end - begin
    shift = np.repeat(begin - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
    return np.arange(shift.size) + shift, np.repeat(cells.cell[part][along], lengths)


def touching(sky_map: SkyMap, within: Bools) -> Bools:
    """Return which cells of a map have part of their area in the marked pixels."""
    shift = np.int64(2 * (FINEST_ORDER - PEAK_ORDER))
    begin = sky_map.first >> shift
    marked = np.concatenate([[0], np.cumsum(within)])
    wide = np.int64(1) << (2 * np.maximum(PEAK_ORDER - sky_map.order, 0))
    result: Bools = marked[begin + wide] > marked[begin]
    return result


def score_of(
    sky_map: SkyMap,
    catalogue: Catalogue,
    rows: Rows | slice,
    cell: Integers | Rows,
    weight: Weight = Weight.NONE,
) -> Floats:
    """Return the scores of some galaxies, each of which lies in a given cell of the map.

    Returns
    -------
    ndarray, shape (n,)
        dP/dV in Mpc⁻³ times the weight, 0 for a galaxy of unknown distance; for a map in two
        dimensions dP/dΩ in sr⁻¹ times the weight.
    """
    score: Floats = sky_map.density[cell]
    if sky_map.distances is not None:
        score = score * _per_distance(sky_map.distances, cell, catalogue, rows)
    weights = catalogue.weight_of(weight, rows)
    return score if weights is None else score * weights


def _per_distance(
    distances: Distances, cell: Integers | Rows, catalogue: Catalogue, rows: Rows | slice
) -> Floats:
    """Return DISTNORM · N(D; μ, √(σ² + σ_D²)) in Mpc⁻³, 0 where the distance is unknown."""
    distance = catalogue.distance_mpc[rows].astype(np.float64)
    variance = np.nan_to_num(catalogue.distance_error_mpc[rows].astype(np.float64), nan=0.0) ** 2
    variance += distances.sigma_mpc[cell] ** 2
    off = distance - distances.mu_mpc[cell]
    density: Floats = distances.norm[cell] * np.exp(-0.5 * off * off / variance)
    density /= np.sqrt(2.0 * np.pi * variance)
    return np.where(np.isfinite(distance), density, 0.0)


class _Best:
    """The best so far."""

    def __init__(self, count: int, least: float) -> None:
        self._count = count
        self._rows, self._scores = np.empty(0, np.intp), np.empty(0)
        #: What a score must reach to be among them.
        self.threshold = max(least, float(np.nextafter(0.0, 1.0)))

    def add(self, rows: Rows, scores: Floats) -> None:
        good = scores >= self.threshold
        self._rows = np.concatenate([self._rows, rows[good]])
        self._scores = np.concatenate([self._scores, scores[good]])
        if self._scores.size > self._count:
            worst = self._scores.size - self._count
            self.threshold = float(np.partition(self._scores, worst)[worst])
            # Those equal to the worst stay: which of them it is, their order decides at the end.
            kept = self._scores >= self.threshold
            self._rows, self._scores = self._rows[kept], self._scores[kept]

    def sorted(self) -> Best:
        found = _sorted(self._rows, self._scores)
        return Best(found.rows[: self._count], found.scores[: self._count])


def _sorted(rows: Rows, scores: Floats) -> Best:
    order = np.lexsort((rows, -scores))
    return Best(rows[order], scores[order])
