"""The ranking of hosts against a plain reference, and against an event whose host is known."""

import math
from pathlib import Path

import numpy as np
import pytest

from toros.lvcgcn import openngc
from toros.lvcgcn.catalogue import Catalogue, CatalogueInfo, by_place
from toros.lvcgcn.ranking import rank, scores
from toros.lvcgcn.skymap import FINEST_ORDER, Distances, SkyMap
from toros.lvcgcn.skymap_fits import read_sky_map

MAPS = Path(__file__).parents[2].parent / "shared" / "data" / "alerts" / "skymaps"
needs_maps = pytest.mark.skipif(not MAPS.is_dir(), reason=f"the sky maps of {MAPS} are absent")

ABOUT = CatalogueInfo(
    name="made", title="Made for a test", version="1", licence="none", cosmology="none"
)
ORDER = 4
NPIX = 12 * 4**ORDER


def galaxies(ra: np.ndarray, dec: np.ndarray, distance: np.ndarray, error: float) -> Catalogue:
    return by_place(
        info=ABOUT,
        name=np.array([f"g{number}" for number in range(ra.size)]),
        ra_deg=ra,
        dec_deg=dec,
        distance_mpc=distance,
        distance_error_mpc=np.full(ra.size, error),
    )


def norm_of(mu: float, sigma: float) -> float:
    """DISTNORM by summing p(r) = r² N(r; μ, σ) over a fine grid."""
    r = np.linspace(0, mu + 12 * sigma, 20001)
    gauss = np.exp(-0.5 * ((r - mu) / sigma) ** 2) / (math.sqrt(2 * math.pi) * sigma)
    return float(1 / np.sum(r**2 * gauss * (r[1] - r[0])))


def made_map(mu: float = 100.0, sigma: float = 30.0) -> SkyMap:
    density = np.random.default_rng(3).gamma(0.2, size=NPIX)
    order = np.full(NPIX, ORDER, dtype=np.int64)
    return SkyMap(
        first=np.arange(NPIX, dtype=np.int64) << (2 * (FINEST_ORDER - ORDER)),
        order=order,
        density=density / (density.sum() * 4 * math.pi / NPIX),
        distances=Distances(
            mu_mpc=np.full(NPIX, mu),
            sigma_mpc=np.full(NPIX, sigma),
            norm=np.full(NPIX, norm_of(mu, sigma)),
        ),
    )


def plain_score(sky_map: SkyMap, catalogue: Catalogue, row: int) -> float:
    """The formula for one galaxy, cell by cell, in plain Python."""
    pixel = int(catalogue.pixel[row])
    for cell, (first, order) in enumerate(zip(sky_map.first, sky_map.order, strict=True)):
        length = 4 ** (FINEST_ORDER - int(order))
        if not int(first) <= pixel < int(first) + length:
            continue
        distances, distance = sky_map.distances, float(catalogue.distance_mpc[row])
        if distances is None:
            return float(sky_map.density[cell])
        if math.isnan(distance):
            return 0.0
        variance = float(distances.sigma_mpc[cell]) ** 2
        variance += float(catalogue.distance_error_mpc[row]) ** 2
        off = distance - float(distances.mu_mpc[cell])
        gauss = math.exp(-(off**2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)
        return float(sky_map.density[cell] * distances.norm[cell]) * gauss
    return 0.0


def random_places(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return rng.uniform(0, 360, count), np.degrees(np.arcsin(rng.uniform(-1, 1, count)))


@pytest.mark.parametrize("dimensions", [2, 3])
def test_scores_equal_the_plain_reference(dimensions: int) -> None:
    rng = np.random.default_rng(11)
    distance = rng.uniform(1, 300, 60)
    distance[::7] = np.nan
    catalogue = galaxies(*random_places(60, rng), distance, 5.0)
    sky_map = made_map()
    if dimensions == 2:
        sky_map = SkyMap(sky_map.first, sky_map.order, sky_map.density)
    plain = [plain_score(sky_map, catalogue, row) for row in range(60)]
    np.testing.assert_allclose(scores(sky_map, catalogue), plain, rtol=1e-12)
    ranking = rank(sky_map, catalogue)
    assert ranking.dimensions == dimensions
    assert list(ranking.order) == sorted(
        (row for row in range(60) if plain[row] > 0), key=lambda row: -plain[row]
    )
    assert ranking.probability.sum() == pytest.approx(1)


def test_the_score_is_a_probability_per_volume() -> None:
    """Summed over galaxies spread evenly in space it is the whole probability."""
    rng = np.random.default_rng(5)
    count, farthest = 400_000, 260.0
    distance = farthest * rng.uniform(0, 1, count) ** (1 / 3)
    catalogue = galaxies(*random_places(count, rng), distance, 0.0)
    volume_each = 4 / 3 * math.pi * farthest**3 / count
    total = scores(made_map(), catalogue).sum() * volume_each
    assert total == pytest.approx(1, abs=0.02)


def test_injected_hosts_rank_better_than_with_the_squared_distance() -> None:
    """Hosts drawn from the map itself; the factor D² of older programs ranks them worse."""
    rng = np.random.default_rng(17)
    sky_map = made_map(mu=60.0, sigma=35.0)
    farthest, count = 250.0, 30_000
    distance = farthest * rng.uniform(0, 1, count) ** (1 / 3)
    catalogue = galaxies(*random_places(count, rng), distance, 0.0)
    score = scores(sky_map, catalogue)
    hosts = rng.choice(count, size=300, p=score / score.sum())
    squared = score * catalogue.distance_mpc**2

    def median_rank(values: np.ndarray) -> float:
        ranks = np.empty(count)
        ranks[np.argsort(-values)] = np.arange(1, count + 1)
        return float(np.median(ranks[hosts]))

    assert median_rank(score) < 0.9 * median_rank(squared)


def test_cells_that_cannot_say_a_distance_give_no_hosts() -> None:
    sky_map = made_map()
    assert sky_map.distances is not None
    nowhere = Distances(np.full(NPIX, np.inf), np.ones(NPIX), np.zeros(NPIX))
    empty = SkyMap(sky_map.first, sky_map.order, sky_map.density, nowhere)
    catalogue = galaxies(np.array([1.0]), np.array([2.0]), np.array([30.0]), 4.0)
    ranking = rank(empty, catalogue)
    assert len(ranking) == 0
    assert ranking.hosts(10) == []


def test_a_catalogue_off_the_map_has_no_score() -> None:
    sky_map = made_map()
    part = SkyMap(sky_map.first[:1], sky_map.order[:1], sky_map.density[:1])
    catalogue = galaxies(np.array([200.0]), np.array([-80.0]), np.array([30.0]), 4.0)
    assert scores(part, catalogue) == [0.0]


@needs_maps
@pytest.mark.parametrize("name", ["bayestar.multiorder.fits", "combined-ext.multiorder.fits"])
def test_ngc_4993_ranks_first_on_the_maps_of_gw170817(name: str) -> None:
    ranking = rank(read_sky_map((MAPS / name).read_bytes()), openngc.build())
    hosts = ranking.hosts(5)
    assert [host["rank"] for host in hosts] == [1, 2, 3, 4, 5]
    assert hosts[0]["name"] == "NGC 4993"
    assert hosts[0]["probability"] > 0.15
    assert ranking.probability.sum() == pytest.approx(1)


@needs_maps
def test_the_flat_map_ranks_by_the_plain_reference_too() -> None:
    sky_map = read_sky_map((MAPS / "M323277_flat.fits.gz").read_bytes())
    ranking = rank(sky_map, openngc.build())
    assert sky_map.distances is not None
    for host, row in zip(ranking.hosts(20), ranking.order, strict=False):
        (cell,) = sky_map.cells_at(ranking.catalogue.pixel[row : row + 1])
        sigma = math.hypot(
            sky_map.distances.sigma_mpc[cell], ranking.catalogue.distance_error_mpc[row]
        )
        off = (host["distance_mpc"] - sky_map.distances.mu_mpc[cell]) / sigma
        plain = sky_map.density[cell] * sky_map.distances.norm[cell]
        plain *= math.exp(-0.5 * off**2) / (math.sqrt(2 * math.pi) * sigma)
        assert host["score"] == pytest.approx(plain, rel=1e-12)
