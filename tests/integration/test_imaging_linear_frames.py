"""A detector that is not linear: flats and lights of it, with a bias or with an overscan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from toros.imaging.calibrate import calibrate_light
from toros.imaging.masters import make_master_bias, make_master_flat
from toros.imaging.options import ReductionOptions

SHAPE, OVERSCAN_PX = (64, 80), 16
COEFFICIENT = 2e-6
BENT = ReductionOptions(linearity=(COEFFICIENT,))
GAIN, LEVEL_ADU = 2.0, 1000.0
SECTIONS = {"BIASSEC": "[81:96,1:64]", "TRIMSEC": "[1:80,1:64]"}


def response() -> np.ndarray:
    """Return a flat field that falls by a half to the corners."""
    y, x = np.indices(SHAPE)
    flat = 1 - 0.5 * ((y - 32) ** 2 + (x - 40) ** 2) / (32**2 + 40**2)
    return flat / flat.mean()


def counted(true_adu: np.ndarray) -> np.ndarray:
    """Return what the detector makes of counts: the inverse of `toros.imaging.linearity`."""
    return (np.sqrt(1 + 4 * COEFFICIENT * true_adu) - 1) / (2 * COEFFICIENT)


def take(path: Path, kind: str, light_adu: float, rng: Any, **cards: Any) -> Path:
    electrons = rng.poisson(light_adu * response() * GAIN)
    adu = counted(electrons / GAIN) + LEVEL_ADU
    over = np.full((SHAPE[0], OVERSCAN_PX), LEVEL_ADU)
    raw = np.hstack([adu, over]) + rng.normal(0, 2, (SHAPE[0], SHAPE[1] + OVERSCAN_PX))
    if "BIASSEC" not in cards:
        raw = raw[:, : SHAPE[1]]
    header = fits.Header({"IMAGETYP": kind, "EXPTIME": 2.0, "EGAIN": GAIN, "RDNOISE": 4.0, **cards})
    fits.PrimaryHDU(np.round(raw).astype(np.uint16), header).writeto(path)
    return path


@pytest.mark.parametrize("cards", [{}, SECTIONS], ids=["bias", "overscan"])
def test_flat_and_light_are_made_linear_alike(tmp_path: Path, cards: dict[str, str]) -> None:
    rng = np.random.default_rng(4)
    bias = None
    if not cards:
        biases = [take(tmp_path / f"b{i}.fits", "bias", 0.0, rng) for i in range(5)]
        bias = make_master_bias(biases, tmp_path / "bias.fits").path
    flats = [
        take(tmp_path / f"f{i}.fits", "flat", level, rng, **cards)
        for i, level in enumerate((40000.0, 36000.0, 32000.0, 28000.0, 24000.0))
    ]
    made = make_master_flat(flats, tmp_path / "flat.fits", bias=bias, dark=None, options=BENT)
    assert made.notes == ()
    assert fits.getdata(made.path) / response() == pytest.approx(1, abs=0.015)
    ratio = fits.getdata(made.path) / response()
    # The corners have a half of the light of the middle: 3 % less bent.
    assert ratio[:8, :8].mean() / ratio[28:36, 36:44].mean() == pytest.approx(1, abs=0.002)
    raw = take(tmp_path / "l.fits", "light", 30000.0, rng, **cards)
    light = calibrate_light(
        raw, tmp_path / "c.fits", bias=bias, dark=None, flat=made.path, options=BENT
    )
    assert light.sky_level == pytest.approx(30000 * GAIN, rel=0.001)


def test_without_a_level_nothing_is_made_linear_and_no_gain_is_measured(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    trimmed = {"TRIMSEC": "[3:80,1:64]"}
    flats = [take(tmp_path / f"f{i}.fits", "flat", 20000.0, rng, **trimmed) for i in range(4)]
    made = make_master_flat(flats, tmp_path / "flat.fits", bias=None, dark=None, options=BENT)
    assert any("pedestal is in this flat" in note for note in made.notes)
    assert any("linearity is not corrected" in note for note in made.notes)
    assert made.measured_gain_e_adu is None
