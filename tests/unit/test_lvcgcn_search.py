"""The pruned search equals the plain one, whatever the map, the catalogue and the weights."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toros.common.errors import UnusableCatalogue
from toros.lvcgcn import openngc
from toros.lvcgcn.catalogue import PEAK_ORDER, Catalogue, CatalogueInfo, Weight, by_place
from toros.lvcgcn.completeness import B_LIGHT_DENSITY, by_distance, completeness_of
from toros.lvcgcn.ranking import rank, scores
from toros.lvcgcn.search import HostSearch
from toros.lvcgcn.skymap import FINEST_ORDER, Distances, SkyMap, cell_area_sr
from toros.lvcgcn.skymap_fits import read_sky_map
from toros.simulator.replay import distance_norm, make_gw170817

ABOUT = CatalogueInfo(name="made", title="", version="1", licence="", cosmology="")


def made_catalogue(rng: np.random.Generator, count: int, *, spread: float = 1.0) -> Catalogue:
    """Galaxies, a third of them in clumps; some without distance, luminosity or mass."""
    ra, dec = rng.uniform(0, 360, count), np.degrees(np.arcsin(rng.uniform(-1, 1, count)))
    clumped = count // 3
    ra[:clumped], dec[:clumped] = rng.normal(120, 2, clumped), rng.normal(-30, 2, clumped)
    distance = 300 * rng.uniform(0, 1, count) ** (1 / 3)
    distance[rng.uniform(size=count) < 0.05] = np.nan
    error = np.where(rng.uniform(size=count) < 0.2, np.nan, 4.0)
    light = 10 ** rng.normal(0, spread, count)
    light[rng.uniform(size=count) < 0.3] = np.nan
    # Equal scores: galaxies at the same place and distance.
    for column in (ra, dec, distance, error, light):
        column[-count // 10 :] = column[0]
    return by_place(
        info=ABOUT,
        name=np.array([f"g{number}" for number in range(count)]),
        ra_deg=ra % 360,
        dec_deg=dec,
        distance_mpc=distance,
        distance_error_mpc=error,
        luminosity=light,
        stellar_mass=light**2,
    )


def made_map(rng: np.random.Generator, dimensions: int) -> SkyMap:
    """A mesh of orders 0 to 8 with holes; some cells have no distance."""
    order = np.zeros(12, dtype=np.int64)
    index = np.arange(12, dtype=np.int64)
    for _ in range(8):
        cut = rng.uniform(size=index.size) < 0.4
        children = (index[cut, None] * 4 + np.arange(4)).ravel()
        index = np.concatenate([index[~cut], children])
        order = np.concatenate([order[~cut], np.repeat(order[cut] + 1, 4)])
    kept = rng.uniform(size=index.size) < 0.9
    index, order = index[kept], order[kept]
    first = index << (2 * (FINEST_ORDER - order))
    rows = np.argsort(first)
    first, order = first[rows], order[rows]
    density = rng.gamma(0.1, size=first.size)
    density /= np.sum(density * cell_area_sr(order))
    if dimensions == 2:
        return SkyMap(first, order, density)
    mu, sigma = rng.uniform(20, 250, first.size), rng.uniform(5, 60, first.size)
    norm = distance_norm(mu, sigma)
    lost = rng.uniform(size=first.size) < 0.1
    mu[lost], sigma[lost], norm[lost] = np.inf, 1.0, 0.0
    return SkyMap(first, order, density, Distances(mu, sigma, norm))


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    dimensions=st.sampled_from([2, 3]),
    weight=st.sampled_from(list(Weight)),
    count=st.sampled_from([1, 7, 100, 5000]),
)
def test_the_best_are_those_of_scoring_every_galaxy(
    seed: int, dimensions: int, weight: Weight, count: int
) -> None:
    rng = np.random.default_rng(seed)
    catalogue = made_catalogue(rng, 3000)
    sky_map = made_map(rng, dimensions)
    plain = scores(sky_map, catalogue, weight)
    order = np.lexsort((np.arange(plain.size), -plain))
    order = order[: min(count, np.count_nonzero(plain > 0))]
    search = HostSearch(sky_map, catalogue, weight)
    best = search.best(count)
    np.testing.assert_array_equal(best.rows, order)
    np.testing.assert_array_equal(best.scores, plain[order])
    assert search.total() == pytest.approx(plain.sum(), rel=2e-3)
    if order.size:
        least = float(plain[order[-1]])
        every = search.at_least(least)
        assert every.rows.size == np.count_nonzero(plain >= least)


@pytest.mark.parametrize("weight", [Weight.NONE, Weight.LUMINOSITY])
def test_few_galaxies_are_looked_at(weight: Weight) -> None:
    """The pruning prunes: of a well-placed event it scores a small part of the catalogue."""
    catalogue = made_catalogue(np.random.default_rng(1), 400_000, spread=0.3)
    search = HostSearch(read_sky_map(make_gw170817().sky_map), catalogue, weight)
    looked_at = 0
    threshold = search.best(10).scores[-1]
    for bound, rows, _ in search._sweep():
        if bound < threshold:
            break
        looked_at += rows.size
    assert looked_at < len(catalogue) // 20


def test_a_search_within_pixels_finds_what_is_in_them() -> None:
    rng = np.random.default_rng(8)
    catalogue, sky_map = made_catalogue(rng, 3000), made_map(rng, 3)
    within = rng.uniform(size=12 * 4**PEAK_ORDER) < 0.2
    found = set(HostSearch(sky_map, catalogue, within=within).best(3000).rows)
    plain = scores(sky_map, catalogue)
    coarse = catalogue.pixel >> (2 * (FINEST_ORDER - PEAK_ORDER))
    wanted = set(np.flatnonzero((plain > 0) & within[coarse]))
    assert wanted
    assert wanted <= found


def test_a_galaxy_of_unknown_light_counts_as_a_typical_one() -> None:
    catalogue = made_catalogue(np.random.default_rng(2), 500)
    weights = catalogue.weight_of(Weight.LUMINOSITY, slice(None))
    assert weights is not None
    assert catalogue.luminosity is not None
    unknown = np.isnan(catalogue.luminosity)
    assert unknown.any()
    assert set(weights[unknown]) == {float(np.nanmedian(catalogue.luminosity))}


def test_a_weight_that_the_catalogue_does_not_know_is_refused() -> None:
    sky_map = read_sky_map(make_gw170817().sky_map)
    with pytest.raises(
        UnusableCatalogue, match="knows no stellar_mass; it knows: none, luminosity"
    ):
        rank(sky_map, openngc.build(), 10, Weight.STELLAR_MASS)


def test_light_of_the_universe_is_complete() -> None:
    """Galaxies of the universe's own light density, out to 150 Mpc and none beyond."""
    rng = np.random.default_rng(4)
    count, farthest = 200_000, 150.0
    distance = farthest * rng.uniform(0, 1, count) ** (1 / 3)
    each = B_LIGHT_DENSITY * 4 / 3 * math.pi * farthest**3 / count
    shells = dict(by_distance(distance, np.full(count, each)))
    assert shells[60.0] == pytest.approx(1, abs=0.03)
    assert shells[130.0] == pytest.approx(1, abs=0.03)
    assert shells[250.0] == 0.0


def test_completeness_of_a_map_is_a_mean_over_its_distances() -> None:
    order = np.full(192, 2, dtype=np.int64)
    mu, sigma = np.full(192, 100.0), np.full(192, 20.0)
    sky_map = SkyMap(
        np.arange(192, dtype=np.int64) << 54,
        order,
        np.full(192, 1 / (4 * math.pi)),
        Distances(mu, sigma, distance_norm(mu, sigma)),
    )
    r = np.linspace(0, 300, 300_001)
    pdf = r**2 * np.exp(-0.5 * ((r - 100) / 20) ** 2)
    pdf /= pdf.sum()
    shells = ((80.0, 1.0), (120.0, 0.5), (200.0, 0.1))
    expected = sum(
        part * pdf[(r >= low) & (r < high)].sum()
        for low, (high, part) in zip((0.0, 80.0, 120.0), shells, strict=True)
    )
    assert completeness_of(sky_map, shells) == pytest.approx(expected, abs=1e-4)
    assert completeness_of(sky_map, ()) is None


def test_the_corrected_probability_leaves_room_for_what_is_not_in_the_catalogue() -> None:
    ranking = rank(read_sky_map(make_gw170817().sky_map), openngc.build(), 50)
    first = ranking.hosts(1)[0]
    assert ranking.completeness is not None
    assert 0.05 < ranking.completeness < 0.9
    assert first["probability_corrected"] == pytest.approx(
        first["probability"] * ranking.completeness
    )
