"""The bad-pixel mask, found by rows, against the plain way over whole masters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from toros.imaging.bad_pixels import (
    SEGMENT_PX,
    BadPixelLimits,
    Defect,
    dark_judge,
    find_defects,
    flat_judge,
    segments,
)
from toros.imaging.frames import Master
from toros.imaging.kernels.defects import DarkLimits, mark_dark
from toros.imaging.kernels.masters import running_sums
from toros.imaging.noise import scatter
from toros.imaging.nonlinear import linearity_judge
from toros.imaging.sampling import thinned
from toros.imaging.surroundings import around, surroundings

SHAPE = (1100, 1010)  # several strips, more than a million pixels, and the last segment is short
LIMITS = BadPixelLimits()
RNG = np.random.default_rng


def a_master(seed: int, level: float, noise: float) -> Master:
    rng = RNG(seed)
    pixels = rng.normal(level, noise, SHAPE).astype(np.float32)
    error = rng.uniform(0.5 * noise, 1.5 * noise, SHAPE).astype(np.float32)
    mask = rng.random(SHAPE) < 0.01
    mask[7, 8] = True
    pixels[mask] = 0
    return Master(pixels, error, mask)


def test_hot_and_noisy_pixels_are_those_of_the_whole_frame() -> None:
    dark, rng = a_master(1, 30, 1.5), RNG(2)
    odd = rng.random(SHAPE) < 0.01
    dark.pixels[odd] += rng.uniform(0, 400, odd.sum()).astype(np.float32)
    assert dark.uncertainty is not None
    dark.uncertainty[odd] *= rng.uniform(1, 9, odd.sum()).astype(np.float32)
    bits, mask = dark_judge(dark, 60.0, 5, 2.0)(slice(0, SHAPE[0]))
    rate = dark.pixels * np.float32(2.0 / 60.0)
    sample = thinned(rate)[~thinned(dark.mask)]
    hot = rate > float(np.median(sample)) + max(10 * scatter(sample), 1.0)
    good = ~thinned(dark.mask)
    above = np.clip(dark.pixels - np.median(thinned(dark.pixels)[good]), 0, None)
    typical = float(np.median(thinned(dark.uncertainty)[good]))
    noisy = dark.uncertainty > 3 * np.sqrt(typical**2 + above / 10)
    assert hot.sum() > 100
    assert noisy.sum() > 100
    np.testing.assert_array_equal(bits, ~dark.mask * (hot * Defect.HOT + noisy * Defect.NOISY))
    np.testing.assert_array_equal(mask, dark.mask)


def test_where_the_spread_sample_has_nothing_good_all_good_pixels_are_taken() -> None:
    dark = a_master(1, 30, 1.5)
    thinned(dark.mask)[:] = True
    assert thinned(dark.mask).all()
    dark.pixels[0, 1], dark.mask[0, 1] = 1e5, False
    bits, _ = dark_judge(dark, 60.0, 5, 2.0)(slice(0, SHAPE[0]))
    assert bits[0, 1] == Defect.HOT
    assert np.count_nonzero(bits) == 1


def test_a_dark_without_value_exposure_or_error_tells_what_it_can() -> None:
    dark = a_master(1, 30, 1.5)
    dark.pixels[3, 4], dark.mask[3, 4] = 1e5, False
    rows = slice(0, SHAPE[0])
    assert not dark_judge(dark, 0.0, 5, 2.0)(rows)[0].any()
    bare = Master(dark.pixels, None, dark.mask)
    bits, _ = dark_judge(bare, 60.0, 5, None)(rows)
    assert bits[3, 4] == Defect.HOT
    assert np.count_nonzero(bits) == 1
    empty = Master(dark.pixels, dark.uncertainty, np.ones_like(dark.mask))
    assert not dark_judge(empty, 60.0, 5, 2.0)(rows)[0].any()


def test_pixels_of_a_flat_are_held_against_what_is_around_them() -> None:
    flat, rng = a_master(3, 1, 0.01), RNG(4)
    odd = rng.random(SHAPE) < 0.01
    flat.pixels[odd] *= rng.uniform(0, 2, odd.sum()).astype(np.float32)
    flat.pixels[200:300, 200:300] = -1  # nothing is around these, or less
    bits, _ = flat_judge(flat)(slice(64, 640))
    grid = surroundings(SHAPE, lambda rows: (flat.pixels[rows], flat.mask[rows]))
    response = flat.pixels / around(grid, slice(0, SHAPE[0]))
    dead = ((response < 0.5) | (response > 1.5)) & ~flat.mask
    assert dead[64:640].sum() > 100
    np.testing.assert_array_equal(bits, dead[64:640] * Defect.DEAD)


def test_non_linear_pixels_are_those_of_the_whole_frame() -> None:
    faint, bright, rng = a_master(5, 1, 0.01), a_master(6, 1, 0.005), RNG(7)
    odd = rng.random(SHAPE) < 0.002
    bright.pixels[odd] *= 0.8
    good = ~(faint.mask | bright.mask) & (faint.pixels > 0.1) & (bright.pixels > 0.1)
    ratio = np.where(good, bright.pixels / np.where(good, faint.pixels, 1), np.float32(1))
    grid = surroundings(SHAPE, lambda rows: (ratio[rows], ~good[rows]))
    ratio = ratio / around(grid, slice(0, SHAPE[0]))
    error = np.zeros_like(ratio)
    for flat in (faint, bright):
        error = np.hypot(error, flat.uncertainty / np.where(good, flat.pixels, 1))
    error = np.maximum(error, np.float32(scatter(ratio[good])))
    off = np.abs(ratio - 1)
    wanted = good & (off > 6 * error) & (off > 0.03)
    bits, mask = linearity_judge(faint, bright)(slice(0, SHAPE[0]))
    assert wanted.sum() > 1000
    np.testing.assert_array_equal(bits, wanted * Defect.NONLINEAR)
    np.testing.assert_array_equal(mask, faint.mask & bright.mask)


def test_what_no_master_has_a_value_for_is_a_defect() -> None:
    masters = [a_master(seed, 1, 0.01) for seed in (8, 9)]
    mask, counts = find_defects([flat_judge(one) for one in masters], SHAPE)
    nowhere = masters[0].mask & masters[1].mask
    np.testing.assert_array_equal(mask, nowhere * Defect.NO_VALUE)
    assert counts == {**dict.fromkeys(Defect, 0), Defect.NO_VALUE: nowhere.sum()}


@pytest.mark.parametrize("shape", [(1, 1), (63, 5), (64, 9000), (1000, 700), (4096, 4096)])
def test_no_strip_cuts_a_segment_and_none_is_left_out(shape: tuple[int, int]) -> None:
    found = segments(shape)
    assert [row for rows in found for row in range(rows.start, rows.stop)] == [*range(shape[0])]
    assert all(rows.start % SEGMENT_PX == 0 for rows in found)


NUMBERS = st.one_of(
    st.floats(-1e3, 1e4, width=32, allow_subnormal=False), st.sampled_from([np.nan, np.inf])
)
FIELDS = hnp.arrays(np.float32, 40, elements=NUMBERS)


@given(FIELDS, FIELDS, hnp.arrays(np.bool_, 40), st.sampled_from([4.0, np.inf]))
def test_pixels_of_a_dark_are_marked_as_numpy_would(
    pixels: np.ndarray, error: np.ndarray, bad: np.ndarray, variance: float
) -> None:
    limits = DarkLimits(*(np.float32(one) for one in (0.3, 50, 20, variance, 11, 3)))
    bits = np.empty(40, np.uint8)
    mark_dark(pixels, error, bad, limits, np.uint8(1), np.uint8(8), bits)
    level = np.where(pixels > limits.middle, pixels - limits.middle, np.float32(0))
    noisy = error > limits.ratio * np.sqrt(limits.variance + level / limits.electrons)
    np.testing.assert_array_equal(bits, ~bad * ((pixels * limits.scale > limits.hot) + 8 * noisy))


@given(hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(-1e5, 1e5)))
def test_running_sums_are_those_of_numpy(values: np.ndarray) -> None:
    sums, squares = np.empty((2, values.size + 1))
    running_sums(values, float(values[0]), sums, squares)
    off = values - values[0]
    np.testing.assert_array_equal(sums, [0, *np.cumsum(off)])
    np.testing.assert_array_equal(squares, [0, *np.cumsum(off**2)])
