"""A picture stands in its frame as it is, and what is written around it is true."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from toros.imaging import picture_frame
from toros.imaging.picture_frame import _LEFT, _TOP, _places, _round_step, framed
from toros.imaging.preview import write_preview

LEVELS = ["0", "50", "100"]


def page(grey: NDArray[np.uint8], title: str = "NGC 4993", unit: str = "electron") -> Image.Image:
    height, width = grey.shape
    return framed(grey, (6 * height, 6 * width), title, LEVELS, unit)


def ink(image: Image.Image) -> NDArray[np.bool_]:
    return np.asarray(image) < 128


def test_the_picture_is_in_it_with_the_first_row_at_the_bottom() -> None:
    grey = np.random.default_rng(1).integers(0, 256, (120, 200), np.uint8)
    shown = np.asarray(page(grey))[_TOP : _TOP + 120, _LEFT : _LEFT + 200]
    np.testing.assert_array_equal(shown, np.flipud(grey))


def test_the_scale_goes_from_black_at_the_bottom_to_white_at_the_top() -> None:
    made = np.asarray(page(np.full((300, 300), 128, np.uint8)))
    middle = _LEFT + 300 + picture_frame._GAP + picture_frame._BAR // 2
    column = made[_TOP : _TOP + 300, middle].astype(int)
    assert (column[0], column[-1]) == (255, 0)
    assert (np.diff(column) <= 0).all()


@given(st.integers(1, 100_000), st.integers(1, 2000), st.integers(30, 80))
def test_numbers_stand_at_their_pixels_and_not_too_close(
    pixels: int, length: int, apart: int
) -> None:
    found = list(_places(pixels, length, apart))
    for number, place in found:
        assert 1 <= number <= pixels
        # Pixel n covers n - 1 to n, of as many as there are.
        assert place == pytest.approx((number - 0.5) * length / pixels, abs=1)
    places = [place for _number, place in found]
    assert all(after - before >= apart - 1 for before, after in pairwise(places))


@given(st.floats(1e-3, 1e9))
def test_steps_are_round_and_no_larger_than_need_be(least: float) -> None:
    step = _round_step(least)
    assert str(step).rstrip("0") in ("1", "2", "5")
    assert step >= least
    assert step == 1 or step <= 2.5 * least


def test_a_long_title_is_cut_and_stays_on_the_page() -> None:
    grey = np.zeros((100, 100), np.uint8)
    long, short = page(grey, "M 31 " * 100), page(grey, "")
    assert long.size == short.size
    title = ink(long)[: _TOP - 2]
    assert title.any()
    assert not title[:, :3].any()
    assert not title[:, -3:].any()


@pytest.mark.parametrize("text", ["", "two\nlines", "a\tb\x00c", "\udcff no UTF-8", "α Cen · é"])
def test_any_text_can_be_written(text: str) -> None:
    assert page(np.zeros((50, 50), np.uint8), text, text).mode == "L"


def test_without_the_font_it_is_said_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    picture_frame._font.cache_clear()
    monkeypatch.setattr(picture_frame, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="matplotlib is not installed"):
        page(np.zeros((50, 50), np.uint8))


def test_the_same_picture_gives_the_same_bytes(tmp_path: Path) -> None:
    grey = np.random.default_rng(2).integers(0, 256, (90, 90), np.uint8)
    made = [tmp_path / name for name in ("a.png", "b.png")]
    for path in made:
        page(grey).save(path)
    assert made[0].read_bytes() == made[1].read_bytes()


@pytest.mark.parametrize(("side", "shown"), [(50, 14 * 50), (704, 704), (1500, 500)])
def test_a_preview_shows_every_pixel_alike(side: int, shown: int, tmp_path: Path) -> None:
    """Small images are enlarged by a whole number, large ones averaged: all pixels are as wide."""
    pixels = np.tile(np.linspace(100.0, 200.0, side, dtype=np.float32), (side, 1))
    pixels[: side // 10, :] = np.nan
    fits.PrimaryHDU(pixels).writeto(tmp_path / "ramp.fits")
    with Image.open(write_preview(tmp_path / "ramp.fits", tmp_path / "ramp.png")) as picture:
        grey = np.asarray(picture)[_TOP : _TOP + shown, _LEFT : _LEFT + shown].astype(int)
    good, none = grey[: -shown // 10 - 3], grey[-shown // 10 + 3 :]
    assert (good == good[0]).all()
    assert (np.diff(good[0]) >= 0).all()
    assert (good[0, 0], good[0, -1]) == (0, 255)
    # What has no value is white, at the bottom, where the first rows are.
    assert (none == 255).all()


@pytest.mark.parametrize("side", [352, 1408])
def test_pixels_without_data_do_not_decide_how_a_preview_looks(side: int, tmp_path: Path) -> None:
    """As in a light of which a part was not read out, or with a gap between its detectors."""
    pixels = np.random.default_rng(1).normal(2000, 45, (side, side)).astype(np.float32)
    lacking = np.zeros((side, side), np.uint8)
    lacking[: side // 8] = 1
    pixels[lacking == 1] = -2200.0
    image = fits.PrimaryHDU(pixels, fits.Header({"NMASKED": int(lacking.sum())}))
    mask = fits.ImageHDU(lacking, name="MASK")
    fits.HDUList([image, mask]).writeto(tmp_path / "light.fits")
    with Image.open(write_preview(tmp_path / "light.fits", tmp_path / "light.png")) as picture:
        grey = np.asarray(picture)[_TOP : _TOP + 704, _LEFT : _LEFT + 704].astype(int)
    sky, none = grey[: 7 * 88 - 2], grey[7 * 88 + 2 :]
    assert sky.std() > 20  # its noise is seen
    assert (none == 255).all()
