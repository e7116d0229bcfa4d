from __future__ import annotations

import numpy as np
import pytest

from toros.common.config.simulator import CameraSettings, SimulatorSettings
from toros.simulator.detector import MAX_ADU, Detector
from toros.simulator.memory import Memory
from toros.simulator.readout import Illumination

SIZE = 512
SETTINGS = SimulatorSettings(camera=CameraSettings(width=SIZE, height=SIZE))


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(SETTINGS)


def even(electrons: float) -> np.ndarray:
    return np.full((SIZE, SIZE), electrons, np.float32)


def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def test_a_bias_has_the_bias_and_the_read_noise(detector):
    frame = detector.read_out(even(0.0), rng())
    residual = (frame - detector.bias_adu) * detector.gain_e_adu
    noise = np.hypot(detector.read_noise_e, detector.gain_e_adu / np.sqrt(12.0))  # and rounding
    assert frame.dtype == np.uint16
    assert residual.mean() == pytest.approx(0.0, abs=5 * noise / SIZE)
    assert residual.std() == pytest.approx(noise, rel=0.01)
    assert detector.bias_electrons == pytest.approx(detector.bias_adu * detector.gain_e_adu)


def test_the_columns_of_the_bias_differ(detector):
    columns = detector.bias_adu[0]
    assert columns.mean() == pytest.approx(SETTINGS.camera.bias_adu, abs=0.01)
    assert columns.std() == pytest.approx(SETTINGS.camera.bias_columns_adu, rel=0.01)


@pytest.mark.parametrize("electrons", [0.5, 5.0, 29.0, 31.0, 400.0, 30000.0])
def test_light_has_poisson_noise(detector, electrons):
    frame = detector.read_out(even(electrons), rng())
    residual = (frame - detector.bias_adu) * detector.gain_e_adu
    variance = electrons + detector.read_noise_e**2 + detector.gain_e_adu**2 / 12.0
    assert residual.mean() == pytest.approx(electrons, abs=5 * np.sqrt(variance) / SIZE)
    # The variance of N normal numbers scatters by sqrt(2 / N).
    assert residual.var() == pytest.approx(variance, rel=5 * np.sqrt(2) / SIZE)


@pytest.mark.parametrize("read_noise_e", [0.0, 3.0, 6.0])
@pytest.mark.parametrize("electrons", [0.5, 5.0, 29.0, 400.0])
def test_light_is_as_skewed_as_poisson_numbers(read_noise_e, electrons):
    """The third and fourth cumulants of Poisson plus normal noise; both cumulants are `electrons`.

    With N independent pixels their estimates scatter by sqrt(6 / N) and sqrt(24 / N).
    """
    camera = CameraSettings(
        width=SIZE, height=SIZE, read_noise_e=read_noise_e, gain_e_adu=0.1, full_well_e=1e6
    )
    frame = Detector(SimulatorSettings(camera=camera)).read_out(even(electrons), rng())
    residual = (frame - frame.mean(axis=0)) * camera.gain_e_adu
    deviation = residual / residual.std()
    spread = np.sqrt(electrons + read_noise_e**2)
    assert (deviation**3).mean() == pytest.approx(
        electrons / spread**3, abs=5 * np.sqrt(6) / SIZE + 0.01 * electrons / spread**3
    )
    excess = (deviation**4).mean() - 3.0
    # Beyond the noise: what the approximation leaves out, at most 1 / spread².
    left_out = electrons / spread**4 if read_noise_e >= 5 else 0.05 * electrons / spread**4
    tolerance = 5 * np.sqrt(24) / SIZE * (1 + 3 * electrons / spread**4) + left_out
    if electrons < 30 or read_noise_e >= 5:
        assert excess == pytest.approx(electrons / spread**4, abs=tolerance)


def test_noise_does_not_depend_on_the_number_of_threads(detector, monkeypatch):
    threaded = detector.read_out(even(50.0), rng())
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    assert np.array_equal(threaded, detector.read_out(even(50.0), rng()))


def test_dark_current_doubles_and_hot_pixels_stay(detector):
    cold, warm = detector.dark_rate(-20.0), detector.dark_rate(-20.0 + 6.3)
    assert np.median(cold) == pytest.approx(SETTINGS.camera.dark_e_s)
    assert warm == pytest.approx(2.0 * cold)
    hot = cold > 1.0
    assert hot.mean() == pytest.approx(SETTINGS.camera.hot_pixels, rel=0.3)
    assert np.array_equal(hot, Detector(SETTINGS).dark_rate(-20.0) > 1.0)
    level, spots = detector.dark(-20.0, 100.0)
    electrons = Illumination((SIZE, SIZE), dark=level, spots=spots).rows(0, SIZE)
    assert electrons == pytest.approx(100.0 * cold)


def test_the_flat_is_one_on_average_and_fixed_per_filter(detector):
    red, green = detector.flat_response("r"), detector.flat_response("g")
    assert red.mean() == pytest.approx(1.0, abs=1e-5)
    assert not np.array_equal(red, green)
    assert np.array_equal(red, Detector(SETTINGS).flat_response("r"))
    corner, centre = red[:40, :40].mean(), red[236:276, 236:276].mean()
    assert 0.65 < corner / centre < 0.9
    # Neighbours differ by the pixels' own response: shared, and 0.2 of it per filter.
    difference = np.diff(red, axis=1).ravel() / np.sqrt(2)
    assert np.median(np.abs(difference)) / 0.6745 == pytest.approx(
        SETTINGS.camera.pixel_response_rms * np.sqrt(1.04), rel=0.05
    )


@pytest.mark.parametrize(("first", "last"), [(0, 32), (5, 6), (30, 97), (480, SIZE)])
def test_any_rows_of_the_response_are_those_of_the_whole(detector, first, last):
    whole = detector.flat_response("r")
    assert np.array_equal(detector.response("r").rows(first, last), whole[first:last])


def test_strips_of_the_response_are_not_alike(detector):
    response = detector.flat_response("r")
    strips = (
        response.reshape(-1, 32, SIZE)
        - response.reshape(-1, 32, SIZE).mean(axis=(1, 2))[:, None, None]
    )
    pixels = np.diff(strips, axis=2).reshape(len(strips), -1)
    alike = np.corrcoef(pixels) - np.eye(len(strips))
    assert np.abs(alike).max() < 6 / np.sqrt(pixels.shape[1])


def test_memory_is_used_again_only_when_nobody_has_it():
    memory = Memory()
    first = memory.array((4, 6), np.uint16)
    first[:] = 7
    view = first.T[2:]
    del first
    second = memory.array((4, 6), np.uint16)
    second[:] = 9
    assert (view == 7).all()
    address = view.ctypes.data - 4
    del view
    third = memory.array((4, 6), np.uint16)
    assert third.ctypes.data == address
    assert (second == 9).all()
    assert memory.array((2, 6), np.float32).shape == (2, 6)


def test_what_is_too_bright_saturates(detector):
    full_well = SETTINGS.camera.full_well_e / detector.gain_e_adu
    frame = detector.read_out(even(1e6), rng())
    assert frame.max() <= full_well + detector.bias_adu.max() + 1
    assert detector.read_out(even(1e6), rng(), gain_e_adu=0.5).max() == MAX_ADU


def test_cosmic_rays_come_at_their_rate(detector):
    camera = SETTINGS.camera
    area = (SIZE * camera.pixel_size_um * 1e-4) ** 2
    expected = camera.cosmic_rays_per_cm2_s * area * 3e4
    spots = detector.cosmic_rays(3e4, rng())
    assert expected < spots.index.size < 12 * expected  # a track has several pixels
    assert (spots.electrons > 0).all()
    electrons = Illumination((SIZE, SIZE), spots=spots.sorted()).rows(100, 300)
    inside = (spots.index >= 100 * SIZE) & (spots.index < 300 * SIZE)
    assert set(np.flatnonzero(electrons)) == set(spots.index[inside] - 100 * SIZE)


def test_binning_sums_before_the_read_noise(detector):
    frame = detector.read_out(even(100.0), rng(), binning=(2, 2))
    assert frame.shape == (SIZE // 2, SIZE // 2)
    light = (frame.astype(float) - SETTINGS.camera.bias_adu) * detector.gain_e_adu
    assert light.mean() == pytest.approx(400.0, rel=0.01)
    noise = np.diff(light, axis=0).std() / np.sqrt(2)
    assert noise == pytest.approx(np.sqrt(400.0 + detector.read_noise_e**2), rel=0.02)


def test_a_subframe_is_the_part_it_says(detector):
    electrons = even(0.0)
    electrons[100, 200] = 50000.0
    frame = detector.read_out(electrons, rng(), window=(190, 90, 40, 30))
    assert frame.shape == (30, 40)
    assert np.unravel_index(frame.argmax(), frame.shape) == (10, 10)


def test_noise_follows_from_its_seed(detector):
    first, again = detector.read_out(even(50.0), rng()), detector.read_out(even(50.0), rng())
    assert np.array_equal(first, again)
