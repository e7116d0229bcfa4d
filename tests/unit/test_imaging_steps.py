"""The small steps of a reduction on frames whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData
from ccdproc import ccdmask
from hypothesis import given
from hypothesis import strategies as st

from toros.imaging.bad_pixels import (
    Defect,
    Judge,
    bad_columns,
    dark_judge,
    find_defects,
    flat_judge,
)
from toros.imaging.bleeding import mark_bleed_trails
from toros.imaging.flat_stars import star_blocks
from toros.imaging.frames import Master
from toros.imaging.fringes import fit_fringes
from toros.imaging.kernels.flats import BLOCK_PX, mean_blocks
from toros.imaging.linearity import linearise, linearise_raw
from toros.imaging.mask_bits import MaskBit
from toros.imaging.nonlinear import linearity_judge
from toros.imaging.outliers import measure_strips, odd_frames, strips_of
from toros.imaging.photon_transfer import gain_of_pair

RNG = np.random.default_rng


# --- linearity -------------------------------------------------------------------------------


@given(
    st.lists(st.floats(-1e-6, 1e-6), max_size=3),
    st.lists(st.floats(0, 65535), min_size=1, max_size=50),
)
def test_linearity_is_the_polynomial(coefficients: list[float], counts: list[float]) -> None:
    # The second and third are those of the square and the cube: as large as matters at 65535.
    scaled = [c / 65535**power for power, c in enumerate(coefficients)]
    truth = np.array(counts) * (
        1 + sum(c * np.array(counts) ** (power + 1) for power, c in enumerate(scaled))
    )
    found = linearise(np.array(counts, np.float32), scaled)
    np.testing.assert_allclose(found, truth, rtol=1e-6, atol=1e-3)


def test_without_coefficients_nothing_is_touched() -> None:
    counts = np.arange(5, dtype=np.float32)
    assert linearise(counts, ()) is counts
    assert linearise_raw(counts, np.float32(2), ()) is counts


def test_what_is_above_the_bias_is_made_linear() -> None:
    raw = np.array([1000, 1100, 31000], np.float32)
    found = linearise_raw(raw, np.float32(1000), (1e-6,))
    np.testing.assert_allclose(found, [1000, 1100.01, 1000 + 30000 * 1.03], rtol=1e-6)


# --- bleeding --------------------------------------------------------------------------------


def a_bled_star(axis: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a frame with a round saturated star, one that bled, and the truth of the trail."""
    rng = RNG(1)
    frame = rng.normal(500, 10, (200, 160))
    y, x = np.mgrid[:200, :160]
    for row, column in ((50, 40), (120, 100)):
        frame += 3e6 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 8)
    truth = np.zeros(frame.shape, bool)
    truth[80:165, 100:102] = True
    frame[90:150, 100:102] = 70000
    frame[80:90, 100:102] += 20000
    frame[150:165, 100:102] += 20000
    frame = np.minimum(frame, 60000)
    if axis == 1:
        frame, truth = frame.T, truth.T
    return frame.astype(np.float32), frame >= 60000, truth


def bleed_mask(frame: np.ndarray, saturated: np.ndarray, axis: int = 0) -> np.ndarray:
    mask = np.where(saturated, MaskBit.SATURATED, MaskBit.BAD_PIXEL).astype(np.uint8)
    before = mask.copy()
    mark_bleed_trails(mask, lambda rows, columns: frame[rows, columns], axis)  # type: ignore[arg-type]
    assert np.array_equal(mask & ~np.uint8(MaskBit.BLEED), before)
    return (mask & MaskBit.BLEED) != 0


@pytest.mark.parametrize("axis", [0, 1])
def test_a_trail_is_followed_to_its_end_and_a_round_star_is_none(axis: int) -> None:
    frame, saturated, truth = a_bled_star(axis)
    found = bleed_mask(frame, saturated, axis)
    assert found[truth].all()
    other = found.T if axis == 1 else found
    assert not other[:, :90].any()  # the round star
    assert not other[:70].any()
    assert not other[175:].any()
    assert not other[:, 108:].any()


def test_no_saturation_no_trail() -> None:
    frame = np.ones((20, 20), np.float32)
    assert not bleed_mask(frame, np.zeros((20, 20), bool)).any()


# --- fringes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("amplitude", [0.0, 35.0, 250.0, -20.0])
def test_the_amplitude_of_fringes_is_found_within_its_error(amplitude: float) -> None:
    rng = RNG(2)
    y, x = np.mgrid[:300, :300]
    fringe = (np.sin(x / 9 + y / 23) + 0.3 * np.sin(y / 11)).astype(np.float32)
    light = 5000 + amplitude * fringe + rng.normal(0, 70, fringe.shape)
    for _ in range(60):  # stars
        row, column = rng.integers(5, 295, 2)
        light += 40000 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 6)
    bad = np.zeros(fringe.shape, bool)
    bad[100:110] = True
    light[bad] = 1e6
    found = fit_fringes(light.astype(np.float32), fringe, bad)
    assert abs(found.amplitude - amplitude) < 5 * found.error
    assert found.error < 1.0


def test_no_pattern_no_amplitude() -> None:
    flat = np.ones((10, 10), np.float32)
    found = fit_fringes(flat, flat, np.zeros((10, 10), bool))
    assert found.amplitude == 0
    assert np.isinf(found.error)
    assert fit_fringes(flat, flat, np.ones((10, 10), bool)).amplitude == 0


# --- odd frames ------------------------------------------------------------------------------


def frames_of(
    count: int, level: float, noise: float, seed: int = 0, shape: tuple[int, int] = (128, 160)
) -> list[np.ndarray]:
    rng = RNG(seed)
    x = np.arange(float(shape[1])) + np.zeros((shape[0], 1))
    pattern = 3 * np.sin(x / 30) + rng.normal(0, 0.3 * noise, x.shape)
    return [
        np.round(level + pattern + rng.normal(0, noise, x.shape)).astype(np.float32)
        for _ in range(count)
    ]


def judged(frames: list[np.ndarray], kind: str) -> dict[int, str]:
    measures = [
        measure_strips([frame[rows] for rows in strips_of(frame.shape[0])]) for frame in frames
    ]
    return odd_frames(measures, kind)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["bias", "dark", "flat"])
@pytest.mark.parametrize("shape", [(24, 32), (64, 48), (160, 160), (300, 500)])
def test_frames_that_are_alike_all_stay(kind: str, shape: tuple[int, int]) -> None:
    noise, level = (3.0, 1000.0) if kind != "flat" else (150.0, 20000.0)
    for seed in range(8):
        for count in (4, 5, 9):
            assert judged(frames_of(count, level, noise, seed, shape), kind) == {}, (seed, count)


@pytest.mark.parametrize("kind", ["bias", "dark"])
def test_a_frame_of_another_level_is_odd(kind: str) -> None:
    frames = frames_of(7, 1000, 7)
    frames[3] += 5
    found = judged(frames, kind)
    assert list(found) == [3]
    assert "+5.0 ADU" in found[3]


def test_flats_of_other_levels_are_not_odd_but_one_of_another_shape_is() -> None:
    frames = [
        frame * factor for frame, factor in zip(frames_of(6, 20000, 150), range(1, 7), strict=True)
    ]
    rng = RNG(9)
    frames = [
        20000.0 * f + rng.normal(0, 150 * f**0.5, (128, 160)) for f in (0.5, 0.7, 1, 1.2, 1.5)
    ]
    assert judged([f.astype(np.float32) for f in frames], "flat") == {}
    frames[2] = frames[2] * np.linspace(0.8, 1.2, 160)  # a cloud, or the dome in the way
    found = judged([f.astype(np.float32) for f in frames], "flat")
    assert list(found) == [2]
    assert "shape" in found[2]


def test_a_noisy_frame_is_odd() -> None:
    frames = frames_of(6, 1000, 7)
    frames[1] = frames[1] + RNG(4).normal(0, 12, frames[1].shape).astype(np.float32)
    found = judged(frames, "bias")
    assert list(found) == [1]
    assert "noise" in found[1]


def twilight_flats(levels: tuple[float, ...]) -> list[np.ndarray]:
    """Flats of pixels whose response differs by 1 %: at 44000 ADU that is most of the noise."""
    rng = RNG(11)
    response = rng.normal(1, 0.01, (128, 160))
    return [
        rng.poisson(1.4 * level * response).astype(np.float32) / np.float32(1.4) for level in levels
    ]


def test_the_first_bright_flat_of_a_twilight_is_not_odd_for_its_pixels_response() -> None:
    assert judged(twilight_flats((44225, 21439, 20804, 22137, 19665)), "flat") == {}
    assert judged(twilight_flats((9000, 21439, 20804, 22137, 19665)), "flat") == {}


@pytest.mark.parametrize("level", [10000, 21000, 44000])
def test_a_noisy_flat_is_odd_and_so_is_a_smooth_one(level: float) -> None:
    flats = twilight_flats((level, 21439, 20804, 22137, 19665))
    noise = RNG(5).normal(0, 0.04 * level, flats[0].shape).astype(np.float32)
    noisy = judged([flats[0] + noise, *flats[1:]], "flat")
    assert list(noisy) == [0]
    assert "noise" in noisy[0]
    smooth = judged([np.full_like(flats[0], level), *flats[1:]], "flat")
    assert list(smooth) == [0]
    assert smooth[0].startswith("Its noise is 0.00 times")


def test_light_that_leaked_into_a_corner_is_odd() -> None:
    frames = frames_of(6, 1000, 7)
    frames[5][90:, :40] += 30
    found = judged(frames, "dark")
    assert list(found) == [5]
    assert "shape" in found[5]


def test_of_three_nobody_is_odd() -> None:
    frames = frames_of(3, 1000, 7)
    frames[0] += 500
    assert judged(frames, "bias") == {}


@pytest.mark.parametrize("height", [1, 2, 3, 4, 5, 31, 33, 4096])
def test_strips_are_of_the_frame(height: int) -> None:
    strips = strips_of(height)
    assert all(0 <= rows.start < rows.stop <= height for rows in strips)
    assert len({rows.stop - rows.start for rows in strips}) == 1


@pytest.mark.parametrize("shape", [(1, 200), (3, 70), (200, 1)])
def test_a_frame_of_few_rows_or_one_column_is_judged(shape: tuple[int, int]) -> None:
    rng = RNG(3)
    frames = [rng.normal(1000, 5, shape).astype(np.float32) for _ in range(5)]
    assert judged(frames, "bias") == {}
    frames[2] += 100
    assert list(judged(frames, "bias")) == [2]


# --- stars in flats --------------------------------------------------------------------------


def test_stars_of_a_twilight_flat_are_masked_with_their_wings() -> None:
    rng = RNG(6)
    y, x = np.mgrid[:160, :240]
    response = 1 - 2e-6 * ((x - 120) ** 2 + (y - 80) ** 2)
    flats, truths = [], []
    for number in range(5):
        slope = 1 + 0.02 * (number - 2) * (x - 120) / 120  # the sky slopes otherwise each time
        stars = np.zeros(x.shape)
        for _ in range(3):
            row, column = rng.integers(10, 150), rng.integers(10, 230)
            stars += 0.5 / (1 + ((y - row) ** 2 + (x - column) ** 2) / 9.0) ** 2.5
        flats.append((response * slope * (1 + stars) + rng.normal(0, 0.01, x.shape)).astype("f4"))
        truths.append(stars)
    means = [np.empty((20, 30), np.float32) for _ in flats]
    for flat, made in zip(flats, means, strict=True):
        mean_blocks(flat, made)
    found = star_blocks(means)
    for blocks, stars in zip(found, truths, strict=True):
        mask = np.kron(blocks, np.ones((BLOCK_PX, BLOCK_PX), np.bool_))
        assert mask[stars > 0.02].all()
        assert stars[~mask].max() < 0.02
        assert mask.mean() < 0.15


@pytest.mark.parametrize("noises", [(1, 1, 1), (1, 2, 4), (1,) * 4, (1, 2, 3, 4, 5), (1,) * 7])
def test_the_noise_of_flats_is_no_star(noises: tuple[int, ...]) -> None:
    rng = RNG(8)
    flats = [(1 + 1e-3 * noise * rng.normal(size=(128, 128))).astype("f4") for noise in noises]
    found = np.array(star_blocks(flats))
    # 4 sigma mask, with the neighbours, three in 10 000 by chance; beside few others some more.
    assert found.mean(axis=(1, 2)).max() < 0.01
    assert not found.all(axis=0).any()


def test_with_two_flats_nobody_knows_whose_the_star_is() -> None:
    assert not any(one.any() for one in star_blocks([np.ones((5, 5), "f4")] * 2))


# --- gain ------------------------------------------------------------------------------------


@pytest.mark.parametrize("gain", [0.3, 1.0, 2.06, 8.0])
@pytest.mark.parametrize("ratio", [1.0, 0.8])
def test_the_gain_of_a_pair_of_flats_is_found(gain: float, ratio: float) -> None:
    rng = RNG(11)
    y, x = np.mgrid[:512, :512]
    light = 25000 * gain * (1 - 0.4 * ((x / 512 - 0.5) ** 2 + (y / 512 - 0.5) ** 2))
    light *= 1 + rng.normal(0, 0.01, light.shape)  # pixel response
    noise_adu = 5.0 / gain
    flats = [
        np.round(rng.poisson(light * f) / gain + rng.normal(0, noise_adu, x.shape))
        for f in (1.0, ratio)
    ]
    found = gain_of_pair(flats[0].astype("f4"), flats[1].astype("f4"), noise_adu)
    assert found is not None
    assert abs(found.gain_e_adu / gain - 1) < 0.015
    assert abs(found.gain_e_adu - gain) < 5 * found.error + 0.002 * gain


def test_bad_pixels_take_no_part_in_the_gain() -> None:
    rng = RNG(12)
    flats = [np.round(rng.normal(20000, 100, (300, 320))).astype("f4") for _ in range(2)]
    bad = rng.random((300, 320)) < 0.01
    bad[:64] = False
    bad[64:128, :64] = True
    clean = gain_of_pair(*flats, 5.0)
    spoilt = [np.where(bad, np.float32(np.nan), flat) for flat in flats]
    found = gain_of_pair(*spoilt, 5.0, bad)
    assert clean is not None
    assert found is not None
    assert found.blocks == clean.blocks - 1
    assert found.gain_e_adu == pytest.approx(clean.gain_e_adu, rel=0.01)
    # Without pixels that are bad it is all the same.
    assert gain_of_pair(*flats, 5.0, np.zeros_like(bad)) == clean


def test_without_light_no_gain() -> None:
    dark = RNG(1).normal(0, 5, (256, 256)).astype("f4")
    assert gain_of_pair(dark, dark[::-1], 5.0) is None


# --- bad pixels ------------------------------------------------------------------------------


def master(pixels: np.ndarray, error: float | np.ndarray) -> Master:
    pixels = pixels.astype(np.float32)
    uncertainty = np.broadcast_to(np.float32(error), pixels.shape).astype(np.float32)
    return Master(pixels, uncertainty, np.zeros(pixels.shape, bool))


def found_by(judge: Judge, defect: Defect, shape: tuple[int, ...]) -> np.ndarray:
    mask, counts = find_defects([judge], shape)
    found = mask & defect.value != 0
    assert counts[defect] == found.sum()
    return found


def test_hot_and_noisy_pixels() -> None:
    rng = RNG(3)
    dark = rng.normal(30, 1.5, (128, 128))
    hot = rng.random(dark.shape) < 0.003
    dark[hot] += rng.uniform(200, 5000, hot.sum())
    found = found_by(dark_judge(master(dark, 1.5), 60.0, 10, 2.0), Defect.HOT, dark.shape)
    np.testing.assert_array_equal(found, hot)
    error = np.full(dark.shape, 1.5)
    error[5, 7] = 30
    # The photon noise of hot pixels is what it should be.
    error = np.hypot(error, np.sqrt(np.clip(dark - 30, 0, None) / 2.0 / 10))
    judge = dark_judge(master(dark, error), 60.0, 10, 2.0)
    noisy = found_by(judge, Defect.NOISY, dark.shape)
    assert noisy[5, 7]
    assert noisy.sum() == 1


def test_dead_pixels_are_dead_on_any_vignetting() -> None:
    y, x = np.mgrid[:200, :300]
    flat = 1.2 - 6e-6 * ((x - 150) ** 2 + (y - 100) ** 2)
    flat *= 1 + RNG(1).normal(0, 0.01, flat.shape)
    truth = np.zeros(flat.shape, bool)
    truth[10, 20] = truth[199, 299] = truth[50, 60:63] = True
    flat[truth] *= 0.3
    flat[100, 100] *= 1.8
    truth[100, 100] = True
    found = found_by(flat_judge(master(flat, 0.01)), Defect.DEAD, flat.shape)
    np.testing.assert_array_equal(found, truth)


def test_nonlinear_pixels_and_columns_as_ccdmask_sees_them() -> None:
    rng = RNG(8)
    faint = 1 + rng.normal(0, 0.01, (256, 256))
    response = 1 + rng.normal(0, 0.01, faint.shape)
    bright = 1 + rng.normal(0, 0.004, faint.shape)
    truth = np.zeros(faint.shape, bool)
    truth[rng.random(faint.shape) < 0.001] = True
    truth[64:256, 99] = True
    ratio = np.where(truth, 0.8, 1.0)
    judge = linearity_judge(
        master(response * faint, 0.01), master(response * bright * ratio, 0.004)
    )
    found = found_by(judge, Defect.NONLINEAR, faint.shape)
    assert found[truth].all()
    # What the segments of the column drag along is at most the column itself.
    assert found[~truth].sum() <= 0
    theirs = ccdmask(CCDData(bright * ratio / faint, unit=u.dimensionless_unscaled),
                     ncsig=9, nlsig=9, lsigma=9, hsigma=9)  # fmt: skip
    assert (theirs & truth).sum() > 0.9 * truth.sum()


def test_a_faint_column_that_no_single_pixel_gives_away() -> None:
    rng = RNG(8)
    faint = 1 + rng.normal(0, 0.01, (256, 64))
    bright = 1 + rng.normal(0, 0.004, faint.shape)
    bright[:, 20] *= 0.98
    judge = linearity_judge(master(faint, 0.01), master(bright, 0.004))
    found = found_by(judge, Defect.NONLINEAR, faint.shape)
    assert found[:, 20].all()
    assert found.sum() == 256


def test_a_column_that_is_bad_for_a_good_part_is_bad() -> None:
    bad = np.zeros((128, 10), bool)
    bad[:40, 3] = True
    bad[70:80, 5] = True
    found = bad_columns(bad)
    assert found[:64, 3].all()
    assert found.sum() == 64
    bits = bad * np.uint8(Defect.HOT.value)
    mask, counts = find_defects([lambda rows: (bits[rows], ~bad[rows] & False)], bad.shape)
    assert (mask[40:64, 3] == Defect.COLUMN).all()
    assert (mask[:40, 3] == Defect.HOT).all()
    assert (counts[Defect.HOT], counts[Defect.COLUMN], counts[Defect.DEAD]) == (50, 24, 0)
