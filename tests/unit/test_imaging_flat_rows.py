"""The kernels that make rows of a master flat, against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest

from toros.imaging.kernels.flat_rows import normalise, photon_noise, respond

SIZE = 1500
RNG = np.random.default_rng


@pytest.fixture
def pixels() -> np.ndarray:
    """Responses, some of them nothing or below it."""
    found = RNG(1).normal(1, 0.5, SIZE).astype(np.float32)
    found[:3] = 0.05, 0.0, -1.0
    return found


def test_the_response_and_its_mask(pixels: np.ndarray) -> None:
    count = RNG(2).integers(0, 3, SIZE).astype(np.uint16)
    stacked = np.where(count == 0, np.float32(np.nan), pixels)
    found, mask = np.empty(SIZE, np.float32), np.empty(SIZE, np.uint8)
    respond(stacked, count, np.float32(0.05), np.uint8(1), np.uint8(8), found, mask)
    wanted = np.where(count == 0, np.float32(1), stacked)
    np.testing.assert_array_equal(found, wanted)
    low = np.where(wanted < np.float32(0.05), 8, 0)
    np.testing.assert_array_equal(mask, np.where(count == 0, 1, 0) | low)


@pytest.mark.parametrize(("photons", "read_out"), [(0.0, 0.0), (3e-5, 2e-8)])
def test_photon_noise(pixels: np.ndarray, photons: float, read_out: float) -> None:
    noise = np.empty(SIZE, np.float32)
    photon_noise(pixels, np.float32(photons), np.float32(read_out), noise)
    light = np.clip(pixels, 0, None)
    wanted = np.sqrt(light * np.float32(photons) + np.float32(read_out))
    np.testing.assert_array_equal(noise, wanted)


def test_the_pedestals_errors_are_added_and_the_mean_divided_out(pixels: np.ndarray) -> None:
    rng = RNG(3)
    own, bias, dark = rng.exponential(0.01, (3, SIZE)).astype(np.float32)
    bias[rng.random(SIZE) < 0.1] = np.nan
    dark[:2] = np.inf, np.nan
    bias[0] = 0.5
    mask = np.where(rng.random(SIZE) < 0.1, 8, 0).astype(np.uint8)
    shares, mean = (np.float32(2e-4), np.float32(1.5)), np.float32(1.03)
    under = np.hypot(np.nan_to_num(bias * shares[0]), np.nan_to_num(dark * shares[1]))
    error, wanted = own.copy(), np.hypot(own, under) / mean
    response = np.where(mask != 0, np.float32(1), pixels / mean)
    normalise(pixels, mask, error, bias, shares[0], dark, shares[1], mean)
    np.testing.assert_array_equal(pixels, response)
    np.testing.assert_array_equal(error, wanted)
