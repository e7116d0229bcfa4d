"""Frames that are gzipped as a whole: decompressed once, not read into memory."""

from __future__ import annotations

import gzip
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from toros.common.errors import UnreadableFile
from toros.imaging.calibrate import calibrate_light
from toros.imaging.frames import read_frame
from toros.imaging.headers import read_exposure
from toros.imaging.light_pixels import open_light
from toros.imaging.masters import make_master_bias
from toros.imaging.options import ReductionOptions
from toros.imaging.unpacked import opened_image

OPTIONS = ReductionOptions()


def write(path: Path, seed: int = 1, kind: Any = np.uint16, **cards: Any) -> Path:
    """Write a plain frame, or one that is gzipped where the name says so."""
    image = fits.PrimaryHDU(np.random.default_rng(seed).normal(1000, 8, (60, 50)).astype(kind))
    image.header.update({"IMAGETYP": "bias", "EXPTIME": 0.0, "GAIN": 1.5, "RDNOISE": 8.0} | cards)
    image.writeto(path)
    return path


def planes(path: Path) -> list[np.ndarray]:
    with fits.open(path, memmap=False) as hdus:
        return [hdu.data.copy() for hdu in hdus]


def in_memory(*_: object, **__: object) -> None:
    raise AssertionError("was read into memory")


@pytest.mark.parametrize("tiles", [False, True])
def test_it_is_reduced_like_the_plain_frame(
    tmp_path: Path, tiles: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    for folder in ("plain", "packed"):
        (tmp_path / folder).mkdir()
        raw = []
        for index in range(4):
            path = write(tmp_path / folder / f"{index}.fits", index)
            if tiles:
                data, header = fits.getdata(path, header=True)
                image = fits.CompImageHDU(data, header)
                fits.HDUList([fits.PrimaryHDU(), image]).writeto(path, overwrite=True)
            if folder == "packed":
                # Its name does not tell.
                path.write_bytes(gzip.compress(path.read_bytes()))
            raw.append(path)
        with monkeypatch.context() as patched:
            patched.setattr("toros.imaging.light_pixels.read_frame", in_memory)
            patched.setattr("toros.imaging.sources._decoded", in_memory)
            bias = make_master_bias(raw[:3], tmp_path / folder / "master.fits").path
            light = tmp_path / folder / "light.fits"
            calibrate_light(raw[3], light, bias=bias, dark=None, flat=None)
        made.append(planes(bias) + planes(light))
    assert len(made[0]) == 6
    for plain, packed in zip(*made, strict=True):
        np.testing.assert_array_equal(plain, packed)


@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_what_holds_no_counts_is_left_to_astropy(tmp_path: Path, kind: Any) -> None:
    path = write(tmp_path / "a.fits.gz", kind=kind)
    with opened_image(path) as (image, _):
        assert image is None
    info = read_exposure(path)
    with open_light(info, OPTIONS) as light:
        np.testing.assert_array_equal(light.rows(slice(0, 60))[0], read_frame(path, info).pixels)


def test_damage_is_said_of_the_file_itself(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits.gz")
    info = read_exposure(path)  # before it was damaged
    whole = path.read_bytes()
    middle = len(whole) // 2
    for content, said in (
        (whole[:-1000], "is truncated"),
        (whole[:-1], "is truncated"),
        (whole[:middle] + bytes(99) + whole[middle + 99 :], "is damaged"),
        (whole[:-8] + bytes(8), "is damaged"),
        (gzip.compress(gzip.decompress(whole)[:6000]), "its pixels cannot be read"),
    ):
        path.write_bytes(content)
        with (
            pytest.raises(UnreadableFile, match=rf"a\.fits\.gz: {said}"),
            open_light(info, OPTIONS),
        ):
            pass


def test_members_belong_together_and_what_follows_them_does_not(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits.gz")
    plain = gzip.decompress(path.read_bytes())
    info = read_exposure(path)
    with open_light(info, OPTIONS) as light:
        pixels, _ = light.rows(slice(0, 60))
    for cuts in ([3000], [0, 7, 5000, len(plain)]):
        parts = np.split(np.frombuffer(plain, np.uint8), cuts)
        for rest in (b"", b"rest", bytes(50)):
            path.write_bytes(b"".join(gzip.compress(part.tobytes()) for part in parts) + rest)
            with open_light(read_exposure(path), OPTIONS) as light:
                np.testing.assert_array_equal(light.rows(slice(0, 60))[0], pixels)


def test_nothing_of_it_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.fits.gz")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    before = len(list(Path("/proc/self/fd").iterdir()))
    with ExitStack() as opened:
        image, descriptor = opened.enter_context(opened_image(path))
        assert image is not None
        assert image.path == path
        assert str(scratch) in str(Path(f"/proc/self/fd/{descriptor}").readlink())
        assert list(scratch.iterdir()) == []  # a kill leaves nothing either
    assert len(list(Path("/proc/self/fd").iterdir())) == before
