"""Frames whose level is that of each row's own overscan, against their truth, by our UNCERT.

A detector of high read noise and little light, whose level wanders from row to row; counts are
whole. ``((made - truth) / uncertainty)²`` has a mean of 1.00 ± 0.02 over the pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from toros.imaging.calibrate import calibrate_light
from toros.imaging.frames import read_master
from toros.imaging.masters import make_master_bias, make_master_dark, make_master_flat
from toros.imaging.options import ReductionOptions

SHAPE = (1500, 240)
GAIN = 5.0  # e-/ADU
SKY_E = 60.0
ROW = ReductionOptions(overscan="row")
# The issue's own tolerance.
TOLERANCE = 0.02


@dataclass
class Camera:
    """Takes raw frames of one or more amplifiers beside each other, each with its own overscan."""

    folder: Path
    columns: tuple[int, ...]  # of overscan, by amplifier
    noise_adu: float = 4.0
    wander_adu: float = 1.5  # of the level, from row to row
    tells: bool = True  # its read noise
    gains: tuple[float, ...] = (GAIN,)  # [e-/ADU], of all amplifiers or of each
    tells_gain: bool = True
    upright: bool = False  # the overscan lies above the data
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(11))

    def read_noise_e(self, amplifier: int = 0) -> float:
        """Of counts that are rounded."""
        return self._gain(amplifier) * float(np.hypot(self.noise_adu, 1 / np.sqrt(12)))

    def _gain(self, amplifier: int) -> float:
        return self.gains[min(amplifier, len(self.gains) - 1)]

    def take(
        self, name: str, kind: str = "bias", light_e: float = 0.0, exptime_s: float = 0.0
    ) -> Path:
        cards: dict[str, object] = {}
        parts, x = [], 0
        edges = np.linspace(0, SHAPE[1], len(self.columns) + 1).astype(int)
        for number, (columns, (start, stop)) in enumerate(
            zip(self.columns, pairwise(edges), strict=True)
        ):
            parts.append(self._read_out(stop - start, columns, light_e, self._gain(number)))
            end = x + stop - start
            cards |= self._cards(
                f"{number + 1}" if len(self.columns) > 1 else "",
                number,
                {
                    "DATASEC": self._section(x, end),
                    "BIASSEC": self._section(end, end + columns),
                    "DETSEC": self._section(start, stop),
                },
            )
            x = end + columns
        raw = np.hstack(parts)
        header = fits.Header(
            {"IMAGETYP": kind, "EXPTIME": exptime_s, "INSTRUME": "rows", "FILTER": "r",
             "DATE-OBS": "2024-03-10T03:00:00", **cards}
        )  # fmt: skip
        path = self.folder / f"{name}.fits"
        fits.PrimaryHDU(raw.T if self.upright else raw, header).writeto(path)
        return path

    def _cards(self, suffix: str, amplifier: int, sections: dict[str, str]) -> dict[str, object]:
        cards: dict[str, object] = {key + suffix: value for key, value in sections.items()}
        if self.tells_gain:
            cards[f"EGAIN{suffix}"] = self._gain(amplifier)
        if self.tells:
            cards[f"RDNOISE{suffix}"] = self.read_noise_e(amplifier)
        return cards

    def _section(self, start: int, stop: int) -> str:
        along, across = f"{start + 1}:{stop}", f"1:{SHAPE[0]}"
        return f"[{across},{along}]" if self.upright else f"[{along},{across}]"

    def _read_out(self, width: int, columns: int, light_e: float, gain: float) -> np.ndarray:
        level = 1000 + np.cumsum(self.rng.normal(0, self.wander_adu, SHAPE[0]))
        light = np.zeros((SHAPE[0], width + columns))
        light[:, :width] = self.rng.poisson(light_e, (SHAPE[0], width)) / gain
        read = self.rng.normal(0, self.noise_adu, light.shape)
        return np.round(level[:, np.newaxis] + light + read).astype(np.uint16)

    def several(
        self, kind: str, count: int, light_e: float = 0.0, exptime_s: float = 0.0
    ) -> list[Path]:
        return [self.take(f"{kind}{i}", kind, light_e, exptime_s) for i in range(count)]


def chi_squared(path: Path, truth: float) -> float:
    made = read_master(path)
    assert made.uncertainty is not None
    assert not made.mask.any()
    return float(np.mean(((made.pixels - truth) / made.uncertainty).astype(np.float64) ** 2))


def bias_of(camera: Camera, out: Path, frames: int = 11) -> Path:
    return make_master_bias(camera.several("bias", frames), out / "bias.fits", ROW).path


@pytest.mark.parametrize(
    ("columns", "noise_adu"),
    [((16,), 4.0), ((25,), 4.0), ((50,), 4.0), ((50,), 1.5), ((32, 8), 4.0)],
)
@pytest.mark.parametrize("tells", [True, False], ids=["told", "measured"])
def test_a_light_knows_the_error_of_its_rows_levels(
    tmp_path: Path, columns: tuple[int, ...], noise_adu: float, tells: bool
) -> None:
    camera = Camera(tmp_path, columns, noise_adu, tells=tells)
    bias = bias_of(camera, tmp_path / "out")
    # Little light, but enough that a pixel's counts tell its photon noise.
    sky = SKY_E if noise_adu > 2 else 5 * SKY_E
    light = camera.take("light", "light", sky, 10.0)
    result = calibrate_light(
        light, tmp_path / "c.fits", bias=bias, dark=None, flat=None, options=ROW
    )
    assert chi_squared(result.path, sky) == pytest.approx(1, abs=TOLERANCE)
    # The level's error is not the read noise, which the header tells.
    assert result.read_noise_e == pytest.approx(camera.read_noise_e(), rel=0.01)


def test_amplifiers_that_differ_know_each_their_own(tmp_path: Path) -> None:
    gains, columns, noise_adu = (4.0, 6.0), (32, 8), 4.0
    camera = Camera(tmp_path, columns, noise_adu, gains=gains)
    bias = bias_of(camera, tmp_path)
    light = camera.take("light", "light", SKY_E, 10.0)
    result = calibrate_light(
        light, tmp_path / "c.fits", bias=bias, dark=None, flat=None, options=ROW
    )
    made, middle = read_master(result.path), SHAPE[1] // 2
    assert made.uncertainty is not None
    chi = ((made.pixels - SKY_E) / made.uncertainty).astype(np.float64) ** 2
    for half in (chi[:, :middle], chi[:, middle:]):
        assert half.mean() == pytest.approx(1, abs=TOLERANCE)


@pytest.mark.parametrize("frames", [1, 11])
def test_biases_and_darks_do_not_count_it_twice(tmp_path: Path, frames: int) -> None:
    camera = Camera(tmp_path, (16,))
    bias = bias_of(camera, tmp_path, frames)
    assert chi_squared(bias, 0.0) == pytest.approx(1, abs=TOLERANCE)
    # That of a pixel alone: a single frame tells it, and so do pairs.
    told = fits.getval(bias, "RDNOISE")
    assert told == pytest.approx(camera.read_noise_e(), rel=0.01)
    darks = camera.several("dark", frames, exptime_s=60.0)
    dark = make_master_dark(darks, tmp_path / "d.fits", bias=bias, options=ROW)
    assert chi_squared(dark.path, 0.0) == pytest.approx(1, abs=TOLERANCE)


def test_faint_flats_know_it(tmp_path: Path) -> None:
    camera = Camera(tmp_path, (8,))
    bias = bias_of(camera, tmp_path)
    flats = camera.several("flat", 7, light_e=500.0, exptime_s=5.0)
    flat = make_master_flat(flats, tmp_path / "f.fits", bias=bias, dark=None, options=ROW)
    assert chi_squared(flat.path, 1.0) == pytest.approx(1, abs=TOLERANCE)


@pytest.mark.parametrize("upright", [False, True], ids=["beside", "above"])
def test_without_a_gain_the_sky_shows_it_where_neighbours_do_not_share_it(
    tmp_path: Path, upright: bool
) -> None:
    camera = Camera(tmp_path, (8,), tells=False, tells_gain=False, upright=upright)
    bias = bias_of(camera, tmp_path)
    light = camera.take("light", "light", SKY_E, 10.0)
    result = calibrate_light(
        light, tmp_path / "c.fits", bias=bias, dark=None, flat=None, options=ROW
    )
    assert result.unit == "adu"
    assert chi_squared(result.path, SKY_E / GAIN) == pytest.approx(1, abs=TOLERANCE)


@pytest.mark.parametrize("method", ["fit", "median"])
def test_the_error_of_a_level_of_all_rows_is_too_small_to_count(
    tmp_path: Path, method: str
) -> None:
    options = ReductionOptions(overscan=method)  # type: ignore[arg-type]
    camera = Camera(tmp_path, (16,), wander_adu=0.0)
    bias = make_master_bias(camera.several("bias", 11), tmp_path / "b.fits", options).path
    light = camera.take("light", "light", SKY_E, 10.0)
    result = calibrate_light(
        light, tmp_path / "c.fits", bias=bias, dark=None, flat=None, options=options
    )
    assert chi_squared(result.path, SKY_E) == pytest.approx(1, abs=TOLERANCE)
