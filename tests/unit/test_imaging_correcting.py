"""The kernels that calibrate a light against the same formulae in numpy, and against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from toros.common.errors import MixedShapes, UnreadableFile
from toros.imaging.frames import read_master
from toros.imaging.headers import ExposureInfo, read_exposure
from toros.imaging.kernels.correcting import correct, correct_counts
from toros.imaging.kernels.encoding import swap_words
from toros.imaging.light_pixels import Correction, RawLight
from toros.imaging.mask_bits import MaskBit
from toros.imaging.master_words import let_go
from toros.imaging.options import ReductionOptions
from toros.imaging.raw import RawImage
from toros.imaging.recipe import Ingredients, Recipe, recipe_for

SHAPE = (7, 33)
FLOOR = 0.05
# Masters are mapped, or read by rows.
AMPLE, TIGHT = ReductionOptions(), ReductionOptions(memory_limit_bytes=1)
ODD = (np.nan, np.inf, -np.inf, 0.0, -1.0, 1e30, 1e-30)
WHOLE = slice(0, SHAPE[0])


def plane(rng: np.random.Generator, level: float, sigma: float) -> NDArray[np.float32]:
    """An image with some odd values."""
    made = rng.normal(level, sigma, SHAPE).astype(np.float32)
    odd = rng.random(SHAPE) < 0.1
    made[odd] = rng.choice(ODD, int(odd.sum()))
    return made


def write_master(path: Path, seed: int, level: float, parts: str) -> Path:
    """Write a master: with UNCERT (u), with MASK (m), as float64 (d), in a compressed HDU (c)."""
    rng = np.random.default_rng(seed)
    pixels = plane(rng, level, 0.1 * level).astype(np.float64 if "d" in parts else np.float32)
    hdus: list[Any] = [fits.PrimaryHDU(pixels)]
    if "c" in parts:
        hdus = [fits.PrimaryHDU(), fits.CompImageHDU(pixels, compression_type="GZIP_1")]
    if "u" in parts:
        hdus.append(fits.ImageHDU(np.abs(plane(rng, 0.5, 0.1)), name="UNCERT"))
    if "m" in parts:
        hdus.append(fits.ImageHDU((rng.random(SHAPE) < 0.1).astype(np.uint8) * 4, name="MASK"))
    fits.HDUList(hdus).writeto(path)
    return path


def write_light(path: Path, seed: int) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 65536, SHAPE).astype(np.uint16)
    fits.PrimaryHDU(pixels).writeto(path)
    return path


def expected(
    counts: NDArray[np.float32],
    saturated: NDArray[np.bool_],
    used: Ingredients,
    gain: float | None,
    read_variance: NDArray[np.float32],
    bad_pixels: NDArray[np.bool_] | None,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]:
    """Calibrate a light by whole planes."""
    none, clear = np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.bool_)
    mask = np.where(saturated, np.uint8(MaskBit.SATURATED), np.uint8(0))
    pedestal, variance, bad = none, none, clear
    if used.bias is not None:
        bias = read_master(used.bias)
        pedestal, bad, variance = bias.pixels, bias.mask, squared(bias.uncertainty)
    offset = pedestal
    if used.dark is not None:
        dark, scale = read_master(used.dark), np.float32(used.dark_scale)
        if used.dark_lost_bias and dark.uncertainty is not None:
            variance = np.float32(1 - 2 * used.dark_scale) * variance
        offset = offset + scale * dark.pixels
        variance = variance + scale * scale * squared(dark.uncertainty)
        bad = bad | dark.mask
        if used.bias is None and used.dark_holds_bias:
            pedestal = dark.pixels
    response, flat_error, dead = np.ones(SHAPE, np.float32), none, clear
    if used.flat is not None:
        flat = read_master(used.flat)
        dead = flat.mask | (flat.pixels < np.float32(FLOOR))
        response = np.where(dead, np.float32(1), flat.pixels)
        if flat.uncertainty is not None:
            flat_error = np.nan_to_num(flat.uncertainty)
    mask |= np.where(bad, np.uint8(MaskBit.BAD_MASTER), np.uint8(0))
    mask |= np.where(dead, np.uint8(MaskBit.BAD_FLAT), np.uint8(0))
    if bad_pixels is not None:
        mask |= np.where(bad_pixels, np.uint8(MaskBit.BAD_PIXEL), np.uint8(0))
    factor = np.float32(gain or 1.0)
    photons = np.maximum(counts - pedestal, np.float32(0))
    noise = photons * np.float32(1 / gain if gain else 0) + (variance + read_variance)
    value = (counts - offset) * factor / response
    error = np.sqrt(noise * factor * factor + (value * flat_error) ** 2) / response
    good = np.isfinite(value) & np.isfinite(error)
    mask[~good] |= MaskBit.NO_DATA.value
    return np.where(good, value, 0), np.where(good, error, 0), mask


def squared(error: NDArray[np.float32] | None) -> NDArray[np.float32]:
    return np.zeros(SHAPE, np.float32) if error is None else np.nan_to_num(error) ** 2


def corrected(
    light: Path, recipe: Recipe, gain: float | None, variance: float | NDArray[np.float32]
) -> tuple[Correction, Any]:
    info, image = read_exposure(light), image_of(light)
    file = light.open("rb")
    raw = RawLight(info, AMPLE, image, file.fileno())
    return Correction(raw, recipe, gain, variance, FLOOR), file


def image_of(light: Path) -> RawImage:
    from toros.imaging.raw import raw_image

    found = raw_image(light)
    assert found is not None
    return found


PARTS_SEEN = (None, "", "u", "m", "um", "dum", "cu")
PARTS = st.sampled_from(PARTS_SEEN)


@settings(max_examples=50)
@given(
    seed=st.integers(0, 2**32 - 1),
    bias=PARTS,
    dark=PARTS,
    flat=PARTS,
    scale=st.sampled_from([1.0, 0.37, 12.0]),
    holds_bias=st.booleans(),
    lost_bias=st.booleans(),
    gain=st.sampled_from([None, 1.5, 0.3]),
    by_pixel=st.booleans(),
    marked=st.booleans(),
    options=st.sampled_from([AMPLE, TIGHT]),
)
def test_both_kernels_do_what_numpy_does(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    bias: str | None,
    dark: str | None,
    flat: str | None,
    scale: float,
    holds_bias: bool,
    lost_bias: bool,
    gain: float | None,
    by_pixel: bool,
    marked: bool,
    options: ReductionOptions,
) -> None:
    folder = tmp_path_factory.mktemp("correcting")
    rng = np.random.default_rng(seed)
    names = {"bias": (bias, 1000.0), "dark": (dark, 40.0), "flat": (flat, 1.0)}
    paths = {
        name: None if parts is None else write_master(folder / f"{name}.fits", seed, level, parts)
        for name, (parts, level) in names.items()
    }
    light = write_light(folder / "light.fits", seed)
    bad_pixels = folder / "bad.fits" if marked else None
    marks = rng.random(SHAPE) < 0.1
    if bad_pixels is not None:
        fits.PrimaryHDU(marks.astype(np.uint8) * 2).writeto(bad_pixels)
    used = Ingredients(
        **paths,
        bad_pixels=bad_pixels,
        dark_scale=scale,
        dark_holds_bias=holds_bias,
        dark_lost_bias=lost_bias,
    )
    variance = rng.uniform(1, 90, SHAPE).astype(np.float32) if by_pixel else 30.25
    correction, file = corrected(
        light, recipe_for(read_exposure(light), used, options), gain, variance
    )
    with file, np.errstate(all="ignore"):
        strip = correction.strip(WHOLE)
        counts = fits.getdata(light).astype(np.float32)
        wanted = expected(
            counts, counts >= correction.light.saturation, used, gain,
            np.full(SHAPE, variance, np.float32), marks if marked else None,
        )  # fmt: skip
        words = [np.empty(counts.size, np.uint32) for _ in range(4)]
        mask = np.empty(counts.size, np.uint8)
        sums = correction.encode(WHOLE, words[0], words[1], mask)
    assert np.array_equal(strip.mask, wanted[2])
    assert np.array_equal(strip.pixels, wanted[0])
    assert np.array_equal(strip.uncertainty, wanted[1])
    # The other kernel: the same bytes, and the same sums.
    assert np.array_equal(mask, strip.mask.reshape(-1))
    for index, native in enumerate((strip.pixels, strip.uncertainty)):
        total = swap_words(native.reshape(-1).view(np.uint32), words[2 + index])
        assert np.array_equal(words[index], words[2 + index])
        assert sums[index] == total


@pytest.fixture
def info(tmp_path: Path) -> ExposureInfo:
    return read_exposure(write_light(tmp_path / "light.fits", 1))


def ingredients(flat: Path, **more: Path) -> Ingredients:
    return Ingredients(bias=None, dark=None, flat=flat, **more)


def flat_of(info: ExposureInfo, path: Path) -> NDArray[np.float32]:
    found = recipe_for(info, ingredients(path), AMPLE).rows(WHOLE).flat.pixels
    return found.byteswap().view(np.float32)


def test_a_master_that_was_replaced_is_read_again(info: ExposureInfo, tmp_path: Path) -> None:
    path = tmp_path / "flat.fits"
    fits.PrimaryHDU(np.full(SHAPE, 1, np.float32)).writeto(path)
    assert (flat_of(info, path) == 1).all()
    fits.PrimaryHDU(np.full(SHAPE, 2, np.float32)).writeto(tmp_path / "new.fits")
    (tmp_path / "new.fits").replace(path)
    assert (flat_of(info, path) == 2).all()


def test_what_is_let_go_of_is_not_mapped_any_more(info: ExposureInfo, tmp_path: Path) -> None:
    path = write_master(tmp_path / "flat.fits", 1, 1.0, "um")
    flat_of(info, path)
    assert str(path) in Path("/proc/self/maps").read_text()
    let_go()
    assert str(path) not in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize("options", [AMPLE, TIGHT])
def test_a_master_that_is_cut_off_is_an_error(
    options: ReductionOptions, info: ExposureInfo, tmp_path: Path
) -> None:
    path = write_master(tmp_path / "flat.fits", 1, 1.0, "um")
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 2880)
    with pytest.raises(UnreadableFile, match=r"flat\.fits"):
        recipe_for(info, ingredients(path), options).rows(WHOLE)


def test_a_master_of_another_size_is_an_error_each_time(info: ExposureInfo, tmp_path: Path) -> None:
    path = tmp_path / "flat.fits"
    fits.PrimaryHDU(np.ones((5, 5), np.float32)).writeto(path)
    other = tmp_path / "small.fits"
    fits.PrimaryHDU(np.ones((5, 5), np.uint16)).writeto(other)
    flat_of_small = recipe_for(read_exposure(other), ingredients(path), AMPLE)
    assert flat_of_small.width == 5
    for _ in range(2):
        with pytest.raises(MixedShapes, match="5×5"):
            flat_of(info, path)
    flat = write_master(tmp_path / "f.fits", 1, 1.0, "")
    with pytest.raises(MixedShapes):
        recipe_for(info, ingredients(flat, bad_pixels=path), AMPLE)


def test_a_master_that_is_not_there_is_an_error(info: ExposureInfo, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"gone\.fits"):
        flat_of(info, tmp_path / "gone.fits")


def test_whatever_masters_there_are_a_kernel_is_compiled_once(
    info: ExposureInfo, tmp_path: Path
) -> None:
    for index, parts in enumerate(PARTS_SEEN):
        path = None if parts is None else write_master(tmp_path / f"{index}.fits", 1, 1.0, parts)
        for variance in (30.25, np.ones(SHAPE, np.float32)):
            used = Ingredients(bias=path, dark=None, flat=path)
            correction, file = corrected(info.path, recipe_for(info, used, AMPLE), 1.5, variance)
            with file:
                correction.strip(WHOLE)
                words = [np.empty(SHAPE[0] * SHAPE[1], np.uint32) for _ in range(2)]
                correction.encode(WHOLE, *words, words[0].view(np.uint8)[: words[0].size].copy())
    assert len(correct.signatures) == 1  # type: ignore[attr-defined]
    assert len(correct_counts.signatures) == 1  # type: ignore[attr-defined]
