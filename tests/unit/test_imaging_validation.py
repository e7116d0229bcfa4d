"""How much a master has changed, against a plain reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from toros.common.errors import MixedShapes
from toros.imaging.validation import change_of

SHAPE = (70, 90)


def write(path: Path, pixels: Any, error: Any, mask: Any) -> Path:
    hdus = [
        fits.PrimaryHDU(np.asarray(pixels, np.float32)),
        fits.ImageHDU(np.asarray(error, np.float32), name="UNCERT"),
        fits.ImageHDU(np.asarray(mask, np.uint8), name="MASK"),
    ]
    fits.HDUList(hdus).writeto(path)
    return path


@pytest.mark.parametrize("seed", range(4))
def test_it_is_what_a_plain_comparison_finds(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    files, planes = [], []
    for name in ("new", "old"):
        pixels = random.normal(100, 3, SHAPE) + 40 * (random.random(SHAPE) < 0.1)
        error, mask = random.uniform(0.5, 2, SHAPE), random.random(SHAPE) < 0.2
        files.append(write(tmp_path / f"{name}.fits", pixels, error, mask))
        planes.append((pixels.astype(np.float32), error.astype(np.float32), mask))
    (new, new_error, new_mask), (old, old_error, old_mask) = planes
    changed = np.abs(new - old) > 3 * np.sqrt(new_error**2 + old_error**2) + 2
    wanted = ((changed | new_mask) & ~old_mask).sum() / (~old_mask).sum()
    found = change_of(*files, sigma=3, tolerance=2)
    assert found.fraction == pytest.approx(wanted, abs=1e-3)
    assert 0.2 < found.fraction < 0.9
    assert found.median == pytest.approx(np.median((new - old)[~(new_mask | old_mask)]), abs=0.05)


def test_a_level_that_has_moved_is_told(tmp_path: Path) -> None:
    ones, none = np.ones(SHAPE), np.zeros(SHAPE)
    new = write(tmp_path / "new.fits", 112 * ones, ones, none)
    old = write(tmp_path / "old.fits", 100 * ones, ones, none)
    assert change_of(new, old, sigma=6, tolerance=3).fraction == 1.0
    assert change_of(new, old, sigma=6, tolerance=5).fraction == 0.0
    assert change_of(new, old, sigma=6, tolerance=5).median == 12.0


def test_nothing_to_compare_is_no_change(tmp_path: Path) -> None:
    ones = np.ones(SHAPE)
    new = write(tmp_path / "new.fits", 500 * ones, ones, 0 * ones)
    old = write(tmp_path / "old.fits", 100 * ones, ones, ones)
    assert change_of(new, old, sigma=6, tolerance=5).fraction == 0.0


def test_another_size_is_another_camera(tmp_path: Path) -> None:
    ones, none = np.ones(SHAPE), np.zeros(SHAPE)
    new = write(tmp_path / "new.fits", ones, ones, none)
    old = write(tmp_path / "old.fits", ones[:10], ones[:10], none[:10])
    with pytest.raises(MixedShapes):
        change_of(new, old, sigma=6, tolerance=5)
