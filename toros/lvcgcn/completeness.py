"""How complete a catalogue is, and what that means for an event.

The measure is the light: the B luminosity per volume of a shell, over that of the universe
(Kopparapu et al. 2008, ApJ 675, 1459: (1.98 ± 0.16) · 10⁻² · 10¹⁰ L_B,⊙ Mpc⁻³), as for GLADE
(Dálya et al. 2018, MNRAS 479, 2374). A shell with more than that is complete.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from toros.lvcgcn.catalogue import Reals
from toros.lvcgcn.skymap import Floats, SkyMap

#: 10¹⁰ L_B,⊙ Mpc⁻³ (Kopparapu et al. 2008).
B_LIGHT_DENSITY = 1.98e-2
#: Absolute magnitude of the Sun in B (Kopparapu et al. 2008).
SUN_B_MAG = 5.48
#: Edges of the shells. The nearest is wide: few galaxies are there, and a redshift says little.
EDGES_MPC = np.array([0, 20, 40, 60, 80, 100, 130, 160, 200, 250, 300, 400, 500, 700, 1000.0])
#: So many of the most probable cells say how far an event is.
_CELLS = 50_000


def luminosity_of(absolute_b_mag: Reals) -> Reals:
    """Return B luminosities in 10¹⁰ L_B,⊙ of absolute magnitudes."""
    light: Reals = 10.0 ** (-0.4 * (absolute_b_mag - SUN_B_MAG)) / 1e10
    return light


def by_distance(distance_mpc: Reals, luminosity: Reals | None) -> tuple[tuple[float, float], ...]:
    """Return the shells' outer edges in Mpc, and the fraction of their light that is there.

    Parameters
    ----------
    distance_mpc, luminosity : ndarray, shape (n,)
        Of the galaxies; NaN where nobody knows. Without luminosities nothing can be said.
    """
    if luminosity is None:
        return ()
    known = np.isfinite(distance_mpc) & np.isfinite(luminosity)
    light, _ = np.histogram(distance_mpc[known], EDGES_MPC, weights=luminosity[known])
    volume = 4.0 / 3.0 * np.pi * np.diff(EDGES_MPC**3)
    held = np.clip(light / volume / B_LIGHT_DENSITY, 0.0, 1.0)
    return tuple((float(to), float(part)) for to, part in zip(EDGES_MPC[1:], held, strict=True))


def completeness_of(sky_map: SkyMap, completeness: tuple[tuple[float, float], ...]) -> float | None:
    """Return the probability that a map's host is in a catalogue, as far as light tells.

    Parameters
    ----------
    sky_map : SkyMap
        The event.
    completeness : tuple of (float, float)
        The catalogue's, by distance; beyond its last shell there is nothing.

    Returns
    -------
    float or None
        ∫ p(r) c(r) dr over the most probable cells; None without distances.
    """
    if sky_map.distances is None or not completeness:
        return None
    edges = np.array([0.0, *(to for to, _ in completeness)])
    held = np.array([part for _, part in completeness])
    return float(np.sum(_probability_by_distance(sky_map, edges) * held))


def _probability_by_distance(sky_map: SkyMap, edges: Floats) -> Floats:
    """Return the probability between each two edges, summed over the most probable cells."""
    distances = sky_map.distances
    if distances is None:
        raise ValueError("the map has no distances")
    probability = sky_map.probability * (distances.norm > 0)
    cells = np.flatnonzero(probability)
    if cells.size > _CELLS:
        cells = cells[np.argpartition(probability[cells], -_CELLS)[-_CELLS:]]
    if not cells.size:
        return np.zeros(edges.size - 1)
    weight = probability[cells] / probability[cells].sum()
    moments = np.stack([_second_moment(sky_map, cells, edge) for edge in edges])
    # Each cell's own norm is a rounded figure: the integral to infinity is what comes to one.
    whole = _second_moment(sky_map, cells, np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = np.nan_to_num(np.diff(moments, axis=0) / (whole - moments[0]))
    result: Floats = parts @ weight
    return result


def _second_moment(sky_map: SkyMap, cells: npt.NDArray[np.intp], to: float) -> Floats:
    """Return ∫₋∞^to r² N(r; μ, σ) dr of each cell, in closed form."""
    from scipy.special import ndtr

    if sky_map.distances is None:
        raise ValueError("the map has no distances")
    mu, sigma = sky_map.distances.mu_mpc[cells], sky_map.distances.sigma_mpc[cells]
    if np.isinf(to):
        return np.asarray(mu**2 + sigma**2)
    z = (to - mu) / sigma
    gauss = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return np.asarray((mu**2 + sigma**2) * ndtr(z) - sigma * (mu + to) * gauss)
