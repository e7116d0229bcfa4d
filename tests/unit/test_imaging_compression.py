"""Tile-compressed files, read by astropy and by cfitsio (its funpack, where there is one)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from toros.imaging.fits_planes import planes_file
from toros.imaging.fits_tiles import Compression
from toros.imaging.frames import read_master
from toros.imaging.headers import read_exposure
from toros.imaging.pool import in_threads, strips
from toros.imaging.preview import write_preview
from toros.imaging.products import image_planes
from toros.imaging.thumbnail import thumbnail

Images = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


def write(
    path: Path, images: Images, compression: Compression | None, rows: int = 0, **cards: Any
) -> None:
    """Write image, uncertainty and mask in strips, from several threads."""
    shape = images[0].shape
    header = fits.Header({"BUNIT": "electron", "RAWNAME": "a.fits"} | cards)
    header.add_history("Made for a test.")
    cut = [slice(at, min(at + rows, shape[0])) for at in range(0, shape[0], rows)] if rows else None
    with planes_file(path, image_planes(header, (shape[0], shape[1])), compression) as file:

        def take(at: slice) -> None:
            file.write(0, at.start, images[0][at], images[1][at])
            file.write(1, at.start, images[1][at])
            file.write(2, at.start, images[2][at])

        in_threads(take, cut or strips(*shape))


def read(path: Path) -> Images:
    with fits.open(path, checksum=True) as hdus:  # a wrong sum is a warning, and so an error
        hdus.verify("exception")
        first = hdus[0] if hdus[0].data is not None else hdus[1]
        return first.data.copy(), hdus["UNCERT"].data.copy(), hdus["MASK"].data.copy()


def noisy(height: int = 60, width: int = 300, seed: int = 1) -> Images:
    random = np.random.default_rng(seed)
    sky = random.normal(500, 20, (height, width))
    sky[10:14, 50:60] += 40000.0  # a star
    mask = (random.random((height, width)) < 0.02).astype(np.uint8) * 34
    mask[3] = random.integers(0, 256, width)
    uncertainty = np.hypot(20, 0.1 * random.normal(0, 1, (height, width)))
    return sky.astype(np.float32), uncertainty.astype(np.float32), mask


@pytest.mark.parametrize("level", [4.0, 16.0, 100.0])
def test_the_quantisation_adds_the_noise_that_is_documented(tmp_path: Path, level: float) -> None:
    images = noisy(200, 1000)
    write(tmp_path / "a.fits", images, Compression("rice", level))
    sky, uncertainty, mask = read(tmp_path / "a.fits")
    added = (sky.astype(np.float64) - images[0]) / 20
    assert added.var() == pytest.approx(1 / (12 * level**2), rel=0.1)
    # No pixel is off by more than half a step, nor is any step too large for its noise.
    assert (np.abs(sky - images[0]) / images[1]).max() <= 0.5 / level + 1e-4
    assert abs(added.mean()) < 5 * added.std() / np.sqrt(added.size)
    assert np.abs(uncertainty / images[1] - 1).max() < 1e-3
    assert np.array_equal(mask, images[2])


def test_gzip_loses_nothing(tmp_path: Path) -> None:
    images = noisy()
    write(tmp_path / "a.fits", images, Compression("gzip"))
    for found, wanted in zip(read(tmp_path / "a.fits"), images, strict=True):
        assert np.array_equal(found, wanted)


def test_it_is_smaller(tmp_path: Path) -> None:
    images = noisy(400, 1000)
    sizes = []
    for how in (Compression("rice"), Compression("gzip"), None):
        write(tmp_path / "a.fits", images, how)
        sizes.append((tmp_path / "a.fits").stat().st_size)
    assert sizes[0] < 0.27 * sizes[2]
    assert sizes[0] < sizes[1] < 0.8 * sizes[2]


def test_the_step_follows_the_noise_not_the_scene(tmp_path: Path) -> None:
    """Where pixels differ for other reasons, each still has the noise that it says."""
    images = noisy(100, 500)
    images[0][:] += np.random.default_rng(2).normal(0, 400, images[0].shape)
    images[1][:, 7] = 0.0  # nothing is known of these
    images[1][:, 9] = np.nan
    write(tmp_path / "a.fits", images, Compression("rice"))
    off = np.abs(read(tmp_path / "a.fits")[0] - images[0])
    assert off.max() <= 0.5 * 21 / 16
    assert off.max() > 0.4 * 20 / 16


@pytest.mark.parametrize("kind", ["rice", "gzip"])
def test_the_same_image_gives_the_same_bytes_in_whatever_strips(
    tmp_path: Path, kind: Literal["rice", "gzip"]
) -> None:
    for name, rows in (("a", 7), ("b", 60), ("c", 1)):
        write(tmp_path / f"{name}.fits", noisy(), Compression(kind), rows)
    contents = {path.read_bytes() for path in tmp_path.iterdir()}
    assert len(contents) == 1


def test_other_frames_have_other_dithers(tmp_path: Path) -> None:
    seeds = set()
    for name in ("a.fits", "b.fits"):
        write(tmp_path / "x.fits", noisy(), Compression("rice"), RAWNAME=name)
        with fits.open(tmp_path / "x.fits", disable_image_compression=True) as hdus:
            seeds |= {hdus[1].header["ZDITHER0"], hdus[2].header["ZDITHER0"]}
    assert len(seeds) == 4


odd_rows = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 6), st.integers(1, 80)),
    elements=st.floats(width=32, allow_nan=True, allow_infinity=True),
)


@settings(max_examples=60)
@given(odd_rows, st.sampled_from(["rice", "gzip"]), st.data())
def test_whatever_the_pixels_are_readers_agree(
    tmp_path_factory: pytest.TempPathFactory, pixels: Any, kind: Any, data: Any
) -> None:
    path = tmp_path_factory.mktemp("odd") / "a.fits"
    mask = data.draw(arrays.arrays(np.uint8, pixels.shape))
    write(path, (pixels, np.abs(pixels), mask), Compression(kind))
    found = read(path)
    assert np.array_equal(found[2], mask)
    for row, wanted in zip(found[0], pixels, strict=True):
        if kind == "gzip" or not np.isfinite(wanted).all():
            assert np.array_equal(row, wanted, equal_nan=True)


@pytest.mark.parametrize("row", [np.full(300, 7.0), np.zeros(300), np.full(300, np.nan)])
def test_rows_without_noise_or_values_are_kept_as_they_are(tmp_path: Path, row: Any) -> None:
    images = noisy()
    images[0][5] = row
    images[0][7, 3] = 1e20  # too far from the others for 32 bits
    write(tmp_path / "a.fits", images, Compression("rice"))
    found = read(tmp_path / "a.fits")[0]
    for y in (5, 7):
        assert np.array_equal(found[y], images[0][y], equal_nan=True)
    assert not np.array_equal(found[6], images[0][6])


@pytest.mark.skipif(shutil.which("funpack") is None, reason="funpack (libcfitsio-bin) is missing")
@pytest.mark.parametrize("kind", ["rice", "gzip"])
def test_funpack_makes_of_it_what_astropy_reads(
    tmp_path: Path, kind: Literal["rice", "gzip"]
) -> None:
    images = noisy()
    images[0][5], images[0][9, 9] = 7.0, np.nan
    # Cards that speak of a table, as a hostile raw header may hold them.
    write(tmp_path / "a.fits", images, Compression(kind), ZSCALE=3.0, TFORM1="9X", OBJECT="M 31")
    command = ["funpack", "-O", str(tmp_path / "b.fits"), str(tmp_path / "a.fits")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    with fits.open(tmp_path / "b.fits", checksum=True) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "UNCERT", "MASK"]
        assert hdus[0].header["OBJECT"] == "M 31"
        assert hdus[0].header["BUNIT"] == "electron"
        unpacked = [hdu.data.copy() for hdu in hdus]
    for found, wanted in zip(unpacked, read(tmp_path / "a.fits"), strict=True):
        assert np.array_equal(found, wanted, equal_nan=True)


@pytest.mark.parametrize("kind", ["rice", "gzip"])
def test_our_own_readers_take_it(tmp_path: Path, kind: Literal["rice", "gzip"]) -> None:
    images = noisy()
    cards = {"IMAGETYP": "LIGHT", "EXPTIME": 30.0, "FILTER": "V", "OBJECT": "M 31"}
    write(tmp_path / "plain.fits", images, None, **cards)
    write(tmp_path / "a.fits", images, Compression(kind), **cards)
    plain, info = read_exposure(tmp_path / "plain.fits"), read_exposure(tmp_path / "a.fits")
    for name in ("image_type", "exptime_s", "filter", "object", "naxis1", "naxis2"):
        assert getattr(info, name) == getattr(plain, name)
    master = read_master(tmp_path / "a.fits")
    assert np.allclose(master.pixels, images[0], atol=2)
    assert np.array_equal(master.mask, images[2] != 0)
    assert thumbnail(tmp_path / "a.fits").startswith(b"\xff\xd8")
    assert write_preview(tmp_path / "a.fits", tmp_path / "a.png").is_file()
