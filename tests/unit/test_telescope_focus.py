"""The sizes of stars and the best focus, against images whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toros.telescope.focus import offset_is_known
from toros.telescope.star_size import best_focus, star_size

MAX_ADU = 65535.0


def field(fwhm_px: float, seed: int = 3, stars: int = 30) -> np.ndarray:
    """Return Gaussian stars on a noisy sky."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((512, 512), dtype=float)
    image = rng.normal(1200.0, 8.0, (512, 512))
    sigma = fwhm_px / 2.3548
    for row, column in rng.uniform(30, 480, (stars, 2)):
        flux = rng.uniform(2e4, 2e5)
        shape = np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * sigma**2))
        image += flux * shape / (2 * np.pi * sigma**2)
    return np.clip(np.rint(image), 0, MAX_ADU).astype(np.uint16)


@pytest.mark.parametrize("fwhm_px", [2.5, 4.0, 7.0])
def test_the_half_flux_diameter_of_a_gaussian_is_its_fwhm(fwhm_px: float) -> None:
    # Half of a Gaussian's light lies within the radius at which it has fallen to half.
    found = star_size(field(fwhm_px), MAX_ADU)
    assert found.stars >= 10
    assert found.diameter_px == pytest.approx(fwhm_px, rel=0.12)


def test_a_frame_without_stars_says_so() -> None:
    rng = np.random.default_rng(1)
    empty = rng.normal(1000, 5, (256, 256)).astype(np.uint16)
    assert star_size(empty, MAX_ADU).stars <= 1
    assert star_size(np.full((64, 64), 1000, np.uint16), MAX_ADU).stars == 0


def test_saturated_stars_are_left_out() -> None:
    frame = field(3.0)
    frame[frame > 4000] = 65535
    assert star_size(frame, MAX_ADU).stars < star_size(field(3.0), MAX_ADU).stars


@given(st.integers(9400, 10600), st.floats(2.0, 5.0), st.integers(0, 1000))
def test_the_vertex_is_where_the_stars_are_smallest(best: int, seeing: float, seed: int) -> None:
    positions = 10000 + 300 * np.arange(-3, 4)
    noise = np.random.default_rng(seed).normal(1, 0.01, 7)
    sizes = np.hypot(seeing, 0.004 * (positions - best)) * noise
    found = best_focus(positions, sizes)
    assert found.position is not None
    assert found.position == pytest.approx(best, abs=150)
    assert found.diameter_px == pytest.approx(seeing, rel=0.05)


@pytest.mark.parametrize(
    ("sizes", "why"),
    [
        ([np.nan] * 5 + [3.0, 3.1], "enough stars"),
        ([3.0, 3.5, 4.0, 4.2, 4.0, 3.5, 3.0], "grow towards the middle"),
        ([4.7, 5.7, 6.7, 7.8, 8.9, 10.0, 11.2], "outside"),
    ],
)
def test_what_is_no_focus_is_not_taken_for_one(sizes: list[float], why: str) -> None:
    found = best_focus(np.arange(7) * 300, np.array(sizes))
    assert found.position is None
    assert why in found.why_not


@pytest.mark.parametrize(
    ("before", "after", "known"),
    [("r", "R", True), ("u", "u", True), ("g", "r", True), ("g", "u", False), ("u", "r", False)],
)
def test_the_focus_follows_from_another_filters_where_both_have_an_offset(
    before: str, after: str, known: bool
) -> None:
    assert offset_is_known(before, after, ["g", "r", "i"]) is known
