"""Sky maps of every kind, and what is no sky map."""

import gzip
import io
import math
from collections.abc import Mapping
from pathlib import Path

import cdshealpix
import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from toros.common.errors import UnusableSkyMap
from toros.lvcgcn.notice import Position
from toros.lvcgcn.panic import panics_are_errors
from toros.lvcgcn.skymap import FINEST_ORDER, pixels_of
from toros.lvcgcn.skymap_disc import around
from toros.lvcgcn.skymap_fits import read_sky_map

MAPS = Path(__file__).parents[2].parent / "shared" / "data" / "alerts" / "skymaps"
needs_maps = pytest.mark.skipif(not MAPS.is_dir(), reason=f"the sky maps of {MAPS} are absent")

ORDER = 3
NPIX = 12 * 4**ORDER


def fits_bytes(columns: Mapping[str, object], **cards: object) -> bytes:
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column(name=name, array=np.asarray(values), format=_form(np.asarray(values)))
            for name, values in columns.items()
        ]
    )
    for key, value in cards.items():
        table.header[key.replace("_", "-")] = value
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(out)
    return out.getvalue()


def _form(values: np.ndarray) -> str:
    letter = {"f": "D", "i": "K", "U": "5A", "S": "5A"}[values.dtype.kind]
    return f"{values.shape[1]}{letter}" if values.ndim > 1 else letter


def nested_probability() -> np.ndarray:
    values = np.random.default_rng(7).gamma(0.3, size=NPIX)
    return values / values.sum()


def distance_columns(size: int) -> dict[str, np.ndarray]:
    return {
        "DISTMU": np.full(size, 40.0),
        "DISTSIGMA": np.full(size, 8.0),
        "DISTNORM": np.full(size, 6e-4),
    }


def flat(ordering: str = "NESTED", **columns: np.ndarray) -> bytes:
    given_columns = {"PROB": nested_probability(), **columns}
    return fits_bytes(given_columns, ORDERING=ordering, NSIDE=2**ORDER, COORDSYS="C")


def multi_order(density: np.ndarray | None = None, **columns: np.ndarray) -> bytes:
    uniq = 4 * 4**ORDER + np.arange(NPIX)
    values = nested_probability() * NPIX / (4 * math.pi) if density is None else density
    return fits_bytes({"UNIQ": uniq, "PROBDENSITY": values, **columns}, ORDERING="NUNIQ")


def test_flat_nested_ring_packed_and_multi_order_are_the_same_map() -> None:
    probability = nested_probability()
    ring = np.empty(NPIX)
    ring[cdshealpix.to_ring(np.arange(NPIX, dtype=np.uint64), ORDER)] = probability
    rows = np.argsort(nested_probability())  # any order of the rows will do
    shuffled = {
        "UNIQ": (4 * 4**ORDER + np.arange(NPIX))[rows],
        "PROBDENSITY": (probability * NPIX / (4 * math.pi))[rows],
    }
    partial = {"PIXEL": np.arange(NPIX)[rows], "PROB": probability[rows]}
    spellings = [
        flat(),
        gzip.compress(flat()),
        fits_bytes({"PROB": ring}, ORDERING="RING", NSIDE=2**ORDER),
        fits_bytes({"PROB": ring.reshape(-1, 64)}, ORDERING="RING", NSIDE=2**ORDER),
        fits_bytes({"prob": probability}, ORDERING="NEST"),
        fits_bytes(partial, ORDERING="NESTED", NSIDE=2**ORDER, INDXSCHM="EXPLICIT"),
        multi_order(),
        fits_bytes(shuffled, ORDERING="NUNIQ"),
    ]
    for content in spellings:
        found = read_sky_map(content)
        np.testing.assert_allclose(found.probability, probability, rtol=1e-12)
        assert np.array_equal(found.order, np.full(NPIX, ORDER))
        assert found.distances is None


def test_cells_of_several_orders_are_found_where_they_lie() -> None:
    # The first cell of order 0 in four, one of them in four again; the others whole.
    cells = [(2, 0), (2, 1), (2, 2), (2, 3), (1, 1), (1, 2), (1, 3)]
    cells += [(0, index) for index in range(1, 12)]
    uniq = np.array([4 * 4**order + index for order, index in cells])
    density = np.arange(1.0, len(cells) + 1)
    found = read_sky_map(fits_bytes({"UNIQ": uniq, "PROBDENSITY": density}, ORDERING="NUNIQ"))
    rng = np.random.default_rng(1)
    ra = rng.uniform(0, 360, 500)
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, 500)))
    place = found.cells_at(pixels_of(ra, dec))
    for pixel, cell in zip(pixels_of(ra, dec), place, strict=True):
        plain = next(
            number
            for number, (order, index) in enumerate(cells)
            if pixel >> (2 * (FINEST_ORDER - order)) == index
        )
        assert uniq[plain] == 4 * 4 ** found.order[cell] + (
            found.first[cell] >> (2 * (FINEST_ORDER - found.order[cell]))
        )
    assert found.area_sr.sum() == pytest.approx(4 * math.pi)


def test_a_partial_map_says_where_it_has_nothing() -> None:
    half = np.arange(NPIX // 2)
    content = fits_bytes(
        {"PIXEL": half, "PROB": np.full(half.size, 1 / half.size)},
        ORDERING="NESTED",
        NSIDE=2**ORDER,
    )
    found = read_sky_map(content)
    centres = np.arange(NPIX, dtype=np.int64) << (2 * (FINEST_ORDER - ORDER))
    cells = found.cells_at(centres + 5)
    assert np.array_equal(cells >= 0, np.arange(NPIX) < NPIX // 2)


@given(st.integers(0, FINEST_ORDER), st.data())
@settings(max_examples=60)
def test_uniq_is_understood_up_to_the_finest_order(order: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, 12 * 4**order - 1))
    uniq = np.array([4 * 4**order + index])
    found = read_sky_map(fits_bytes({"UNIQ": uniq, "PROBDENSITY": np.ones(1)}, ORDERING="NUNIQ"))
    assert found.order[0] == order
    assert found.first[0] == index << (2 * (FINEST_ORDER - order))


def test_the_credible_area_is_that_of_the_densest_cells() -> None:
    density = np.zeros(NPIX)
    density[:10] = 10.0
    density[10:20] = 5.0
    found = read_sky_map(multi_order(density))
    cell = 4 * math.pi / NPIX * (180 / math.pi) ** 2
    # Two thirds of the probability are in the first ten cells, a third in the next ten.
    assert found.credible_area_deg2(2 / 3) == pytest.approx(10 * cell)
    assert found.credible_area_deg2(0.9) == pytest.approx((10 + 10 * (0.9 - 2 / 3) * 3) * cell)
    assert found.credible_area_deg2(1 / 3) == pytest.approx(5 * cell)


@needs_maps
@pytest.mark.parametrize(
    ("name", "area", "distance", "sigma", "cells"),
    [
        # 31 deg² is the figure of GW170817's first three-detector map (GCN Circular 21513).
        ("bayestar.multiorder.fits", 31.0, 39.77, 8.308, 19200),
        ("combined-ext.multiorder.fits", 27.7, 39.929, 8.245, 19200),
        # Flat, of NSIDE 512: a multi-order map spread out.
        ("M323277_flat.fits.gz", 1176.4, 147.54, 39.996, 19200),
    ],
)
def test_the_maps_of_the_lvk_give_their_published_figures(
    name: str, area: float, distance: float, sigma: float, cells: int
) -> None:
    found = read_sky_map((MAPS / name).read_bytes())
    assert found.credible_area_deg2(0.9) == pytest.approx(area, abs=0.1)
    assert found.distance_mpc == pytest.approx(distance, abs=0.01)
    assert found.distance_sigma_mpc == pytest.approx(sigma, abs=0.01)
    assert found.first.size == cells
    assert found.probability.sum() == pytest.approx(1)
    assert found.distances is not None
    assert found.notes == ()
    assert found.event_time is not None


@needs_maps
def test_a_multi_order_map_without_its_distances_is_flat_in_depth() -> None:
    with fits.open(MAPS / "bayestar.multiorder.fits") as hdus:
        columns = {name: hdus[1].data[name] for name in ("UNIQ", "PROBDENSITY")}
        columns = {
            name: values.astype(values.dtype.newbyteorder("=")) for name, values in columns.items()
        }
    found = read_sky_map(fits_bytes(columns, ORDERING="NUNIQ"))
    assert found.distances is None
    assert found.credible_area_deg2(0.9) == pytest.approx(30.98, abs=0.01)


def test_cells_without_a_distance_count_for_nothing() -> None:
    columns = distance_columns(NPIX)
    columns["DISTMU"][:5] = np.nan
    columns["DISTMU"][5:8], columns["DISTNORM"][5:8] = np.inf, 0.0
    found = read_sky_map(multi_order(np.full(NPIX, 1.0), **columns))
    assert found.distances is not None
    assert np.all(found.distances.norm[:8] == 0)
    assert np.all(np.isinf(found.distances.mu_mpc[:8]))


def test_a_map_mostly_without_distances_is_ranked_in_two_dimensions_and_says_so() -> None:
    columns = distance_columns(NPIX)
    columns["DISTNORM"][: NPIX * 3 // 4] = 0.0
    found = read_sky_map(multi_order(np.full(NPIX, 1.0), **columns))
    assert found.distances is None
    assert any("two dimensions" in note for note in found.notes)


def test_a_map_with_only_some_distance_columns_says_so() -> None:
    columns = distance_columns(NPIX)
    del columns["DISTNORM"]
    found = read_sky_map(multi_order(**columns))
    assert found.distances is None
    assert "DISTNORM" in found.notes[0]


def test_a_map_that_is_not_normalised_is_normalised_and_says_so() -> None:
    found = read_sky_map(flat(PROB=nested_probability() * 3))
    assert found.probability.sum() == pytest.approx(1)
    assert "normalised" in found.notes[0]


NAN = nested_probability()
NAN[17] = np.nan
NEGATIVE = nested_probability()
NEGATIVE[3] = -1e-3


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no FITS"),
        (b"hello", "no FITS"),
        (b"\x1f\x8bnothing", "gzip"),
        (gzip.compress(flat())[:-3000], "cut short"),
        (flat()[:-2880], "cut short|damaged"),
        (flat()[:2880], "no binary table"),
        (flat(PROB=NAN), "not a number in 1 pixel"),
        (flat(PROB=NEGATIVE), "negative"),
        (flat(PROB=np.zeros(NPIX)), "no probability"),
        (flat(PROB=np.full(NPIX, 1e308)), "no probability"),
        (flat("PEANO"), "ORDERING"),
        (fits_bytes({"PROB": np.ones(100)}, ORDERING="RING"), "NSIDE"),
        (fits_bytes({"PROB": np.ones(100)}, ORDERING="RING", NSIDE=3), "NSIDE"),
        (fits_bytes({"PROB": np.ones(48)}, ORDERING="RING", NSIDE=2**29), "is not NSIDE 536870912"),
        (fits_bytes({"PROB": np.ones(48)}, ORDERING="RING", NSIDE=2**62), "no power of two"),
        (
            fits_bytes({"PIXEL": [0, -1], "PROB": np.ones(2)}, ORDERING="RING", NSIDE=2**29),
            "no pixel",
        ),
        (fits_bytes({"PIXEL": [0, 12], "PROB": np.ones(2)}, ORDERING="RING", NSIDE=1), "no pixel"),
        (
            fits_bytes({"PIXEL": [3, 3], "PROB": np.ones(2)}, ORDERING="NESTED", NSIDE=2),
            "over one another",
        ),
        (fits_bytes({"PROB": np.ones(100)}, ORDERING="RING", NSIDE="many"), "NSIDE"),
        (fits_bytes({"FLUX": np.ones(NPIX)}, ORDERING="RING"), "no column of probability"),
        (fits_bytes({"UNIQ": np.arange(4, 16)}, ORDERING="NUNIQ"), "no column of probability"),
        (fits_bytes({"UNIQ": [3], "PROBDENSITY": [1.0]}), "no HEALPix cell"),
        (fits_bytes({"UNIQ": [2**63 - 1], "PROBDENSITY": [1.0]}), "no HEALPix cell"),
        (fits_bytes({"UNIQ": [4.5], "PROBDENSITY": [1.0]}), "no HEALPix cell"),
        (fits_bytes({"UNIQ": [4, 16], "PROBDENSITY": [1.0, 1.0]}), "over one another"),
        (fits_bytes({"UNIQ": np.array([], int), "PROBDENSITY": np.array([])}), "empty"),
        (fits_bytes({"PROB": np.array([])}, ORDERING="RING"), "NSIDE|empty"),
        (fits_bytes({"PROB": np.array(["a", "b"])}, ORDERING="RING"), "no numbers"),
        (fits_bytes({"PROB": np.ones(12)}, ORDERING="RING", COORDSYS="G"), "coordinates 'G'"),
    ],
)
def test_what_is_no_sky_map_is_refused_in_one_sentence(content: bytes, says: str) -> None:
    with pytest.raises(UnusableSkyMap, match=says) as refusal:
        read_sky_map(content)
    assert "\n" not in refusal.value.message


def test_a_bomb_is_unpacked_no_further_than_allowed() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    with pytest.raises(UnusableSkyMap, match="more than are read"):
        read_sky_map(bomb, max_bytes=1_000_000)


@given(
    seed=st.integers(0, 2**32 - 1),
    kinds=st.integers(1, 4),
    level=st.integers(0, 4),
    ordering=st.sampled_from(["NESTED", "RING"]),
    letter=st.sampled_from("DE"),
)
@settings(max_examples=60)
def test_pixels_that_say_the_same_are_joined_and_say_what_they_said(
    seed: int, kinds: int, level: int, ordering: str, letter: str
) -> None:
    rng = np.random.default_rng(seed)
    count = 12 * 4**level
    # Patches of every size: each cell of a random order takes the value of its first pixel.
    block = 4 ** rng.integers(0, level + 1, count)
    place = np.arange(count) // block * block
    columns = {
        "PROB": rng.choice(rng.gamma(1.0, size=kinds), count)[place],
        "DISTMU": rng.choice([40.0, np.inf], count)[place],
        "DISTSIGMA": rng.choice([8.0, 9.0], count)[place],
        "DISTNORM": rng.choice([1e-4, 2e-4], count)[place],
    }
    pixels = np.arange(count, dtype=np.uint64)
    rows = cdshealpix.from_ring(pixels, level) if ordering == "RING" else pixels
    form = {"D": float, "E": np.float32}[letter]
    written = [
        fits.Column(name, letter, array=values[rows.astype(int)].astype(form))
        for name, values in columns.items()
    ]
    out = io.BytesIO()
    table = fits.BinTableHDU.from_columns(written)
    table.header.update({"ORDERING": ordering, "NSIDE": 2**level})
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(out)
    found = read_sky_map(out.getvalue())
    cell = found.cells_at(pixels.astype(np.int64) << (2 * (FINEST_ORDER - level)))
    said = {name: values.astype(form).astype(float) for name, values in columns.items()}
    np.testing.assert_allclose(
        found.density[cell] * 4 * math.pi / count, said["PROB"] / said["PROB"].sum(), rtol=1e-12
    )
    assert found.area_sr.sum() == pytest.approx(4 * math.pi)
    assert np.all(np.diff(found.first) > 0)
    if found.distances is not None:
        known = np.isfinite(said["DISTMU"])
        for name, values in zip(("DISTSIGMA", "DISTNORM"), (found.distances.sigma_mpc,
                                found.distances.norm), strict=True):  # fmt: skip
            assert np.array_equal(values[cell][known], said[name][known])
        assert not found.distances.norm[cell][~known].any()
    # Four brothers are never left apart.
    brothers = np.flatnonzero(found.order[:-3] == found.order[3:])
    key = np.stack(
        [
            found.first,
            found.order,
            *(
                said[name][
                    np.searchsorted(
                        pixels.astype(np.int64) << (2 * (FINEST_ORDER - level)), found.first
                    )
                ]
                for name in said
            ),
        ]
    )
    for one in brothers:
        shift = 2 * (FINEST_ORDER - int(found.order[one]))
        index = found.first[one : one + 4] >> shift
        if found.order[one] and index[0] % 4 == 0 and index[3] == index[0] + 3:
            assert np.any(key[2:, one : one + 4] != key[2:, one : one + 1])


@given(st.integers(0, 2880 * 4), st.integers(0, 255))
@settings(max_examples=150)
def test_a_damaged_map_is_a_map_or_is_refused(place: int, byte: int) -> None:
    content = bytearray(DAMAGED)
    content[place % len(content)] = byte
    try:
        found = read_sky_map(bytes(content))
    except UnusableSkyMap:
        return
    assert np.isfinite(found.probability).all()


DAMAGED = flat(**distance_columns(NPIX))


def test_a_panic_of_a_library_in_rust_is_an_error_like_others() -> None:
    nowhere = Position(ra_deg=1.0, dec_deg=float("nan"), radius_deg=1.0)
    with pytest.raises(RuntimeError, match="a panic: assertion failed"), panics_are_errors():
        around(nowhere)
    with pytest.raises(SystemExit), panics_are_errors():
        raise SystemExit
