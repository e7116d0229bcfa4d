"""Rows out of compressed frames, against astropy's reading of the whole and against plain twins."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.io.fits.hdu.compressed._codecs import Rice1
from astropy.io.fits.hdu.compressed._compression import CfitsioException
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from toros.common.errors import UnreadableFile, UnusableFrame
from toros.imaging.calibrate import calibrate_light
from toros.imaging.frames import read_frame, read_strips
from toros.imaging.headers import read_exposure
from toros.imaging.kernels.untiling import SLACK, unpack_rice
from toros.imaging.light_pixels import open_light
from toros.imaging.masters import make_master_bias
from toros.imaging.options import ReductionOptions
from toros.imaging.raw import opened_file
from toros.imaging.tiled import TiledImage, stored_image

OPTIONS = ReductionOptions()
WAYS = ["RICE_1", "GZIP_1", "GZIP_2"]
SATURATED = 60000


def write(path: Path, data: NDArray[Any], **how: Any) -> Path:
    image = fits.CompImageHDU(data, **how)
    image.header.update({"SATURATE": SATURATED, "IMAGETYP": "light", "EXPTIME": 1.0})
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(path, overwrite=True)
    return path


def pixels_of(seed: int, shape: tuple[int, int], kind: type) -> NDArray[Any]:
    """Return rows of all that Rice codes differ for: noise, none, jumps, and the extremes."""
    rng = np.random.default_rng(seed)
    low, high = np.iinfo(kind).min, np.iinfo(kind).max
    anything = rng.integers(low, high + 1, shape)
    noise = rng.normal((low + high) / 2, 10 ** rng.uniform(-1, 4), shape)
    jumps = np.where(rng.random(shape) < 0.03, anything, 7)
    ends = rng.choice([low, high], shape)
    rows = np.choose(rng.integers(0, 4, (shape[0], 1)), [anything, noise, jumps, ends])
    return np.asarray(rows.clip(low, high).astype(kind))


@given(
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 12), st.integers(1, 150)),
    st.sampled_from([np.int16, np.uint16]),
    st.sampled_from(WAYS),
    st.integers(1, 12),
)
def test_rows_are_those_of_the_whole_frame(
    seed: int, shape: tuple[int, int], kind: type, way: str, step: int
) -> None:
    data = pixels_of(seed, shape, kind)
    with tempfile.TemporaryDirectory() as folder:
        path = write(
            Path(folder) / "a.fits.fz", data, compression_type=way, tile_shape=(1, shape[1])
        )
        info = read_exposure(path)
        image = stored_image(path)
        assert isinstance(image, TiledImage)
        assert image.is_counts == (kind is np.uint16)
        frame = read_frame(path, info)
        np.testing.assert_array_equal(frame.pixels, data)
        with open_light(info, OPTIONS) as light, opened_file(path) as descriptor:
            assert light.shape == shape
            for start in range(0, shape[0], step):
                rows = slice(start, min(start + step, shape[0]))
                words = image.rows(descriptor, rows)
                np.testing.assert_array_equal(words + np.int32(image.zero), data[rows])
                pixels, mask = light.rows(rows)
                np.testing.assert_array_equal(pixels, frame.pixels[rows])
                np.testing.assert_array_equal(mask, frame.mask[rows])
        (strip,) = read_strips(path, info, [slice(0, shape[0])])
        np.testing.assert_array_equal(strip, frame.pixels)


@given(st.integers(0, 2**32 - 1), st.integers(1, 200), st.sampled_from([16, 32]), st.data())
def test_damaged_rice_codes_are_refused_where_cfitsio_does(
    seed: int, size: int, block: int, data: st.DataObject
) -> None:
    whole = Rice1(blocksize=block, bytepix=2, tilesize=size).encode(
        pixels_of(seed, (1, size), np.int16)[0]
    )
    code = bytearray(whole)
    at = data.draw(st.integers(0, len(code) - 1))
    code[at : at + 4] = data.draw(st.binary(max_size=6))
    content = np.concatenate([np.frombuffer(code, np.uint8), np.zeros(SLACK, np.uint8)])
    rows = np.empty((1, size), np.uint16)
    where = np.zeros(1, np.uint64), np.array([len(code)], np.uint64)
    damaged = unpack_rice(content, *where, block, rows)
    try:
        theirs = Rice1(blocksize=block, bytepix=2, tilesize=size).decode(content[: len(code)])
    except CfitsioException:
        assert damaged == 0
    else:
        assert damaged == -1
        np.testing.assert_array_equal(rows.byteswap().view(np.int16)[0], theirs[:size])


OTHERS: dict[str, tuple[type, dict[str, Any]]] = {
    "tiles of several rows": (np.uint16, {"tile_shape": (4, 60)}),
    "tiles of parts of rows": (np.uint16, {"tile_shape": (1, 20)}),
    "hcompress": (np.uint16, {"compression_type": "HCOMPRESS_1", "tile_shape": (8, 60)}),
    "plio": (np.uint8, {"compression_type": "PLIO_1"}),
    "bytes": (np.uint8, {"compression_type": "RICE_1"}),
    "long": (np.int32, {"compression_type": "RICE_1"}),
    "floats": (np.float32, {"compression_type": "GZIP_2", "quantize_level": 0}),
    "quantised": (np.float32, {"quantize_level": 16, "quantize_method": 1, "dither_seed": 3}),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_what_else_is_compressed_is_left_to_astropy(tmp_path: Path, kind: str) -> None:
    number, how = OTHERS[kind]
    data: NDArray[Any] = np.random.default_rng(2).integers(0, 99, (40, 60)).astype(number)
    path = write(tmp_path / "a.fits.fz", data, **how)
    assert stored_image(path) is None
    with fits.open(path) as hdus, open_light(read_exposure(path), OPTIONS) as light:
        np.testing.assert_array_equal(light.rows(slice(3, 30))[0], hdus[1].data[3:30])


@pytest.mark.parametrize("card", [("BLANK", 7), ("ZBLANK", 7), ("BSCALE", 2.0), ("BZERO", 5.0)])
def test_integers_with_a_scale_of_their_own_are_left_to_astropy(
    tmp_path: Path, card: tuple[str, float]
) -> None:
    path = write(tmp_path / "a.fits.fz", np.full((20, 30), 7, np.int16))
    with fits.open(path, mode="update", disable_image_compression=True) as hdus:
        hdus[1].header[card[0]] = card[1]
    assert stored_image(path) is None
    expected = {"BSCALE": 14, "BZERO": 12}.get(card[0], 0)
    with open_light(read_exposure(path), OPTIONS) as light:
        assert (light.rows(slice(0, 20))[0] == expected).all()


def test_a_file_compressed_as_a_whole_is_read_whole(tmp_path: Path) -> None:
    data = np.random.default_rng(2).integers(0, 99, (40, 60)).astype(np.uint16)
    fz = write(tmp_path / "a.fits.fz", data)
    for name, content in (("b.fits.gz", fz.read_bytes()), ("c.fits", gzip.compress(b"none"))):
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
        assert stored_image(path) is None
    path = tmp_path / "b.fits.gz"
    np.testing.assert_array_equal(read_frame(path, read_exposure(path)).pixels, data)


@pytest.mark.skipif(shutil.which("fpack") is None, reason="no fpack here")
@pytest.mark.parametrize(("way", "by_rows"), [("-r", 1), ("-g1", 1), ("-g2", 1), ("-h", 0)])
def test_what_fpack_writes_is_reduced_like_the_plain_frame(
    tmp_path: Path, way: str, by_rows: bool
) -> None:
    rng = np.random.default_rng(5)
    made: list[list[fits.HDUList]] = [[], []]
    paths: list[Path] = []
    for folder in ("plain", "tiles"):
        (tmp_path / folder).mkdir()
    for index in range(4):
        image = fits.PrimaryHDU(rng.normal(1000, 8, (120, 90)).astype(np.uint16))
        image.data[60, 40:44] = 65535
        kind = "light" if index == 3 else "bias"
        image.header.update({"IMAGETYP": kind, "GAIN": 1.5, "RDNOISE": 8.0, "FILTER": "V"})
        image.header.update({"EXPTIME": 60.0 * (index == 3), "SATURATE": SATURATED})
        paths.append(tmp_path / "plain" / f"{index}.fits")
        image.writeto(paths[-1])
        tiles = tmp_path / "tiles" / paths[-1].name  # ZIMAGE in a file whose name does not tell
        subprocess.run(["fpack", way, "-O", tiles, paths[-1]], check=True)  # noqa: S607
        assert (stored_image(tiles) is not None) == bool(by_rows)
    for folder, hdus in zip(("plain", "tiles"), made, strict=True):
        raw = [tmp_path / folder / path.name for path in paths]
        bias = make_master_bias(raw[:3], tmp_path / folder / "master.fits").path
        light = tmp_path / folder / "light.fits"
        calibrate_light(raw[3], light, bias=bias, dark=None, flat=None)
        hdus += [fits.open(path, memmap=False) for path in (bias, light)]
    for plain, tiles in zip(*made, strict=True):
        with plain, tiles:
            assert [hdu.name for hdu in plain] == [hdu.name for hdu in tiles]
            for one, other in zip(plain, tiles, strict=True):
                np.testing.assert_array_equal(one.data, other.data)


@pytest.mark.parametrize("way", [*WAYS, "extension"])
def test_a_light_that_is_not_in_the_primary_hdu_is_not_read_whole(
    tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = np.full((40, 60), 5, np.uint16)
    path = tmp_path / "a.fits"
    if way == "extension":
        fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(data)]).writeto(path)
    else:
        write(path, data, compression_type=way)

    def whole(*_: object, **__: object) -> None:
        raise AssertionError("was read whole")

    monkeypatch.setattr("toros.imaging.light_pixels.read_frame", whole)
    monkeypatch.setattr("toros.imaging.sources.read_frame", whole)
    with open_light(read_exposure(path), OPTIONS) as light:
        assert light.is_counts
        assert (light.rows(slice(39, 40))[0] == 5).all()


def layout_of(path: Path) -> tuple[int, int, int]:
    """Return where the table, the compressed rows and the end of these are."""
    with fits.open(path, disable_image_compression=True) as hdus:
        header, start = hdus[1].header, hdus[1].fileinfo()["datLoc"]
    heap = start + header["NAXIS1"] * header["NAXIS2"]
    return start, heap, heap + header["PCOUNT"]


@pytest.mark.parametrize("kind", [np.float32, np.int32, np.int16])
def test_other_numbers_in_an_extension_are_left_to_astropy(tmp_path: Path, kind: type) -> None:
    data = np.random.default_rng(2).integers(0, 99, (40, 60)).astype(kind)
    path = tmp_path / "a.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(data)]).writeto(path)
    assert stored_image(path) is None
    with open_light(read_exposure(path), OPTIONS) as light:
        np.testing.assert_array_equal(light.rows(slice(0, 40))[0], data)


@pytest.mark.parametrize("way", WAYS)
def test_a_damaged_row_is_named(tmp_path: Path, way: str) -> None:
    data = pixels_of(4, (40, 60), np.uint16)
    path = write(tmp_path / "a.fits.fz", data, compression_type=way)
    image = stored_image(path)
    assert isinstance(image, TiledImage)
    content = bytearray(path.read_bytes())
    start, size = image.starts[7], image.sizes[7]
    content[start : start + size] = b"\x55" * size
    path.write_bytes(content)
    with open_light(read_exposure(path), OPTIONS) as light:
        for rows in (slice(0, 7), slice(8, 40)):
            assert light.rows(rows)[0].shape[1] == 60
        with pytest.raises(UnreadableFile, match=r"a\.fits\.fz: its pixels .* row 8 is damaged"):
            light.rows(slice(5, 12))
    with pytest.raises(UnreadableFile, match="pixels cannot be read"):
        read_frame(path, read_exposure(path))
    with pytest.raises(UnreadableFile, match="row 8 is damaged"):
        calibrate_light(path, tmp_path / "out.fits", bias=None, dark=None, flat=None)
    assert not (tmp_path / "out.fits").exists()


@pytest.mark.parametrize("byte", [0, 1, 127, 255])
def test_a_damaged_table_is_left_to_astropy_which_says_so(tmp_path: Path, byte: int) -> None:
    path = write(tmp_path / "a.fits.fz", pixels_of(4, (40, 60), np.uint16))
    start, heap, _end = layout_of(path)
    content = bytearray(path.read_bytes())
    content[start:heap] = bytes([byte]) * (heap - start)
    path.write_bytes(content)
    assert stored_image(path) is None
    with (
        pytest.raises(UnreadableFile, match="pixels cannot be read"),
        open_light(read_exposure(path), OPTIONS),
    ):
        pass


@given(st.lists(st.tuples(st.integers(0, 2**31), st.binary(min_size=1, max_size=5)), max_size=3))
def test_a_damaged_file_is_read_as_astropy_does_or_not_at_all(
    damage: list[tuple[int, bytes]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "a.fits.fz", pixels_of(4, (20, 60), np.uint16))
        content = bytearray(path.read_bytes())
        first, _heap, end = layout_of(path)
        for where, what in damage:
            # The header of the table, the table, and its rows.
            at = first - 2880 + where % (end - first + 2880)
            content[at : at + len(what)] = what
        path.write_bytes(content)
        try:
            info = read_exposure(path)
        except UnreadableFile:
            return
        try:
            whole = read_frame(path, info).pixels
        except (UnreadableFile, UnusableFrame):
            whole = None
        try:
            with open_light(info, OPTIONS) as light:
                found = light.rows(slice(0, light.shape[0]))[0]
        except (UnreadableFile, UnusableFrame):
            assert whole is None
        else:
            np.testing.assert_array_equal(found, whole)


def test_rows_may_stand_in_any_order(tmp_path: Path) -> None:
    data = pixels_of(4, (40, 60), np.uint16)
    path = write(tmp_path / "a.fits.fz", data)
    start, heap, end = layout_of(path)
    content = bytearray(path.read_bytes())
    table = np.frombuffer(content[start:heap], ">i4").reshape(40, 2)
    tiles = [content[heap + at : heap + at + size] for size, at in table]
    turned = np.array(table)
    turned[::-1, 1] = np.cumsum([0, *(len(tile) for tile in tiles[:0:-1])])
    content[start:end] = turned.tobytes() + b"".join(tiles[::-1])
    path.write_bytes(content)
    image = stored_image(path)
    assert isinstance(image, TiledImage)
    with opened_file(path) as descriptor:
        image.will_need(descriptor, slice(3, 30))
        found = image.rows(descriptor, slice(3, 30))
    np.testing.assert_array_equal(found + np.int32(32768), data[3:30])
    np.testing.assert_array_equal(read_frame(path, read_exposure(path)).pixels, data)


def test_a_compressed_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits.fz", pixels_of(4, (40, 60), np.uint16))
    _start, heap, _end = layout_of(path)
    info = read_exposure(path)
    with open_light(info, OPTIONS) as light:
        os.truncate(path, heap + 100)
        with pytest.raises(UnreadableFile, match="cut off"):
            light.rows(slice(0, 40))
    with pytest.raises(UnreadableFile, match="truncated"), open_light(info, OPTIONS):
        pass
