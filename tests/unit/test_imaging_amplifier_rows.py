"""Rows of amplifiers, read as they are wanted, are those of the frame put together in memory."""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from toros.common.errors import UnreadableFile
from toros.imaging.amplifier_rows import amplifier_rows
from toros.imaging.amplifiers import assemble
from toros.imaging.fits_io import open_fits
from toros.imaging.frames import read_frame, read_strips
from toros.imaging.headers import ExposureInfo, read_exposure
from toros.imaging.mask_bits import MaskBit
from toros.imaging.masters import make_master_bias
from toros.imaging.options import ReductionOptions
from toros.imaging.overscan import OverscanMethod
from toros.imaging.raw import opened_file

HEIGHT, WIDTH = 20, 14  # of the data of an amplifier
EXTRA = 6  # of its overscan
SATURATED = 60000


def write(
    path: Path,
    rng: np.random.Generator,
    *,
    along: str = "rows",
    gap: int = 0,
    turned: bool = False,
    kind: type = np.uint16,
    way: str | None = None,
) -> ExposureInfo:
    """Write two amplifiers side by side, each in an extension."""
    hdus = fits.HDUList([fits.PrimaryHDU()])
    hdus[0].header.update({"IMAGETYP": "light", "EXPTIME": 1.0, "SATURATE": SATURATED})
    size = (HEIGHT, WIDTH + EXTRA) if along == "rows" else (HEIGHT + EXTRA, WIDTH)
    bias = (
        f"[{WIDTH + 1}:{WIDTH + EXTRA},1:{HEIGHT}]"
        if along == "rows"
        else f"[1:{WIDTH},{HEIGHT + 1}:{HEIGHT + EXTRA}]"
        if along == "columns"
        else f"[1:{WIDTH // 2},{HEIGHT + 2}:{HEIGHT + EXTRA}]"
    )
    for index in range(2):
        raw = rng.integers(900, 1100, size)
        raw[rng.random(size) < 0.05] = 65535
        hdu = fits.ImageHDU(raw.astype(kind))
        if way is not None:
            hdu = fits.CompImageHDU(raw.astype(kind), compression_type=way)
        start = 1 + index * (WIDTH + gap)
        x = f"{start}:{start + WIDTH - 1}"
        y = f"1:{HEIGHT}"
        if turned and index:
            x, y = f"{start + WIDTH - 1}:{start}", f"{HEIGHT}:1"
        hdu.header.update(
            {
                "DATASEC": f"[1:{WIDTH},1:{HEIGHT}]",
                "BIASSEC": bias,
                "DETSEC": f"[{x},{y}]",
                "GAIN": 1.5 + 0.25 * index,
            }
        )
        hdus.append(hdu)
    hdus.writeto(path, overwrite=True)
    return read_exposure(path)


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["rows", "columns", "corner"]),
    st.sampled_from([0, 3]),
    st.booleans(),
    st.sampled_from(["fit", "row", "median", "off"]),
    st.integers(1, HEIGHT),
    st.sampled_from([None, "RICE_1", "GZIP_2"]),
)
def test_they_are_those_of_the_whole_frame(
    seed: int,
    along: str,
    gap: int,
    turned: bool,
    method: OverscanMethod,
    step: int,
    way: str | None,
) -> None:
    options = ReductionOptions(overscan=method, overscan_degree=2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.fits"
        rng = np.random.default_rng(seed)
        info = write(path, rng, along=along, gap=gap, turned=turned, way=way)
        with open_fits(path) as hdus:
            pixels, saturated, empty = assemble(hdus, path, info, options)
        rows = amplifier_rows(info, options)
        assert rows is not None
        assert rows.shape == pixels.shape
        with opened_file(path) as descriptor:
            for start in range(0, len(pixels), step):
                at = slice(start, min(start + step, len(pixels)))
                found, mask = rows.read(descriptor, at)
                np.testing.assert_array_equal(found, pixels[at])
                np.testing.assert_array_equal(mask == MaskBit.SATURATED, saturated[at])
                np.testing.assert_array_equal(mask == MaskBit.NO_DATA, empty[at])
        frame = read_frame(path, info, None, options)
        np.testing.assert_array_equal(frame.pixels, pixels)
        (strip,) = read_strips(path, info, [slice(2, 7)], options, lost=-1.0)
        np.testing.assert_array_equal(strip, np.where(empty, -1.0, pixels)[2:7])


@pytest.mark.parametrize("way", ["float", "gzip", "tiles"])
def test_any_other_file_is_put_together_in_memory(tmp_path: Path, way: str) -> None:
    rng = np.random.default_rng(1)
    path = tmp_path / "frame.fits"
    info = write(path, rng, kind=np.float32 if way == "float" else np.uint16)
    expected = read_frame(path, info).pixels
    if way == "gzip":
        path = tmp_path / "frame.fits.gz"
        path.write_bytes(gzip.compress((tmp_path / "frame.fits").read_bytes()))
    if way == "tiles":
        with fits.open(path) as hdus:
            tiles = [
                fits.CompImageHDU(hdu.data, hdu.header, compression_type="HCOMPRESS_1")
                for hdu in hdus[1:]
            ]
            path = tmp_path / "frame.fits.fz"
            fits.HDUList([hdus[0], *tiles]).writeto(path)
    info = read_exposure(path)
    assert amplifier_rows(info, ReductionOptions()) is None
    np.testing.assert_array_equal(read_frame(path, info).pixels, expected)


def test_another_file_of_the_same_name_has_levels_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "frame.fits"
    before = read_frame(path, write(path, np.random.default_rng(1))).pixels
    after = read_frame(path, write(path, np.random.default_rng(2))).pixels
    assert not np.array_equal(before, after)
    with open_fits(path) as hdus:
        pixels, _, _ = assemble(hdus, path, read_exposure(path), ReductionOptions())
    np.testing.assert_array_equal(after, pixels)


def test_a_file_that_is_gone_is_said(tmp_path: Path) -> None:
    path = tmp_path / "frame.fits"
    info = write(path, np.random.default_rng(1))
    path.unlink()
    with pytest.raises(UnreadableFile, match="cannot be opened"):
        amplifier_rows(info, ReductionOptions())


def test_no_frame_of_a_stack_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each was once decoded into a temporary file, which took ten times as long as the rest."""
    paths = [tmp_path / f"bias_{index}.fits" for index in range(3)]
    for index, path in enumerate(paths):
        write(path, np.random.default_rng(index))
        fits.setval(path, "IMAGETYP", value="bias")

    def no_file(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file")

    monkeypatch.setattr("toros.imaging.sources._decoded", no_file)
    result = make_master_bias(paths, tmp_path / "master.fits")
    assert fits.getdata(result.path).shape == (HEIGHT, 2 * WIDTH)
