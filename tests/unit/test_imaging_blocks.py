"""What is made on blocks of pixels, against the plain way over whole frames."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from toros.imaging.flat_stars import _level, _middle_flat, _with_neighbours
from toros.imaging.kernels.flats import (
    BLOCK_PX,
    mask_blocks,
    mean_blocks,
    prepare,
    subtract_plane,
    sum_planes,
)
from toros.imaging.sources import MASKED
from toros.imaging.surroundings import around, surroundings

SIZE = 16  # pixels of a box


def _plain_around(image: NDArray[np.float32], bad: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the medians of boxes, of nine boxes, and between them by SciPy."""
    height, width = image.shape
    good = np.where(bad, np.nan, image)
    boxes = [
        [np.sort(good[y : y + SIZE, x : x + SIZE], axis=None) for x in range(0, width, SIZE)]
        for y in range(0, height, SIZE)
    ]
    middle = np.array(
        [
            [one[np.isfinite(one).sum() // 2] if np.isfinite(one).any() else 1.0 for one in row]
            for row in boxes
        ]
    )
    middle = ndimage.median_filter(middle, 3, mode="nearest")
    at = [
        np.clip((np.arange(length) + 0.5) / SIZE - 0.5, 0, number - 1)
        for length, number in zip(image.shape, middle.shape, strict=True)
    ]
    return np.asarray(
        ndimage.map_coordinates(
            middle, np.meshgrid(*at, indexing="ij"), order=1, mode="nearest", output=np.float64
        )
    )


@pytest.mark.parametrize("shape", [(64, 96), (75, 50), (16, 200), (17, 16), (300, 33)])
def test_what_is_around_a_pixel_is_what_scipy_finds(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(sum(shape))
    slope = np.linspace(0.7, 1.3, shape[1]) * np.linspace(1.2, 0.8, shape[0])[:, None]
    image = (slope + rng.normal(0, 0.05, shape)).astype(np.float32)
    bad = rng.random(shape) < 0.1
    bad[: shape[0] // 2, : shape[1] // 3] = True  # boxes with nothing good in them
    grid = surroundings(shape, lambda rows: (image[rows], bad[rows]))
    plain = _plain_around(image, bad)
    np.testing.assert_allclose(around(grid, slice(0, shape[0])), plain, rtol=2e-7)
    np.testing.assert_allclose(around(grid, slice(5, 9)), plain[5:9], rtol=2e-7)


def test_blocks_mask_any_rows() -> None:
    rng = np.random.default_rng(8)
    height, width = 5 * BLOCK_PX + 3, 7 * BLOCK_PX + 5
    blocks = rng.random((height // BLOCK_PX, width // BLOCK_PX)) < 0.4
    whole = np.zeros((height, width), np.bool_)
    expanded = np.kron(blocks, np.ones((BLOCK_PX, BLOCK_PX), np.bool_))
    whole[: expanded.shape[0], : expanded.shape[1]] = expanded
    for start in range(height):
        for stop in range(start + 1, height + 1):
            pixels = np.ones((stop - start, width), np.float32)
            mask_blocks(pixels, blocks, start, MASKED)
            np.testing.assert_array_equal(pixels == MASKED, whole[start:stop])


@pytest.mark.parametrize("shape", [(8, 8), (24, 35), (19, 64), (5, 3)])
def test_blocks_are_the_means_that_numpy_gives(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(shape[1])
    pixels = rng.normal(1, 0.1, shape).astype(np.float32)
    pixels[rng.random(shape) < 0.1] = MASKED
    height, width = shape[0] // BLOCK_PX, shape[1] // BLOCK_PX
    made = np.empty((height, width), np.float32)
    mean_blocks(pixels, made)
    plain = np.where(np.isfinite(pixels), pixels, np.float32(1))
    plain = plain[: height * BLOCK_PX, : width * BLOCK_PX]
    wanted = plain.reshape(height, BLOCK_PX, width, BLOCK_PX).mean(axis=(1, 3))
    np.testing.assert_array_equal(made, wanted)


def test_flats_are_prepared_as_numpy_reckons() -> None:
    rng = np.random.default_rng(3)
    pixels, bias, dark = rng.normal(1000, 100, (3, 999)).astype(np.float32)
    pixels[rng.random(999) < 0.1] = MASKED
    bad = rng.random(999) < 0.1
    scale, level = np.float32(0.7), np.float32(321.5)
    wanted = np.where(bad, MASKED, (pixels - bias - scale * dark) / level)
    prepare(pixels, bias, dark, bad, scale, level, MASKED)
    np.testing.assert_array_equal(pixels, wanted)


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (12, 12)])
def test_neighbours_are_those_of_scipy(shape: tuple[int, int]) -> None:
    blocks = np.random.default_rng(shape[0]).random(shape) < 0.1
    wanted = ndimage.binary_dilation(blocks, np.ones((3, 3)))
    np.testing.assert_array_equal(_with_neighbours(blocks), wanted)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 1000, 1001])
def test_the_median_of_flats_is_numpys(count: int) -> None:
    values = np.random.default_rng(count).normal(0, 1, (count, 6)).astype(np.float32)
    values[count // 2 :, 0] = values[0, 0]
    np.testing.assert_array_equal(
        _middle_flat([row[None] for row in values]), np.median(values[:, None], axis=0)
    )


def test_a_plane_is_taken_out_and_stars_do_not_tilt_it() -> None:
    rng = np.random.default_rng(9)
    y, x = np.indices((60, 80))
    noise = rng.normal(0, 0.01, (60, 80))
    ratio = 1 + 0.002 * x - 0.003 * y + noise
    ratio[10:14, 20:24] += 5
    rest = _level(ratio)
    clean = np.abs(rest) < 1
    terms = np.stack([np.ones(clean.sum()), x[clean], y[clean]], axis=1)
    # Nothing of a plane is left in what is no star, but for the noise that was clipped.
    left, *_ = np.linalg.lstsq(terms, rest[clean], rcond=None)
    np.testing.assert_allclose(terms @ left, 0, atol=2e-4)
    assert rest[11, 21] > 4


def test_the_plane_is_that_of_least_squares() -> None:
    rng = np.random.default_rng(12)
    values, rest = rng.normal(1, 0.1, (2, 11, 17))
    y, x = np.linspace(-1, 1, 11), np.linspace(-1, 1, 17)
    sums, left = np.empty((3, 4)), np.empty(values.shape)
    used = np.abs(rest) <= 1.02
    assert sum_planes(values, rest, 1.02, x, y, sums) == used.sum()
    fit = np.linalg.solve(sums[:, :3], sums[:, 3])
    terms = np.stack([np.ones(values.shape), *np.meshgrid(x, y)], axis=-1)
    wanted, *_ = np.linalg.lstsq(terms[used], values[used], rcond=None)
    np.testing.assert_allclose(fit, wanted, rtol=1e-12, atol=1e-14)
    subtract_plane(values, fit, x, y, left)
    np.testing.assert_allclose(left, values - terms @ wanted, rtol=0, atol=1e-13)
