"""Files that are whole, broken, or not FITS at all; twins of one exposure."""

from __future__ import annotations

import gzip
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.io.fits.verify import VerifyWarning
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

from toros.common.errors import UnreadableFile, UnusableFrame
from toros.imaging.calibrate import calibrate_light
from toros.imaging.fits_io import open_fits
from toros.imaging.frames import read_frame
from toros.imaging.headers import (
    ExposureInfo,
    find_fits,
    mark_already_calibrated,
    read_exposure,
    sha256_of,
)
from toros.imaging.mask_bits import MaskBit
from toros.imaging.masters import make_master_bias
from toros.imaging.preview import write_preview


def written(path: Path, data: np.ndarray | None = None, **cards: object) -> Path:
    hdu = fits.PrimaryHDU(np.arange(600, dtype=np.uint16).reshape(20, 30) if data is None else data)
    hdu.header.update({key.replace("_", "-"): value for key, value in cards.items()})
    hdu.writeto(path)
    return path


def test_a_frame_is_read(tmp_path: Path) -> None:
    info = read_exposure(written(tmp_path / "a.fits", IMAGETYP="LIGHT", EXPTIME=2.5))
    assert (info.image_type, info.exptime_s) == ("light", 2.5)
    assert (info.naxis1, info.naxis2, info.shape) == (30, 20, (20, 30))
    assert info.saturation_adu == 65535


@pytest.mark.parametrize("suffix", ["fits.gz", "fits.fz"])
def test_a_compressed_frame_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    data = np.arange(600, dtype=np.uint16).reshape(20, 30)
    if suffix.endswith("fz"):
        fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(data)]).writeto(path)
    else:
        fits.PrimaryHDU(data).writeto(path)
    info = read_exposure(path)
    assert info.shape == (20, 30)
    assert np.array_equal(read_frame(path, info).pixels, data)
    assert np.array_equal(read_frame(path, info, slice(3, 7)).pixels, data[3:7])


def test_an_extension_inherits_the_primary_header(tmp_path: Path) -> None:
    primary = fits.PrimaryHDU()
    primary.header["IMAGETYP"], primary.header["EXPTIME"] = "Dark Frame", 9.0
    image = fits.ImageHDU(np.zeros((4, 5), np.float32))
    image.header["EXPTIME"] = 10.0
    fits.HDUList([primary, image]).writeto(tmp_path / "a.fits")
    info = read_exposure(tmp_path / "a.fits")
    assert (info.image_type, info.exptime_s, info.shape) == ("dark", 10.0, (4, 5))


@pytest.mark.parametrize("kept", [0, 1, 80, 1500, 2879, 2880, 2881, 3500])
def test_a_truncated_file_is_said_to_be_unreadable(tmp_path: Path, kept: int) -> None:
    whole = written(tmp_path / "whole.fits").read_bytes()
    path = tmp_path / "cut.fits"
    path.write_bytes(whole[:kept])
    with pytest.raises(UnreadableFile, match=r"cut\.fits: ") as caught:
        read_exposure(path)
    assert caught.value.code == 102
    assert "\n" not in caught.value.message


def test_what_another_thread_is_warned_of_is_no_fault_of_the_file(tmp_path: Path) -> None:
    """Warnings are those of the whole process: a header with long cards is written meanwhile."""
    path = written(tmp_path / "whole.fits")
    done = threading.Event()

    def write_long_cards() -> None:
        while not done.is_set():
            with suppress(VerifyWarning):  # an error in our tests, unless it is collected
                str(fits.Card("AUTHOR", "x" * 60, "a comment that is cut"))

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write_long_cards)
        try:
            for _ in range(300):
                with open_fits(path) as hdus:
                    assert len(hdus) == 1
        finally:
            done.set()
        writing.result()


def test_a_truncated_gzip_is_unreadable(tmp_path: Path) -> None:
    data = np.random.default_rng(1).integers(0, 60000, (200, 200)).astype(np.uint16)
    whole = written(tmp_path / "whole.fits.gz", data).read_bytes()
    path = tmp_path / "cut.fits.gz"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnreadableFile):
        read_exposure(path)


def test_a_damaged_file_is_not_taken_for_a_frame(tmp_path: Path) -> None:
    """astropy looks at no check sum: it made pixels of what stood in the file."""
    data = np.random.default_rng(1).normal(1000, 8, (60, 50)).astype(np.uint16)
    path = written(tmp_path / "a.fits.gz", data)
    whole = path.read_bytes()
    middle = len(whole) // 2
    for content in (whole[:middle] + bytes(99) + whole[middle + 99 :], whole[:-1]):
        path.write_bytes(content)
        with pytest.raises(UnreadableFile, match=r"a\.fits\.gz: is (damaged|truncated)"):
            read_exposure(path)


@pytest.mark.parametrize("kind", ["RICE_1", "GZIP_1", "GZIP_2"])
@pytest.mark.parametrize("damage", range(6))
def test_damaged_tiles_are_unreadable(tmp_path: Path, kind: str, damage: int) -> None:
    rng = np.random.default_rng(damage)
    data = rng.normal(1000, 10, (40, 60)).astype(np.uint16)
    path = tmp_path / "a.fits.fz"
    image = fits.CompImageHDU(data, compression_type=kind)
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(path)
    info = read_exposure(path)
    with fits.open(path, disable_image_compression=True) as hdus:
        table = hdus[1].header
        start = hdus[1].fileinfo()["datLoc"] + table["NAXIS1"] * table["NAXIS2"]
        stop = start + table["PCOUNT"]
    content = bytearray(path.read_bytes())
    # In the middle of tiles: a decompressor is well on its way.
    for at in range(start + 45, stop - 9, 97):
        content[at : at + 9] = rng.bytes(9)
    path.write_bytes(content)
    with pytest.raises(UnreadableFile, match="pixels cannot be read"):
        read_frame(path, info)


@settings(max_examples=60)
@given(st.binary(max_size=6000))
def test_garbage_is_unreadable(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("g") / "garbage.fits"
    path.write_bytes(content)
    with pytest.raises(UnreadableFile):
        read_exposure(path)


@settings(max_examples=60)
@given(st.integers(0, 2879), st.binary(min_size=1, max_size=40))
def test_a_damaged_header_is_read_or_unreadable(
    tmp_path_factory: pytest.TempPathFactory, at: int, damage: bytes
) -> None:
    path = written(tmp_path_factory.mktemp("d") / "a.fits", IMAGETYP="LIGHT", DATE_OBS="2020-01-01")
    content = bytearray(path.read_bytes())
    content[at : at + len(damage)] = damage
    path.write_bytes(content)
    try:
        info = read_exposure(path)
    except UnreadableFile as error:
        assert "\n" not in error.message  # noqa: PT017 - either outcome is right
    else:
        assert info.shape is not None


def test_what_is_no_image_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="there is no such file"):
        read_exposure(tmp_path / "absent.fits")
    os.mkfifo(tmp_path / "pipe.fits")  # to open it would be to wait for ever
    with pytest.raises(UnreadableFile, match="is a pipe"):
        read_exposure(tmp_path / "pipe.fits")
    with pytest.raises(UnreadableFile, match="is a folder"):
        read_exposure(tmp_path)
    table = fits.BinTableHDU.from_columns([fits.Column("x", "J", array=[1, 2])])
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "t.fits")
    with pytest.raises(UnreadableFile, match="holds no image"):
        read_exposure(tmp_path / "t.fits")


def test_a_cube_is_no_frame(tmp_path: Path) -> None:
    path = written(tmp_path / "rgb.fits", np.zeros((3, 4, 5), np.uint16))
    info = read_exposure(path)
    assert info.shape == (4, 5)
    with pytest.raises(UnusableFrame, match="5×4×3"):
        read_frame(path, info)


def test_saturated_and_missing_pixels_are_masked(tmp_path: Path) -> None:
    data = np.full((4, 5), 100.0, np.float32)
    data[0, 0], data[1, 1], data[2, 2] = np.nan, 5000.0, np.inf
    path = written(tmp_path / "a.fits", data, SATURATE=5000.0)
    frame = read_frame(path, read_exposure(path))
    assert frame.mask[0, 0] == MaskBit.NO_DATA
    assert frame.mask[1, 1] == MaskBit.SATURATED
    assert frame.mask[2, 2] & MaskBit.NO_DATA.value
    assert np.count_nonzero(frame.mask) == 3
    assert np.isfinite(frame.pixels).all()


def test_find_fits(tmp_path: Path) -> None:
    wanted = ["a.fits", "b.FIT", "c.FITS", "d.fts", "sub/e.fit", "f.fits.gz", "g.fits.fz"]
    for name in [*wanted, ".hidden.fits", ".tmp/h.fits", "i.txt", "j.csv", "k.fits.png"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.fits").mkdir()
    found = [str(path.relative_to(tmp_path)) for path in find_fits(tmp_path)]
    assert found == sorted(wanted)


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert sha256_of(tmp_path / "a") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def light(name: str) -> ExposureInfo:
    return ExposureInfo(
        path=Path("/n") / name,
        image_type="light",
        exptime_s=2.0,
        instrument="STL",
        date_obs=datetime(2024, 1, 30, tzinfo=UTC),
    )


def test_the_subtracted_twin_is_marked() -> None:
    raw, twin = light("x.1.NOAUTODARK.FIT"), light("x.1.FIT")
    other = replace(light("x.2.FIT"), date_obs=datetime(2024, 1, 31, tzinfo=UTC))
    marked = mark_already_calibrated([twin, other, raw])
    assert [info.path.name for info in marked] == ["x.1.FIT", "x.2.FIT", "x.1.NOAUTODARK.FIT"]
    assert marked[0].processed is not None
    assert "x.1.NOAUTODARK.FIT" in marked[0].processed
    assert [info.processed for info in marked[1:]] == [None, None]


def test_twins_that_no_name_tells_apart_are_noted_both() -> None:
    marked = mark_already_calibrated([light("a.fit"), light("b.fit")])
    assert all(info.processed is None and len(info.notes) == 1 for info in marked)


def unsigned_as_signed(level_adu: float, shape: tuple[int, int] = (200, 300)) -> np.ndarray:
    """Return counts of a vignetted frame as a program writes them that leaves BZERO out."""
    y, x = np.indices(shape)
    shade = 1 - 0.4 * ((x / shape[1] - 0.5) ** 2 + (y / shape[0] - 0.5) ** 2)
    counts = np.random.default_rng(5).normal(level_adu * shade, 60).round().clip(0, 65535)
    return counts.astype(np.uint16).view(np.int16)


@pytest.mark.parametrize("way", ["plain", "gz", "fz", "extension"])
@pytest.mark.parametrize(
    ("kind", "level_adu"), [("light", 34000), ("flat", 34000), ("flat", 55000)]
)
def test_unsigned_counts_without_their_card_are_refused(
    tmp_path: Path, way: str, kind: str, level_adu: float
) -> None:
    path = tmp_path / ("a.fits.gz" if way == "gz" else "a.fits")
    cards = fits.Header({"IMAGETYP": kind, "EXPTIME": 5.0})
    data = unsigned_as_signed(level_adu)
    if way in ("plain", "gz"):
        fits.PrimaryHDU(data, cards).writeto(path)
    else:
        image = fits.CompImageHDU if way == "fz" else fits.ImageHDU
        fits.HDUList([fits.PrimaryHDU(), image(data, cards)]).writeto(path)
    info = read_exposure(path)
    assert info.image_type == kind
    assert any("BZERO = 32768" in note for note in info.notes)
    with pytest.raises(UnusableFrame, match="BZERO = 32768"):
        make_master_bias([path], tmp_path / "m.fits")
    with pytest.raises(UnusableFrame, match="BZERO = 32768"):
        calibrate_light(path, tmp_path / "c.fits", bias=None, dark=None, flat=None)


def test_counts_with_a_sign_are_those_of_a_camera(tmp_path: Path) -> None:
    noise = np.random.default_rng(5).normal(0, 30, (200, 300)).astype(np.int16)
    noise[::17, ::19] = -5000  # bad pixels
    noise[50:60] = 32767
    plain = read_exposure(written(tmp_path / "a.fits", noise, IMAGETYP="LIGHT"))
    # A card that says which integer is none, and a frame that is no raw one.
    noise[100:] = -32768
    blank = read_exposure(written(tmp_path / "b.fits", noise, BLANK=-32768))
    product = read_exposure(written(tmp_path / "c.fits", noise, NCOMBINE=5))
    assert [info.misread for info in (plain, blank, product)] == [None] * 3
    assert product.processed is not None


def test_signed_counts_that_are_compressed_and_gzipped_are_read_as_they_are(
    tmp_path: Path,
) -> None:
    counts = np.random.default_rng(1).normal(1000, 5, (200, 300)).astype(np.int16)
    image = fits.CompImageHDU(counts, fits.Header({"EXPTIME": 60.0}), compression_type="RICE_1")
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(tmp_path / "a.fits.fz")
    gzipped = tmp_path / "a.fits.gz"
    gzipped.write_bytes(gzip.compress((tmp_path / "a.fits.fz").read_bytes()))
    assert read_exposure(gzipped).misread is None


@pytest.mark.parametrize("kind", [np.int16, np.uint16])
def test_the_header_of_a_frame_whose_tiles_are_damaged_can_be_read(
    tmp_path: Path, kind: type
) -> None:
    path = tmp_path / "a.fits.fz"
    # Multiples of 16: all the rows that tell the step are looked at.
    data = (np.random.default_rng(1).integers(0, 2000, (64, 90)) * 16).astype(kind)
    image = fits.CompImageHDU(data, fits.Header({"FILTER": "V"}), compression_type="GZIP_2")
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(path)
    with fits.open(path, disable_image_compression=True) as hdus:
        heap = hdus[1].fileinfo()["datLoc"] + hdus[1].header["NAXIS1"] * hdus[1].header["NAXIS2"]
        size = hdus[1].header["PCOUNT"]
    content = path.read_bytes()
    path.write_bytes(content[:heap] + bytes(size) + content[heap + size :])
    info = read_exposure(path)
    assert info.filter == "V"
    with pytest.raises(UnreadableFile, match="its pixels cannot be read"):
        read_frame(path, info)


@pytest.mark.parametrize("kind", [np.uint16, np.int16, np.float32])
@pytest.mark.parametrize("way", ["plain", "gz", "fz", "extension", "four axes", "trimmed"])
def test_an_image_of_one_plane_in_a_cube_is_that_plane(
    tmp_path: Path, way: str, kind: type
) -> None:
    y, x = np.indices((20, 30))
    plane = (1000 + 7 * x + 100 * y).astype(kind)
    data = plane[np.newaxis, np.newaxis] if way == "four axes" else plane[np.newaxis]
    cards = fits.Header({"IMAGETYP": "light", "EXPTIME": 5.0, "CTYPE3": "STOKES", "CDELT3": 1.0})
    path = tmp_path / ("a.fits.gz" if way == "gz" else "a.fits")
    if way == "trimmed":
        cards["TRIMSEC"] = "[3:22,1:20]"
        plane = plane[:, 2:22]
    if way in ("fz", "extension"):
        image = fits.CompImageHDU if way == "fz" else fits.ImageHDU
        fits.HDUList([fits.PrimaryHDU(), image(data, cards)]).writeto(path)
    else:
        fits.PrimaryHDU(data, cards).writeto(path)
    info = read_exposure(path)
    assert info.shape == plane.shape
    assert np.array_equal(read_frame(path, info).pixels, plane)
    assert np.array_equal(read_frame(path, info, slice(3, 9)).pixels, plane[3:9])
    target = tmp_path / "c.fits"
    calibrate_light(path, target, bias=None, dark=None, flat=None)
    make_master_bias([path] * 3, tmp_path / "m.fits")
    for made in (target, tmp_path / "m.fits"):
        with fits.open(made) as hdus:
            assert np.array_equal(hdus[0].data, plane)
            assert "CDELT3" not in hdus[0].header
    assert write_preview(path, tmp_path / "a.png").stat().st_size > 0


@pytest.mark.parametrize("way", ["plain", "unsigned", "gz"])
def test_a_master_in_a_cube_of_one_plane_serves(tmp_path: Path, way: str) -> None:
    light = np.arange(600, dtype=np.uint16).reshape(20, 30) + np.uint16(1000)
    path = written(tmp_path / "a.fits", light, IMAGETYP="light", EXPTIME=5.0)
    kind = np.uint16 if way == "unsigned" else np.float32
    bias = tmp_path / ("b.fits.gz" if way == "gz" else "b.fits")
    lost = np.zeros((1, 20, 30), np.uint8)
    lost[0, 3, 4] = 1
    fits.HDUList(
        [fits.PrimaryHDU(np.full((1, 20, 30), 900, kind)), fits.ImageHDU(lost, name="MASK")]
    ).writeto(bias)
    calibrate_light(path, tmp_path / "c.fits", bias=bias, dark=None, flat=None)
    with fits.open(tmp_path / "c.fits") as hdus:
        assert np.array_equal(hdus[0].data, light - 900.0)
        assert np.argwhere(hdus["MASK"].data & MaskBit.BAD_MASTER.value).tolist() == [[3, 4]]


def test_the_wcs_of_a_light_has_two_axes_where_its_cube_has_three(tmp_path: Path) -> None:
    sky = {
        "WCSAXES": 3, "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CTYPE3": "STOKES",
        "CRVAL1": 150.0, "CRVAL2": -30.0, "CRVAL3": 1.0, "CRPIX1": 15.0, "CRPIX2": 10.0,
        "CRPIX3": 1.0, "CD1_1": -2e-4, "CD2_2": 2e-4, "CD3_3": 1.0,
    }  # fmt: skip
    data = np.arange(600, dtype=np.uint16).reshape(1, 20, 30)
    path = tmp_path / "a.fits"
    cards = fits.Header({"IMAGETYP": "light", "EXPTIME": 5.0} | sky)
    fits.PrimaryHDU(data, cards).writeto(path)
    calibrate_light(path, tmp_path / "c.fits", bias=None, dark=None, flat=None)
    found = WCS(fits.getheader(tmp_path / "c.fits"))
    assert found.naxis == 2
    assert found.pixel_to_world_values(14, 9) == pytest.approx((150, -30))
