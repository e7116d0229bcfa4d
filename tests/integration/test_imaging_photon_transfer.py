"""Photon transfer on real frames: an SBIG STL-1001, evenly lit, at four levels."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from toros.imaging.frames import read_frame
from toros.imaging.headers import read_exposure
from toros.imaging.noise import read_noise_of_pair
from toros.imaging.photon_transfer import gain_of_pair

Pixels = np.ndarray


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    found = shared_data / "ccd" / "stl1001"
    if not found.is_dir():
        pytest.skip(f"the real set stl1001 is not at {found}")
    return found


def pixels(path: Path) -> Pixels:
    return read_frame(path, read_exposure(path)).pixels


@pytest.fixture(scope="module")
def biases(folder: Path) -> dict[str, Pixels]:
    return {path.name: pixels(path) for path in sorted(folder.glob("*.BIAS.FIT"))}


@pytest.fixture(scope="module")
def lit(folder: Path) -> list[Pixels]:
    return [pixels(path) for path in sorted(folder.glob("*.NOAUTODARK.FIT"))]


def test_every_pair_of_biases_tells_the_same_read_noise(biases: dict[str, Pixels]) -> None:
    found = [read_noise_of_pair(a, b) for a, b in combinations(biases.values(), 2)]
    assert len(found) == 3
    # A variance of a million pixels is known to 0.14 %: the pairs agree, one at -15 C among them.
    assert np.ptp(found) < 0.003 * np.mean(found)
    # The maker tells 15 e- for this camera; its header tells 2.06 e-/ADU.
    assert np.mean(found) * 2.06 == pytest.approx(15, rel=0.05)


def test_the_gain_of_pairs_is_that_of_the_header(
    folder: Path, biases: dict[str, Pixels], lit: list[Pixels]
) -> None:
    told = read_exposure(next(iter(sorted(folder.glob("*.NOAUTODARK.FIT"))))).gain_e_adu
    assert told == 2.06
    warm = [frame for name, frame in biases.items() if name.startswith("lab1_bias")]
    noise = read_noise_of_pair(*warm)
    bias = np.mean(warm, axis=0)
    gains = []
    for first, second in combinations(lit, 2):
        found = gain_of_pair(first - bias, second - bias, noise)
        assert found is not None
        assert found.blocks == 256
        gains.append(found.gain_e_adu)
    # Brighter pairs tell a little less, as charge of full pixels repels its like: within 2 %.
    assert np.abs(np.array(gains) / told - 1).max() < 0.02
    assert np.ptp(gains) < 0.02 * told


def test_the_transfer_curve_is_straight_and_has_the_gain_of_the_header(
    biases: dict[str, Pixels], lit: list[Pixels]
) -> None:
    """Variance against level, without a pair of equal level: pixel response taken out by the mean.

    The mean of all four, scaled, is subtracted from each: what is left is noise of known parts.
    """
    warm = [frame for name, frame in biases.items() if name.startswith("lab1_bias")]
    noise = read_noise_of_pair(*warm)
    bias = np.mean(warm, axis=0)
    levels, variances = [], []
    for first, second in combinations(lit, 2):
        a, b = (first - bias)[256:768, 256:768], (second - bias)[256:768, 256:768]
        ratio = np.median(a) / np.median(b)
        off = a - ratio * b
        off = off[np.abs(off - np.median(off)) < 5 * np.std(off)]
        levels.append(np.median(a) * (1 + ratio))
        variances.append(np.var(off) - (1 + ratio**2) * noise**2)
    slope, offset = np.polyfit(levels, variances, 1)
    straight = slope * np.array(levels) + offset
    np.testing.assert_allclose(variances, straight, rtol=0.005)
    assert np.mean(np.array(levels) / np.array(variances)) == pytest.approx(2.06, rel=0.03)
