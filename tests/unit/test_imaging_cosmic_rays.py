"""Cosmic rays, against astroscrappy: the same pixels, the same values."""

from __future__ import annotations

import astroscrappy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toros.imaging.cosmic_rays import CosmicRayOptions, remove_cosmic_rays

# astroscrappy leaves its filters out along the edges; what differs there may reach so far in.
BORDER = 16
INSIDE = (slice(BORDER, -BORDER), slice(BORDER, -BORDER))


def sky(shape: tuple[int, int], seed: int, *, level: float = 200.0, rays: int = 40) -> np.ndarray:
    """A sky with stars, some of them saturated, and cosmic rays, some of them long [electron]."""
    rng = np.random.default_rng(seed)
    image = rng.poisson(level, shape) + rng.normal(0, 8, shape)
    y, x = np.indices(shape)
    for _ in range(shape[0] * shape[1] // 2500):
        at, flux = rng.uniform(0, shape), 10 ** rng.uniform(2.5, 6.3)
        image += flux / 12.3 * np.exp(-((y - at[0]) ** 2 + (x - at[1]) ** 2) / 3.92)
    for _ in range(rays):
        at, angle = rng.uniform(0, shape), rng.uniform(0, np.pi)
        for step in range(rng.integers(1, 9)):
            j, i = int(at[0] + step * np.sin(angle)), int(at[1] + step * np.cos(angle))
            if 0 <= j < shape[0] and 0 <= i < shape[1]:
                image[j, i] += 10 ** rng.uniform(2, 4)
    return np.minimum(image, 65535).astype(np.float32)


def assert_alike(image: np.ndarray, bad: np.ndarray | None, **more: float) -> int:
    """Compare with astroscrappy inside the border; return how many pixels were found there."""
    options = CosmicRayOptions(
        sigma=more.get("sigma", 4.5),
        neighbour_fraction=more.get("fraction", 0.3),
        contrast=more.get("contrast", 5.0),
        iterations=int(more.get("iterations", 4)),
    )
    gain, before = more.get("gain", 1.0), image.copy()
    found, clean = remove_cosmic_rays(
        image, bad, read_noise_e=8.0, saturation_e=60000.0, gain_e_adu=gain, options=options
    )
    assert np.array_equal(image, before)
    mask, reference = astroscrappy.detect_cosmics(
        image,
        inmask=bad,
        sigclip=options.sigma,
        sigfrac=options.neighbour_fraction,
        objlim=options.contrast,
        gain=gain,
        readnoise=8.0,
        satlevel=60000.0,
        niter=options.iterations,
        sepmed=True,
        cleantype="meanmask",
        fsmode="median",
    )
    assert np.array_equal(found[INSIDE], mask[INSIDE])
    assert np.array_equal(clean[INSIDE], reference[INSIDE])
    return int(mask[INSIDE].sum())


@settings(max_examples=12)
@given(
    st.tuples(st.integers(48, 150), st.integers(48, 150)),
    st.integers(0, 2**31),
    st.sampled_from([20.0, 200.0, 5000.0]),
    st.integers(0, 120),
    st.booleans(),
)
def test_the_same_as_astroscrappy(
    shape: tuple[int, int], seed: int, level: float, rays: int, with_bad: bool
) -> None:
    bad = np.random.default_rng(seed).random(shape) < 0.01 if with_bad else None
    assert_alike(sky(shape, seed, level=level, rays=rays), bad)


def test_the_same_over_many_tiles() -> None:
    assert assert_alike(sky((300, 1100), 3, rays=300), None) > 500


@pytest.mark.parametrize(
    "options",
    [
        {"sigma": 3.0, "fraction": 0.5},
        {"contrast": 2.0},
        {"iterations": 1},
        {"iterations": 7},
        {"gain": 1.7},
    ],
)
def test_the_same_with_other_options(options: dict[str, float]) -> None:
    assert assert_alike(sky((160, 170), 5, rays=150), None, **options) > 30


def test_a_ray_too_wide_for_its_neighbours_becomes_sky() -> None:
    image = sky((100, 100), 8, rays=0)
    image[40:47, 50] += 3000
    bad = np.zeros(image.shape, bool)
    bad[36:51, 44:50], bad[36:51, 51:57] = True, True
    assert_alike(image, bad)


def test_a_clean_sky_stays_as_it_is() -> None:
    image = np.random.default_rng(2).normal(500, 20, (90, 80)).astype(np.float32)
    found, clean = remove_cosmic_rays(image, read_noise_e=8.0)
    assert found.sum() <= 1  # 4.5σ of a Laplacian, in 7200 pixels
    assert np.array_equal(clean[~found], image[~found])


def test_rays_along_the_border_are_found_too() -> None:
    image = np.random.default_rng(4).normal(500, 20, (90, 80)).astype(np.float32)
    rays = [(1, 40), (88, 12), (30, 0), (60, 79), (89, 79)]
    for at in rays:
        image[at] += 4000
    found, clean = remove_cosmic_rays(image, read_noise_e=8.0)
    assert all(found[at] for at in rays)
    assert clean.max() < 700


def test_frames_smaller_than_the_filters() -> None:
    for shape in ((1, 1), (1, 9), (7, 3), (20, 20)):
        image = np.full(shape, 100, np.float32)
        found, clean = remove_cosmic_rays(image, read_noise_e=5.0)
        assert not found.any()
        assert np.array_equal(clean, image)
