"""Medians and quantiles by sorting, to the last bit as numpy finds them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from toros.imaging.medians import median_of, medians_of_rows, quantile_of_sorted

VALUES = st.one_of(
    st.integers(-5, 5).map(float), st.floats(-1e6, 1e6, width=32, allow_subnormal=False)
)
LISTS = hnp.arrays(np.float32, st.integers(1, 60), elements=VALUES)


@given(LISTS, st.sampled_from([np.float32, np.float64]))
def test_a_median_is_that_of_numpy(values: np.ndarray, kind: type[np.floating]) -> None:
    values = values.astype(kind)
    assert median_of(values) == np.median(values)


@pytest.mark.parametrize("shape", [(1000, 6), (77, 1001)])
def test_a_median_of_many_is_that_of_numpy(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(shape[0]).normal(0, 1, shape).astype(np.float32)
    assert median_of(values) == np.median(values)


@given(LISTS, st.integers(0, 59))
def test_with_a_value_that_is_none_there_is_no_median(values: np.ndarray, at: int) -> None:
    values[at % values.size] = np.nan
    assert np.isnan(median_of(values))


@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2), elements=VALUES))
def test_medians_of_rows_are_those_of_numpy(values: np.ndarray) -> None:
    found = medians_of_rows(values)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.median(values, axis=1))


@given(LISTS, st.floats(0, 1))
def test_a_quantile_is_that_of_numpy(values: np.ndarray, part: float) -> None:
    # In a list, or numpy would round the result to the type of the values.
    assert quantile_of_sorted(np.sort(values), part) == np.quantile(values, [part])[0]
