"""Lights whose cosmic rays and fringes are removed band by band: the same as in one piece."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_imaging_cosmic_rays import sky
from toros.common.errors import MixedShapes
from toros.imaging.calibrate import calibrate_light
from toros.imaging.cosmic_bands import without_cosmic_rays
from toros.imaging.cosmic_rays import remove_cosmic_rays
from toros.imaging.mask_bits import MaskBit
from toros.imaging.options import ReductionOptions
from toros.imaging.products import Strip

SATURATED = 60000.0
SMALL = ReductionOptions(cosmic_rays=True, memory_limit_bytes=1)  # as small bands as there are


def in_bands(
    image: np.ndarray, mask: np.ndarray, options: ReductionOptions
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the clean image, its mask, and in how many bands they came."""

    def strip(rows: slice) -> Strip:
        return Strip(image[rows].copy(), np.sqrt(image[rows]), mask[rows].copy())

    clean, marked, bands = np.full_like(image, np.nan), np.zeros_like(mask), 0
    for band in without_cosmic_rays(strip, image.shape, 8.0, SATURATED, lambda: 200.0, options):
        part = band.strip(band.rows)
        clean[band.rows], marked[band.rows] = part.pixels, part.mask
        assert np.array_equal(part.uncertainty, np.sqrt(image[band.rows]))
        bands += 1
    return clean, marked, bands


def lonely_ray(image: np.ndarray, bad: np.ndarray) -> None:
    """Add a cosmic ray in the one column between bad pixels, and those beside them."""
    bad[10:30, 10:19], bad[10:30, 22:31] = True, True
    image[15:25, 20] += 3000


@settings(max_examples=15)
@given(
    st.tuples(st.integers(1, 420), st.integers(1, 90)),
    st.integers(0, 2**31),
    st.integers(0, 300),
    st.booleans(),
)
def test_bands_are_those_of_the_whole(
    shape: tuple[int, int], seed: int, rays: int, with_bad: bool
) -> None:
    image = sky(shape, seed, rays=rays)
    rng = np.random.default_rng(seed)
    bad = rng.random(shape) < 0.02 if with_bad else np.zeros(shape, bool)
    # Rays among bad pixels: some have no good pixel near them.
    if with_bad and min(shape) > 40:
        lonely_ray(image, bad)
    mask = np.where(bad, MaskBit.BAD_PIXEL, 0).astype(np.uint8)
    mask[image >= SATURATED] |= MaskBit.SATURATED.value
    found, clean = remove_cosmic_rays(
        image, bad, read_noise_e=8.0, saturation_e=SATURATED, level=lambda: 200.0
    )

    pixels, marked, bands = in_bands(image, mask, SMALL)
    assert np.array_equal(pixels, clean)
    assert np.array_equal(marked, np.where(found, mask | MaskBit.COSMIC_RAY.value, mask))
    assert bands == -(-shape[0] // 94)
    assert in_bands(image, mask, ReductionOptions())[2] == 1


def test_a_ray_with_no_good_pixel_near_it_becomes_sky() -> None:
    image = np.random.default_rng(1).normal(150, 8, (300, 60)).astype(np.float32)
    bad = np.zeros(image.shape, bool)
    lonely_ray(image, bad)
    clean, marked, _ = in_bands(image, np.where(bad, MaskBit.BAD_PIXEL, 0).astype(np.uint8), SMALL)
    assert (marked[15:25, 20] == MaskBit.COSMIC_RAY).all()
    assert (clean[17:23, 20] == 200.0).all()


def test_a_ray_at_the_edge_of_a_band_is_followed_over_it() -> None:
    image = np.random.default_rng(1).normal(200, 8, (300, 60)).astype(np.float32)
    image[80:110, 30] += 4000  # the first band ends with row 94
    mask = np.zeros(image.shape, np.uint8)
    clean, marked, bands = in_bands(image, mask, SMALL)
    assert bands == 4
    assert (marked[80:110, 30] == MaskBit.COSMIC_RAY).all()
    assert clean[80:110, 30].max() < 260


SHAPE = (1500, 1400)  # more pixels than the amplitude of fringes is fitted to


def fringed(folder: Path, amplitude: float, **cards: object) -> tuple[Path, np.ndarray]:
    """Write a light with fringes and its fringe frame; return both."""
    rng = np.random.default_rng(3)
    y, x = np.indices(SHAPE)
    pattern = (np.sin(x / 40 + y / 90) + 0.3 * np.sin(y / 55)).astype(np.float32)
    light = 3000 + amplitude * pattern + rng.normal(0, 40, SHAPE)
    for row, column in rng.integers(10, 1390, (200, 2)):
        light[row - 2 : row + 3, column - 2 : column + 3] += 20000
    hdu = fits.PrimaryHDU(np.round(light).astype(np.uint16))
    hdu.header.update({"IMAGETYP": "light", "EXPTIME": 60.0, "EGAIN": 1.0, "RDNOISE": 5.0} | cards)
    hdu.writeto(folder / "light.fits", overwrite=True)
    return folder / "light.fits", pattern


@pytest.mark.parametrize("kind", [">f4", ">f8", ">i2"])
def test_fringes_are_subtracted(kind: str, tmp_path: Path) -> None:
    raw, pattern = fringed(tmp_path, 60.0)
    scaled = 1000 * pattern if kind == ">i2" else pattern
    written = np.round(scaled) if kind == ">i2" else scaled.copy()
    if kind != ">i2":
        written[400:420, 300:330] = np.nan  # where the pattern is not known
    fits.writeto(tmp_path / "fringe.fits", written.astype(kind))

    made = {}
    for fringe in (None, tmp_path / "fringe.fits"):
        target = tmp_path / f"c{fringe is None}.fits"
        made[fringe] = calibrate_light(raw, target, bias=None, dark=None, flat=None, fringe=fringe)
    found = made[tmp_path / "fringe.fits"]
    assert found.fringe_amplitude is not None
    amplitude = found.fringe_amplitude * (1000 if kind == ">i2" else 1)
    assert amplitude == pytest.approx(60.0, abs=0.3)  # 5 sigma of 2 million pixels is 0.2
    header = fits.getheader(found.path)
    assert (header["FRINGCOR"], header["FRINGAMP"]) == ("fringe.fits", found.fringe_amplitude)
    assert found.sky_noise == pytest.approx(40.0, rel=0.02)
    assert made[None].sky_noise > 50

    before, after = fits.getdata(made[None].path), fits.getdata(found.path)
    subtracted = np.nan_to_num(written.astype(np.float32)) * np.float32(found.fringe_amplitude)
    assert np.array_equal(before - subtracted, after)


def test_fringes_and_cosmic_rays_whatever_the_bound_on_memory(tmp_path: Path) -> None:
    raw, pattern = fringed(tmp_path, 60.0)
    fits.writeto(tmp_path / "fringe.fits", pattern)
    files = []
    for limit in (1, 512 * 1024**2):
        target = tmp_path / str(limit) / "c.fits"
        target.parent.mkdir()
        result = calibrate_light(
            raw, target, bias=None, dark=None, flat=None, fringe=tmp_path / "fringe.fits",
            options=ReductionOptions(cosmic_rays=True, memory_limit_bytes=limit),
        )  # fmt: skip
        assert result.cosmic_rays > 0
        files.append(target.read_bytes())
    assert files[0] == files[1]


def test_a_fringe_frame_of_another_size_is_refused(tmp_path: Path) -> None:
    raw, pattern = fringed(tmp_path, 60.0)
    fits.writeto(tmp_path / "fringe.fits", pattern[:-1])
    with pytest.raises(MixedShapes, match=r"fringe.fits is 1400×1499, but light.fits is 1400×1500"):
        calibrate_light(
            raw, tmp_path / "c.fits", bias=None, dark=None, flat=None,
            fringe=tmp_path / "fringe.fits",
        )  # fmt: skip


@pytest.mark.parametrize("dark_adu", [30000.0, 64200.0, 65535.0])
def test_a_saturated_hot_pixel_hides_no_cosmic_rays(dark_adu: float, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    light, dark = rng.normal(1600, 20, (300, 310)), np.full((300, 310), 100.0, np.float32)
    for row, column in rng.integers(20, 280, (40, 2)):
        light[row, column : column + 4] += 3000
    light[150, 150], dark[150, 150] = 65535, dark_adu  # of its light the dark leaves little
    for kind, pixels in (("light", np.round(light).astype(np.uint16)), ("dark", dark)):
        hdu = fits.PrimaryHDU(pixels)
        hdu.header.update({"IMAGETYP": kind, "EXPTIME": 60.0, "EGAIN": 1.0, "RDNOISE": 5.0})
        hdu.writeto(tmp_path / f"{kind}.fits")
    result = calibrate_light(
        tmp_path / "light.fits", tmp_path / "c.fits", bias=None, dark=tmp_path / "dark.fits",
        flat=None, options=ReductionOptions(cosmic_rays=True),
    )  # fmt: skip
    assert result.saturated == 1
    assert result.cosmic_rays >= 155
