"""The kernels of a master's rows, and their errors, against plain numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from toros.imaging.clip_error import error_factor, rounding_of_median, simulated
from toros.imaging.frames import read_master, read_strips
from toros.imaging.headers import read_exposure
from toros.imaging.kernels.masters import (
    add_errors,
    block_means,
    dark_noises,
    decode_words,
    moments_of_kept,
    standard_errors,
)
from toros.imaging.master_file import open_master

SIZES = st.shared(st.integers(1, 70), key="size")
REALS = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)
ANY = st.one_of(REALS, st.sampled_from([np.nan, np.inf, -np.inf]))


def floats(elements: st.SearchStrategy[float]) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.float32, SIZES, elements=elements)


@given(floats(ANY), hnp.arrays(np.uint8, SIZES, elements=st.sampled_from([0, 0, 1, 4, 255])))
def test_the_bytes_of_a_master_become_numbers_and_a_mask(
    values: np.ndarray, marks: np.ndarray
) -> None:
    words = values.astype(">f4").view(np.uint32)
    kept = words.copy()
    bad = (marks != 0) | ~np.isfinite(values)
    decode_words(words, marks, True)
    np.testing.assert_array_equal(words.view(np.float32), np.where(np.isfinite(values), values, 0))
    np.testing.assert_array_equal(marks, bad)
    decode_words(kept, np.empty(0, np.uint8), False)
    np.testing.assert_array_equal(kept.view(np.float32), values)


@given(
    floats(st.floats(0, 1e4, width=32)),
    hnp.arrays(np.uint16, SIZES, elements=st.integers(0, 70)),
    floats(st.one_of(st.floats(0, 1e4, width=32), st.sampled_from([np.nan, np.inf]))),
    st.floats(1, 1.3),
    st.sampled_from([0.0, 0.204, 0.289]),
)
def test_standard_errors_are_those_of_plain_numpy(
    noise: np.ndarray, count: np.ndarray, own: np.ndarray, factor: float, rounding: float
) -> None:
    plain = np.asarray(noise / np.sqrt(np.maximum(count, 1)), np.float32) * np.float32(factor)
    plain = np.hypot(plain, np.float32(rounding))
    noisier = np.isfinite(own) & (own > 2.0 * plain)
    found = np.empty_like(noise)
    standard_errors(
        noise, count, own, np.float32(factor), float(np.float32(rounding)), np.float32(2), found
    )
    # The last bit of a hypotenuse is the C library's choice.
    np.testing.assert_allclose(found, np.where(noisier, own, plain), rtol=2e-7)


@given(floats(REALS), st.floats(0.1, 50), st.floats(0.1, 20))
def test_the_noise_of_a_dark_is_that_of_plain_numpy(
    excess: np.ndarray, hot: float, gain: float
) -> None:
    plain = np.sqrt(
        np.float32(9) + np.where(excess < np.float64(hot), 0, excess) / np.float32(gain)
    )
    found = np.empty_like(excess)
    dark_noises(excess, hot, np.float32(9), np.float32(gain), found)
    np.testing.assert_array_equal(found, plain)


@given(floats(st.one_of(REALS, st.just(np.nan))), floats(st.one_of(REALS, st.just(np.nan))))
def test_errors_add_in_quadrature(first: np.ndarray, second: np.ndarray) -> None:
    plain = np.hypot(first, second)
    add_errors(first, second)
    np.testing.assert_allclose(first, plain, rtol=2e-7)


@pytest.mark.parametrize("method", ["sigma_clip", "median"])
@pytest.mark.parametrize("frames", [3, 5, 10, 31, 64, 65])
def test_the_factors_in_the_table_are_those_that_are_simulated(method: str, frames: int) -> None:
    told = error_factor(method, frames)
    assert told == pytest.approx(simulated(method, frames, 3.0, 3.0), rel=1e-6)


@pytest.mark.parametrize(
    ("values", "spread"),
    [(15, 2.0), (16, 3.0), (16, 0.5), (50, 4.0), (50, 1.0), (4, 1.5), (6, 30.0)],
)
def test_a_median_of_whole_numbers_is_rounded_once_more(values: int, spread: float) -> None:
    rng = np.random.default_rng(values)
    sample = rng.uniform(0, 1, (200_000, 1)) + rng.normal(0, spread, (200_000, values))
    more = np.median(np.round(sample), axis=1) - np.median(sample, axis=1)
    # A tenth of what it is, at most: of few values the gap in the middle is not quite exponential.
    assert np.mean(more**2) == pytest.approx(rounding_of_median(values, spread), abs=0.003)


def test_of_one_or_two_numbers_the_mean_is_no_more_rounded_than_they_are() -> None:
    assert rounding_of_median(1, 3.0) == rounding_of_median(2, 3.0) == 0
    assert rounding_of_median(40, 0.0) == rounding_of_median(41, 0.0) == 1 / 12


KINDS = [
    ("f4", "f4", "u1"),
    ("f4", "f8", "u1"),
    ("f4", "f4", "i2"),
    ("f4", "u1", "f4"),
    ("u1", "f4", "u1"),
    ("f8", "f4", "u1"),
]


@pytest.mark.parametrize("kinds", KINDS)
def test_rows_of_a_master_are_those_of_the_whole(kinds: tuple[str, ...], tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    planes = [rng.normal(100, 5, (40, 30)), rng.uniform(1, 9, (40, 30)),
              rng.random((40, 30)) < 0.1]  # fmt: skip
    planes[0][3, 4] = np.nan if kinds[0] != "u1" else 0
    pixels, error, mask = (plane.astype(kind) for plane, kind in zip(planes, kinds, strict=True))
    path = tmp_path / "master.fits"
    fits.HDUList(
        [fits.PrimaryHDU(pixels), fits.ImageHDU(error, name="UNCERT"),
         fits.ImageHDU(mask, name="MASK")]
    ).writeto(path)  # fmt: skip
    whole = read_master(path)
    with open_master(path, read_exposure(path)) as file:
        part = file.rows(slice(2, 7))
    np.testing.assert_array_equal(part.pixels, whole.pixels[2:7])
    assert part.uncertainty is not None
    assert whole.uncertainty is not None
    np.testing.assert_array_equal(part.uncertainty, whole.uncertainty[2:7])
    np.testing.assert_array_equal(part.mask, whole.mask[2:7])


@pytest.mark.parametrize("kind", ["u2", "i2", "i4", "f4"])
def test_strips_of_a_frame_hold_what_astropy_reads(kind: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(5).integers(0, 32000, (30, 20)).astype(kind)
    if kind == "u2":
        pixels[4, :2] = 0, 65535
    path = tmp_path / "frame.fits"
    fits.PrimaryHDU(pixels).writeto(path)
    found = read_strips(path, read_exposure(path), [slice(3, 5), slice(28, 30)])
    np.testing.assert_array_equal(np.concatenate(found), np.float32(pixels[[3, 4, 28, 29]]))


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 3), st.just(23)), elements=REALS),
    st.integers(1, 23),
    st.data(),
)
def test_means_of_blocks_leave_out_what_is_bad(
    pixels: np.ndarray, across: int, data: st.DataObject
) -> None:
    bad = data.draw(hnp.arrays(np.bool_, pixels.shape))
    means = np.empty(23 // across)
    block_means(pixels, bad, len(pixels), across, means[None])
    for block, mean in enumerate(means):
        at = slice(block * across, (block + 1) * across)
        good = pixels[:, at][~bad[:, at]].astype(np.float64)
        plain = good.mean() if good.size else np.nan
        np.testing.assert_allclose(mean, plain, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("size", [1, 7, 8, 31, 128, 129, 1000, 4096])
def test_moments_of_blocks_are_those_of_what_is_kept(size: int) -> None:
    rng = np.random.default_rng(size)
    a, b = rng.normal(20000, 120, (2, 5, size))
    difference = a - b
    # All, nearly all, half, one and none.
    limits = np.array([1e9, 500.0, 120.0, np.abs(difference[3]).min() * (1 + 1e-9), 0.0])
    means, variance = np.empty((2, 5)), np.empty(5)
    moments_of_kept(a, b, difference, limits, means, variance)
    for k, limit in enumerate(limits):
        kept = np.abs(difference[k]) < limit
        if kept.sum() > 0:
            assert means[:, k].tolist() == [a[k][kept].mean(), b[k][kept].mean()]
        else:
            assert np.isnan(means[:, k]).all()
        if kept.sum() > 1:
            assert variance[k] == difference[k][kept].var(ddof=1)
        else:
            assert np.isnan(variance[k])
