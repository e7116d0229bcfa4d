"""The width of stars, against stars of a known one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.modeling.functional_models import Moffat2D
from hypothesis import given, settings
from hypothesis import strategies as st
from photutils.psf import fit_fwhm

from toros.imaging.calibrate import calibrate_light
from toros.imaging.light_result import CalibratedResult
from toros.imaging.products import Strip
from toros.imaging.star_width import StarWidth, star_width, widths_of

SKY, READ_NOISE = 300.0, 8.0


def add_star(
    image: np.ndarray, y: float, x: float, peak: float, fwhm: float, beta: float, axis_ratio: float
) -> None:
    """Add a Moffat profile, `axis_ratio` times as long along the diagonal, of the same area."""
    half = int(6 * fwhm)
    rows = slice(max(int(y) - half, 0), int(y) + half)
    columns = slice(max(int(x) - half, 0), int(x) + half)
    part = image[rows, columns]
    j, i = np.indices(part.shape)
    j, i = j + rows.start - y, i + columns.start - x
    along, across = (i + j) / np.sqrt(2 * axis_ratio), (i - j) * np.sqrt(axis_ratio / 2)
    core = fwhm / 2 / np.sqrt(2 ** (1 / beta) - 1)
    part += Moffat2D(peak, 0, 0, core, beta)(along, across)


def field(
    shape: tuple[int, int],
    fwhm: float,
    *,
    seed: int = 1,
    beta: float = 3.5,
    axis_ratio: float = 1.0,
    every: int = 60,
) -> np.ndarray:
    """Stars on a grid, each somewhere in its pixel, of all brightnesses, with noise [electron]."""
    rng = np.random.default_rng(seed)
    image = np.full(shape, SKY)
    for y in range(30, shape[0] - 29, every):
        for x in range(30, shape[1] - 29, every):
            down, right = rng.uniform(-0.5, 0.5, 2)
            peak = 10 ** rng.uniform(2.9, 4.6)
            add_star(image, y + down, x + right, peak, fwhm, beta, axis_ratio)
    return (rng.poisson(image) + rng.normal(0, READ_NOISE, shape)).astype(np.float32)


def measured(image: np.ndarray, bad: np.ndarray | None = None) -> StarWidth | None:
    mask = np.zeros(image.shape, np.uint8) if bad is None else bad.astype(np.uint8)
    return star_width(lambda rows: Strip(image[rows], image[rows], mask[rows]), image.shape)


@settings(max_examples=25)
@given(
    fwhm=st.floats(3.0, 10.0),
    beta=st.floats(2.5, 20.0),
    axis_ratio=st.floats(1.0, 1.5),
    seed=st.integers(0, 2**31),
)
def test_the_width_is_found_to_three_per_cent(
    fwhm: float, beta: float, axis_ratio: float, seed: int
) -> None:
    image = field((420, 420), fwhm, seed=seed, beta=beta, axis_ratio=axis_ratio)
    found = measured(image)
    assert found is not None
    assert found.stars > 15
    # And what the median of some stars may be off.
    assert found.fwhm == pytest.approx(fwhm, rel=0.045)


@pytest.mark.parametrize("fwhm", [3.0, 4.5, 7.0, 10.0])
@pytest.mark.parametrize("beta", [2.5, 3.5, 10.0])
def test_of_many_stars(fwhm: float, beta: float) -> None:
    widths = widths_of(field((600, 600), fwhm, beta=beta), np.zeros((600, 600), bool))
    assert widths.size > 40
    assert np.median(widths) == pytest.approx(fwhm, rel=0.03)


@pytest.mark.parametrize(("fwhm", "beta", "too_wide"), [(2.2, 2.5, 0.07), (1.8, 50.0, 0.01)])
def test_narrow_stars_with_wings_come_out_too_wide(
    fwhm: float, beta: float, too_wide: float
) -> None:
    widths = widths_of(field((600, 600), fwhm, beta=beta), np.zeros((600, 600), bool))
    assert fwhm * 0.99 < np.median(widths) < fwhm * (1 + too_wide)


def test_as_photutils_finds_it() -> None:
    # Of its pixels a Gaussian's integral is fitted there, its middle here: 3 % at this width.
    image = field((600, 600), 5.0, beta=50.0)
    grid = [(x, y) for x in range(30, 571, 60) for y in range(30, 571, 60)]
    theirs = fit_fwhm(image.astype(float) - SKY, xypos=grid, fit_shape=15, fwhm=5.0)
    ours = widths_of(image, np.zeros(image.shape, bool))
    assert np.median(ours) == pytest.approx(float(np.median(theirs)), rel=0.03)


def test_cosmic_rays_and_noise_are_no_stars() -> None:
    rng = np.random.default_rng(5)
    image = rng.normal(SKY, 18, (800, 900)).astype(np.float32)
    image.reshape(-1)[rng.integers(0, image.size, 2000)] += 5000
    for y, x in rng.integers(20, 780, (300, 2)):  # tracks, one pixel wide
        image[y, x : x + 6] += 3000
        image[y + np.arange(5), x + np.arange(5)] += 3000
    assert measured(image) is None


@pytest.mark.parametrize("height", [25, 800])
def test_the_lines_of_a_lamp_are_no_stars(height: int) -> None:
    y, x = np.indices((800, 900))
    image = np.full(y.shape, SKY)
    inside = np.abs(y - 400) < height / 2
    for line in range(40, 880, 45):
        image += np.where(inside, 6000 * np.exp(-((x - line - 0.4) ** 2) / 5), 0)
    noisy = np.random.default_rng(3).poisson(image).astype(np.float32)
    assert measured(noisy) is None


def test_trailed_stars_are_told() -> None:
    # As wide as a circle of the same area: three times as long as wide.
    found = measured(field((600, 600), 5.0, axis_ratio=3.0))
    assert found is not None
    assert found.fwhm == pytest.approx(5.0, rel=0.1)


def test_cosmic_rays_beside_stars_change_little() -> None:
    image = field((900, 900), 4.0)
    rng = np.random.default_rng(5)
    image.reshape(-1)[rng.integers(0, image.size, 500)] += 8000
    found = measured(image)
    assert found is not None
    assert found.fwhm == pytest.approx(4.0, rel=0.03)


def test_pairs_and_masked_stars_are_left_out() -> None:
    image = field((600, 600), 4.0)
    bad = np.zeros(image.shape, bool)
    bad[:, :420] = True  # of ten columns of stars seven
    assert 20 < widths_of(image, bad).size <= 30 < widths_of(image, bad & False).size

    crowded = np.full((600, 600), SKY)
    for y in range(30, 571, 60):
        for x in range(30, 571, 60):
            add_star(crowded, y, x, 8000, 4.0, 3.5, 1.0)
            add_star(crowded, y + 1, x + 8, 7000, 4.0, 3.5, 1.0)
    noisy = np.random.default_rng(2).poisson(crowded).astype(np.float32)
    assert widths_of(noisy, np.zeros(noisy.shape, bool)).size == 0


@pytest.mark.parametrize("shape", [(1, 1), (24, 24), (25, 25), (5, 4000), (2000, 3)])
def test_frames_that_are_too_small_tell_nothing(shape: tuple[int, int]) -> None:
    for value in (0.0, 100.0):
        assert measured(np.full(shape, value, np.float32)) is None


def test_a_frame_that_is_all_bad_tells_nothing() -> None:
    image = field((300, 300), 4.0)
    assert measured(image, np.ones(image.shape, bool)) is None


def test_of_a_large_frame_some_rows_are_read_and_more_where_stars_are_few() -> None:
    shape = (3000, 1500)
    asked: list[slice] = []

    def read(image: np.ndarray) -> StarWidth | None:
        def strip(rows: slice) -> Strip:
            asked.append(rows)
            return Strip(image[rows], image[rows], np.zeros(image[rows].shape, np.uint8))

        asked.clear()
        return star_width(strip, shape)

    many = read(field(shape, 4.0))
    few_rows = sum(rows.stop - rows.start for rows in asked)
    few = read(field(shape, 4.0, every=270))
    more_rows = sum(rows.stop - rows.start for rows in asked)
    assert many is not None
    assert few is not None
    assert many.stars >= 20
    assert few_rows < 500 < more_rows
    assert few.fwhm == pytest.approx(many.fwhm, rel=0.06)
    assert read(np.full(shape, SKY, np.float32)) is None
    assert sum(rows.stop - rows.start for rows in asked) == few_rows


def calibrated(folder: Path, image: np.ndarray, **cards: object) -> tuple[CalibratedResult, Path]:
    hdu = fits.PrimaryHDU(np.clip(np.round(image), 0, 65535).astype(np.uint16))
    hdu.header.update({"IMAGETYP": "light", "EXPTIME": 60.0, "EGAIN": 1.0, "RDNOISE": 8.0} | cards)
    hdu.writeto(folder / "light.fits")
    result = calibrate_light(
        folder / "light.fits", folder / "c.fits", bias=None, dark=None, flat=None
    )
    return result, folder / "c.fits"


def test_it_stands_in_the_header(tmp_path: Path) -> None:
    # What the camera's program wrote is of other pixels.
    result, path = calibrated(tmp_path, field((420, 420), 4.0), FWHM=9.9)
    with fits.open(path, checksum=True) as hdus:
        card = hdus[0].header.cards["FWHM"]
    assert card.value == result.fwhm == pytest.approx(4.0, rel=0.04)
    assert card.comment == f"[pixel] of the stars, median of {result.fwhm_stars}"
    assert result.fwhm_stars > 20


def test_without_stars_there_is_no_card_and_the_header_says_why(tmp_path: Path) -> None:
    image = np.random.default_rng(1).normal(SKY, 18, (300, 310))
    result, path = calibrated(tmp_path, image, FWHM=9.9)
    with fits.open(path, checksum=True) as hdus:
        header = hdus[0].header
    assert result.fwhm is None
    assert "FWHM" not in header
    assert any("FWHM not measured" in line for line in header["HISTORY"])
