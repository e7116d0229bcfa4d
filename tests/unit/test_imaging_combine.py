"""The stack, against ccdproc's own result and plain float64 numpy."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData
from ccdproc import combine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from toros.imaging.combine import combine_cube, method_for
from toros.imaging.headers import read_exposure
from toros.imaging.noise import (
    gain_of_pairs,
    read_noise_of_one,
    read_noise_of_pair,
    scatter,
)
from toros.imaging.options import ReductionOptions
from toros.imaging.pool import cores
from toros.imaging.sampling import sample_rows
from toros.imaging.stack import open_stack, rows_per_strip

OPTIONS = ReductionOptions()


def reference(
    cube: np.ndarray, masked: np.ndarray, method: str, low: float, high: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Value, standard error and count of each pixel, in float64, one pixel at a time.

    And whether it is clear: a value that sits on the limit may fall on either side in float32.
    """
    shape = cube.shape[1:]
    value, error = np.full(shape, np.nan), np.full(shape, np.nan)
    count, clear = np.zeros(shape, int), np.ones(shape, bool)
    for index in np.ndindex(shape):
        column = cube[(slice(None), *index)].astype(float)
        kept = column[~masked[(slice(None), *index)]]
        if method == "sigma_clip" and kept.size:
            centre = np.median(kept)
            deviation = np.median(np.abs(kept - centre)) / 0.6744897501960817
            limits = centre - low * deviation, centre + high * deviation
            clear[index] = all(np.min(np.abs(kept - limit)) > 0.02 for limit in limits if deviation)
            kept = kept[(kept >= centre - low * deviation) & (kept <= centre + high * deviation)]
        count[index] = kept.size
        if kept.size:
            value[index] = np.median(kept) if method == "median" else kept.mean()
        if kept.size > 1:
            error[index] = kept.std(ddof=1) / np.sqrt(kept.size)
            error[index] *= np.sqrt(np.pi / 2) if method == "median" else 1
    return value, error, count, clear


@settings(max_examples=60)
@given(
    hnp.arrays(
        np.uint16,
        st.tuples(st.integers(1, 12), st.integers(1, 4), st.integers(1, 4)),
        elements=st.one_of(st.integers(990, 1010), st.integers(0, 65535)),
    ),
    st.sampled_from(["sigma_clip", "median", "mean"]),
    st.randoms(use_true_random=False),
)
def test_combine_equals_the_reference(
    cube: np.ndarray, method: str, random: np.random.Generator
) -> None:
    masked = np.array([random.random() < 0.2 for _ in range(cube.size)]).reshape(cube.shape)
    combined = combine_cube(cube.astype(np.float32), masked, method, OPTIONS)  # type: ignore[arg-type]
    value, error, count, clear = reference(cube, masked, method, 3.0, 3.0)
    assert np.array_equal(combined.count[clear], count[clear])
    np.testing.assert_allclose(combined.pixels[clear], value[clear], rtol=2e-6)
    np.testing.assert_allclose(combined.uncertainty[clear], error[clear], rtol=1e-4, atol=2e-2)


def test_combine_equals_ccdproc() -> None:
    rng = np.random.default_rng(7)
    cube = rng.normal(1000, 8, (9, 40, 50)).astype(np.float32)
    cube[rng.random(cube.shape) < 0.02] += 5000
    ours = combine_cube(cube, np.zeros(cube.shape, bool), "sigma_clip", OPTIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = combine(
            [CCDData(plane, unit=u.adu) for plane in cube],
            sigma_clip=True,
            sigma_clip_low_thresh=3,
            sigma_clip_high_thresh=3,
            sigma_clip_func="median",
            sigma_clip_dev_func="mad_std",
            dtype=np.float32,
        )
    np.testing.assert_allclose(ours.pixels, theirs.data, rtol=1e-6)
    # ccdproc's deviation is of the population: ours is of the sample.
    factor = np.sqrt(ours.count / (ours.count - 1))
    np.testing.assert_allclose(ours.uncertainty, theirs.uncertainty.array * factor, rtol=1e-4)
    assert (ours.pixels < 1100).all()


def test_a_pixel_without_a_value() -> None:
    masked = np.zeros((5, 2, 2), bool)
    masked[:, 0, 0] = True
    combined = combine_cube(np.ones((5, 2, 2), np.float32), masked, "sigma_clip", OPTIONS)
    assert combined.count.tolist() == [[0, 5], [5, 5]]
    assert np.isnan(combined.pixels[0, 0])
    assert np.isnan(combined.uncertainty[0, 0])


def test_method_by_the_number_of_frames() -> None:
    found = [method_for(count, OPTIONS) for count in (1, 2, 3, 4, 5, 50)]
    assert found == ["mean", "mean", "median", "median", "sigma_clip", "sigma_clip"]
    assert method_for(2, ReductionOptions(combine="median")) == "median"


def test_the_stack_is_the_same_in_tiles_of_any_height(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    infos = []
    for index in range(6):
        path = tmp_path / f"{index}.fits"
        fits.PrimaryHDU(rng.normal(500, 5, (37, 20)).astype(np.uint16)).writeto(path)
        infos.append(read_exposure(path))
    with open_stack(infos, OPTIONS) as stack:
        whole = stack.rows(slice(0, 37))
        some = stack.rows(slice(11, 30))
    assert np.array_equal(some.pixels, whole.pixels[11:30])
    assert np.array_equal(some.count, whole.count[11:30])
    for rows in (1, 5, 36):
        options = ReductionOptions(memory_limit_bytes=cores() * rows * 6 * 20 * 8)
        assert rows_per_strip(6, 20, options) == rows
        with open_stack(infos, options) as stack:
            tiled = stack.rows(slice(0, 37))
        assert np.array_equal(tiled.pixels, whole.pixels)
        assert np.array_equal(tiled.uncertainty, whole.uncertainty)


def test_the_best_pixels_are_found_where_the_sample_has_none(tmp_path: Path) -> None:
    shape = (600, 600)
    infos = []
    for index in range(3):
        pixels = np.full(shape, 500, np.uint16)
        if index == 0:
            for rows in sample_rows(shape):
                pixels[rows] = 65535
        path = tmp_path / f"{index}.fits"
        fits.PrimaryHDU(pixels).writeto(path)
        infos.append(replace(read_exposure(path), saturation_adu=60000.0))
    assert sum(rows.stop - rows.start for rows in sample_rows(shape)) < shape[0]
    with open_stack(infos, OPTIONS) as stack:
        assert stack.most == 3
        assert {int(stack.rows(at).count.max()) for at in sample_rows(shape)} == {2}


def test_noise_and_gain_of_pairs() -> None:
    rng = np.random.default_rng(11)
    shape, gain, read_noise_adu = (400, 500), 1.6, 6.0
    pattern = 1 + 0.02 * rng.standard_normal(shape)

    def bias() -> np.ndarray:
        return 1000 + 3 * np.sin(np.arange(500)) + rng.normal(0, read_noise_adu, shape)

    def flat(level_adu: float) -> np.ndarray:
        return bias() + rng.poisson(level_adu * gain * pattern) / gain

    biases = bias(), bias()
    biases[0][5, 5] = 60000  # a cosmic ray
    assert read_noise_of_pair(*biases) == pytest.approx(read_noise_adu, rel=0.01)
    assert read_noise_adu < read_noise_of_one(biases[1]) < 1.3 * read_noise_adu
    # The standard error of a variance from 200 000 pixels is 0.3 %.
    assert gain_of_pairs((flat(20000), flat(20000)), biases) == pytest.approx(gain, rel=0.02)
    assert gain_of_pairs((flat(20000), flat(15000)), biases) == pytest.approx(gain, rel=0.02)
    assert scatter(np.array([1.0, np.nan, 1.0])) == 0
