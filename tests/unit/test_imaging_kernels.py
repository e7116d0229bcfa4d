"""The stacking kernels, against ccdproc, astropy and plain float64, ties included."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData
from astropy.stats import sigma_clip
from ccdproc import Combiner
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from toros.imaging.combine import combine_by
from toros.imaging.flat_stars import median_down
from toros.imaging.kernels.rules import Rule
from toros.imaging.kernels.sorting import network, sort_pixels
from toros.imaging.kernels.stacking import stack_counts

# Counts close together, so that values tie with the limits, and outliers.
COUNTS = st.one_of(
    st.integers(995, 1005), st.integers(900, 1100), st.sampled_from([0, 65534, 65535])
)
REALS = st.one_of(
    st.integers(-5, 5).map(float),
    st.floats(-1e3, 1e3, width=32, allow_subnormal=False),
    st.sampled_from([0.5, 1e6, -1e6]),
)
LIMITS = st.sampled_from([0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 5.0])
RULES = st.one_of(
    st.builds(Rule, average=st.sampled_from(["mean", "median"])),
    st.builds(
        Rule,
        average=st.sampled_from(["mean", "median"]),
        clip=st.just("sigma"),
        low=LIMITS,
        high=LIMITS,
        centre=st.sampled_from(["median", "mean"]),
        deviation=st.sampled_from(["mad", "std"]),
        iterations=st.integers(0, 4),
    ),
    st.builds(Rule, clip=st.just("extrema"), low=st.integers(0, 3), high=st.integers(0, 3)),
    st.builds(
        Rule,
        average=st.sampled_from(["mean", "median"]),
        clip=st.just("percentile"),
        low=st.integers(0, 40),
        high=st.integers(60, 100),
    ),
    st.builds(Rule, clip=st.just("range"), low=st.just(996.0), high=st.just(1003.5)),
)


def kept_by(values: np.ndarray, rule: Rule) -> tuple[np.ndarray, bool]:
    """Which of the float64 `values` are kept, and whether rounding cannot tell otherwise."""
    if rule.clip == "none":
        return np.ones(values.shape, bool), True
    if rule.clip == "extrema":
        start = min(int(rule.low), values.size - 1)
        stop = max(values.size - int(rule.high), start + 1)
        order = np.argsort(values, kind="stable")
        kept = np.zeros(values.shape, bool)
        kept[order[start:stop]] = True
        return kept, True
    exact = True
    if rule.clip == "percentile":
        low, high = np.percentile(values, [rule.low, rule.high])
    elif rule.clip == "range":
        low, high = rule.low, rule.high
    else:
        clipped, low, high = sigma_clip(
            values,
            sigma_lower=rule.low,
            sigma_upper=rule.high,
            maxiters=rule.iterations or None,
            cenfunc=rule.centre,
            stdfunc="mad_std" if rule.deviation == "mad" else "std",
            axis=0,
            return_bounds=True,
        )
        assert np.array_equal(~np.ma.getmaskarray(clipped), (values >= low) & (values <= high))
        # A mean and a standard deviation are rounded, in this order or that.
        exact = rule.centre == "median" and rule.deviation == "mad"
    near = 0.0 if exact else 1e-9 * (1 + np.abs(values).max())
    clear = all(np.abs(values - limit).min() > near for limit in (low, high)) if near else True
    return (values >= low) & (values <= high), bool(clear)


def expected(cube: np.ndarray, usable: np.ndarray, rule: Rule) -> tuple[np.ndarray, ...]:
    """Value, standard deviation, count and clearness of each pixel, one by one in float64."""
    shape = cube.shape[1:]
    value, deviation = np.full(shape, np.nan), np.full(shape, np.nan)
    count, clear = np.zeros(shape, int), np.ones(shape, bool)
    for index in np.ndindex(shape):
        at = (slice(None), *index)
        values = cube[at][usable[at]].astype(np.float64)
        if not values.size:
            continue
        kept, clear[index] = kept_by(values, rule)
        good = values[kept]
        count[index] = good.size
        if good.size:
            value[index] = np.median(good) if rule.average == "median" else good.mean()
        if good.size > 1:
            deviation[index] = good.std(ddof=1)
    return value, deviation, count, clear


def assert_as_expected(found: Any, cube: np.ndarray, usable: np.ndarray, rule: Rule) -> None:
    value, deviation, count, clear = expected(cube, usable, rule)
    assert np.array_equal(found[2][clear], count[clear])
    np.testing.assert_allclose(found[0][clear], value[clear], rtol=2e-7, atol=1e-9)
    # Where all that is kept is the same, rounding may leave a trace of float32.
    floor = 3e-7 * (1 + np.nanmax(np.abs(value), initial=0))
    np.testing.assert_allclose(found[1][clear], deviation[clear], rtol=2e-6, atol=floor)


def stacked_counts(cube: np.ndarray, saturation: int, rule: Rule) -> tuple[np.ndarray, ...]:
    """The kernel of 16-bit counts, as it gets them from the files."""
    raw = (cube ^ np.uint16(0x8000)).byteswap().reshape(len(cube), -1)
    size = raw.shape[1]
    value, error = np.empty(size, np.float32), np.empty(size, np.float32)
    count = np.empty(size, np.uint16)
    code = rule.code(standard_error=False)
    stack_counts(raw, network(len(cube)), saturation, code, value, error, count)
    shape = cube.shape[1:]
    return value.reshape(shape), error.reshape(shape), count.reshape(shape)


def cubes(elements: st.SearchStrategy[Any], kind: Any, most: int = 14) -> Any:
    shapes = st.tuples(st.integers(1, most), st.integers(1, 3), st.integers(1, 5))
    return hnp.arrays(kind, shapes, elements=elements)


@settings(max_examples=300)
@given(cubes(COUNTS, np.uint16), RULES, st.sampled_from([65536, 65535, 1004]))
def test_counts(cube: np.ndarray, rule: Rule, saturation: int) -> None:
    assert_as_expected(stacked_counts(cube, saturation, rule), cube, cube < saturation, rule)


@settings(max_examples=300)
@given(cubes(REALS, np.float32), RULES, st.data())
def test_floats(cube: np.ndarray, rule: Rule, data: st.DataObject) -> None:
    masked = data.draw(hnp.arrays(np.bool_, cube.shape), label="masked")
    holes = data.draw(hnp.arrays(np.bool_, cube.shape, fill=st.just(False)), label="NaN")
    cube = np.where(holes, np.float32(np.nan), cube)
    combined = combine_by(cube, masked, rule, standard_error=False)
    found = combined.pixels, combined.uncertainty, combined.count
    assert_as_expected(found, cube, ~masked & ~holes, rule)


@pytest.mark.parametrize("frames", [2, 3, 16, 17, 51, 64, 100, 257])
def test_any_number_of_frames(frames: int) -> None:
    rng = np.random.default_rng(frames)
    cube = rng.normal(1000, 10, (frames, 3, 70)).astype(np.uint16)
    cube[rng.random(cube.shape) < 0.03] = 65535
    for rule in (Rule(clip="sigma"), Rule(average="median"), Rule()):
        assert_as_expected(stacked_counts(cube, 65535, rule), cube, cube < 65535, rule)
        combined = combine_by(cube.astype(np.float32), cube == 65535, rule, standard_error=False)
        found = combined.pixels, combined.uncertainty, combined.count
        assert_as_expected(found, cube, cube < 65535, rule)


@settings(max_examples=60)
@given(hnp.arrays(np.uint16, st.tuples(st.integers(1, 40), st.integers(1, 70))))
def test_the_network_sorts(tile: np.ndarray) -> None:
    wanted = np.sort(tile, axis=0)
    sort_pixels(tile, network(len(tile)))
    assert np.array_equal(tile, wanted)


def ccdproc_of(cube: np.ndarray) -> Combiner:
    return Combiner([CCDData(plane, unit=u.adu) for plane in cube], dtype=np.float64)


@settings(max_examples=60)
@given(cubes(COUNTS, np.uint16), LIMITS, LIMITS, st.booleans())
def test_the_clip_is_ccdprocs(cube: np.ndarray, low: float, high: float, mad: bool) -> None:
    rule = Rule(clip="sigma", low=low, high=high, centre="median" if mad else "mean",
                deviation="mad" if mad else "std")  # fmt: skip
    combiner = ccdproc_of(cube.astype(np.float64))
    centre, deviation = ("median", "mad_std") if mad else ("mean", "std")
    combiner.sigma_clipping(low_thresh=low, high_thresh=high, func=centre, dev_func=deviation)
    value, _, count = stacked_counts(cube, 65536, rule)
    kept = (~combiner.data_arr.mask).sum(axis=0)
    _, _, _, clear = expected(cube, np.ones(cube.shape, bool), rule)
    assert np.array_equal(count[clear], kept[clear])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pixels with nothing left
        theirs = combiner.average_combine().data
    some = clear & (kept > 0)
    np.testing.assert_allclose(value[some], theirs[some], rtol=1e-7)


@settings(max_examples=40)
@given(cubes(COUNTS, np.uint16), st.data())
def test_extrema_range_and_weights_are_ccdprocs(cube: np.ndarray, data: st.DataObject) -> None:
    real = cube.astype(np.float64)
    nlow = data.draw(st.integers(0, (len(cube) - 1) // 2))
    nhigh = data.draw(st.integers(0, len(cube) - 1 - nlow))
    combiner = ccdproc_of(real)
    combiner.clip_extrema(nlow=nlow, nhigh=nhigh)
    ours = stacked_counts(cube, 65536, Rule(clip="extrema", low=nlow, high=nhigh))
    np.testing.assert_allclose(ours[0], combiner.average_combine().data, rtol=1e-7)
    combiner = ccdproc_of(real)
    combiner.minmax_clipping(min_clip=996, max_clip=1003)
    ours = stacked_counts(cube, 65536, Rule(clip="range", low=996, high=1003))
    assert np.array_equal(ours[2], (~combiner.data_arr.mask).sum(axis=0))
    weights = data.draw(
        st.lists(st.sampled_from([0.5, 1.0, 3.0]), min_size=len(cube), max_size=len(cube))
    )
    combiner = ccdproc_of(real)
    combiner.weights = np.array(weights)
    combined = combine_by(
        cube.astype(np.float32), np.zeros(cube.shape, bool), Rule(weights=tuple(weights))
    )
    np.testing.assert_allclose(combined.pixels, combiner.average_combine().data, rtol=1e-6)


@settings(max_examples=60)
@given(cubes(REALS, np.float32), st.data())
def test_weighted_and_clipped(cube: np.ndarray, data: st.DataObject) -> None:
    masked = data.draw(hnp.arrays(np.bool_, cube.shape))
    weights = np.array(
        data.draw(st.lists(st.sampled_from([0.5, 1, 3]), min_size=len(cube), max_size=len(cube)))
    )
    rule = Rule(clip="sigma", weights=tuple(weights))
    combined = combine_by(cube, masked, rule)
    for index in np.ndindex(cube.shape[1:]):
        good = ~masked[(slice(None), *index)]
        values, of_them = cube[(slice(None), *index)][good].astype(float), weights[good]
        if not values.size:
            assert combined.count[index] == 0
            assert np.isnan(combined.pixels[index])
            continue
        kept, _ = kept_by(values, rule)
        values, of_them = values[kept], of_them[kept]
        mean = np.average(values, weights=of_them)
        scale = np.abs(values).max() + 1
        assert combined.count[index] == values.size
        assert combined.pixels[index] == pytest.approx(mean, rel=1e-6, abs=1e-6 * scale)
        if values.size > 1:
            n = values.size
            variance = np.average((values - mean) ** 2, weights=of_them) * n / (n - 1)
            error = np.sqrt(variance * (of_them**2).sum()) / of_them.sum()
            assert combined.uncertainty[index] == pytest.approx(error, rel=1e-4, abs=2e-6 * scale)


def test_equal_weights_are_no_weights() -> None:
    cube = np.random.default_rng(1).normal(0, 1, (9, 5, 6)).astype(np.float32)
    none = np.zeros(cube.shape, bool)
    plain = combine_by(cube, none, Rule(clip="sigma"))
    weighted = combine_by(cube, none, Rule(clip="sigma", weights=(2.5,) * 9))
    np.testing.assert_allclose(weighted.pixels, plain.pixels, rtol=1e-6)
    np.testing.assert_allclose(weighted.uncertainty, plain.uncertainty, rtol=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"average": "median", "weights": (1.0,)},
        {"clip": "extrema", "weights": (1.0,)},
        {"weights": (0.0, 1.0)},
        {"weights": (float("nan"),)},
        {"clip": "sigma", "low": -1.0},
        {"iterations": -1},
    ],
)
def test_rules_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\."):
        Rule(**wrong)


@given(
    hnp.arrays(
        np.float64,
        st.tuples(st.integers(3, 40), st.integers(3, 300)),
        elements=st.floats(-1e6, 1e6),
    ),
    st.integers(3, 40),
)
def test_the_running_median_is_scipys(values: np.ndarray, size: int) -> None:
    size = min(size, *values.shape)
    expected = ndimage.median_filter(values, (size, 1), mode="reflect")
    assert np.array_equal(median_down(values, size), expected)
