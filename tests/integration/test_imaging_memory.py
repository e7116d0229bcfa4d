"""Memory is bounded whatever the frames, and the bound changes no digit."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from astropy.io import fits

from toros.imaging.calibrate import calibrate_light
from toros.imaging.headers import read_exposure, sha256_of
from toros.imaging.light_pixels import open_light
from toros.imaging.mask_bits import MaskBit
from toros.imaging.masters import make_master_bias, make_master_dark, make_master_flat
from toros.imaging.options import ReductionOptions
from toros.imaging.planes import Planes
from toros.imaging.pool import strips
from toros.imaging.preview import write_preview
from toros.imaging.stack import open_stack

TIGHT = ReductionOptions(memory_limit_bytes=20_000)
AMPLE = ReductionOptions()

STACK = """
import json, resource, sys
from pathlib import Path
from zlib import crc32
from toros.imaging.masters import make_master_bias
from toros.imaging.options import ReductionOptions

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

folder, limit = Path(sys.argv[1]), int(sys.argv[2])
options = ReductionOptions(memory_limit_bytes=limit)
few = sorted(folder.glob("small_*.fits"))
make_master_bias(few, folder / "warm.fits", options)
before = peak()
make_master_bias(sorted(folder.glob("large_*.fits")), folder / "m.fits", options)
print(json.dumps([before, peak()]))
"""


def frame(path: Path, shape: tuple[int, int], level: float, seed: int, **cards: object) -> Path:
    rng = np.random.default_rng(seed)
    data = rng.normal(level, 6, shape).astype(np.uint16)
    hdu = fits.PrimaryHDU(data)
    hdu.header.update(
        {"INSTRUME": "T", "EGAIN": 1.5, "RDNOISE": 9.0, "CCD-TEMP": -20.0, "FILTER": "V"} | cards
    )
    hdu.writeto(path)
    return path


def test_a_stack_takes_little_memory(tmp_path: Path) -> None:
    for index in range(5):
        frame(tmp_path / f"small_{index}.fits", (64, 64), 1000, index, IMAGETYP="bias")
    # 10 × 2048² are 84 MB as they stand and 168 MB as float32; the result is 42 MB.
    first = frame(tmp_path / "large_0.fits", (2048, 2048), 1000, 9, IMAGETYP="bias")
    for index in range(1, 10):
        with fits.open(first) as hdus:
            hdus[0].data = np.roll(hdus[0].data, 1001 * index)
            hdus.writeto(tmp_path / f"large_{index}.fits")
    limit = 16 * 1024**2
    done = subprocess.run(
        [sys.executable, "-c", STACK, str(tmp_path), str(limit)],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    before_mb, after_mb = json.loads(done.stdout)
    # The bound is on the stack; samples and the strips that are written come on top.
    assert after_mb - before_mb < 40
    assert fits.getval(tmp_path / "m.fits", "NCOMBINE") == 10


def compress(path: Path, way: str) -> None:
    """Compress the image of a frame, or all of its file with "whole", under the same name."""
    if way == "whole":
        path.write_bytes(gzip.compress(path.read_bytes(), 1))
        return
    data, header = fits.getdata(path, header=True)
    image = fits.CompImageHDU(data, header, compression_type=way)
    fits.HDUList([fits.PrimaryHDU(), image]).writeto(path, overwrite=True)


@pytest.mark.parametrize("way", ["RICE_1", "GZIP_2", "whole"])
def test_a_compressed_frame_is_not_held(way: str, tmp_path: Path) -> None:
    path = frame(tmp_path / "light.fits", (2048, 2048), 1000, 3, IMAGETYP="light")
    with fits.open(path) as hdus:
        expected = float(hdus[0].data.sum(dtype=np.float64))
    compress(path, way)
    info = read_exposure(path)
    found = []
    for trace in (False, True):  # the first compiles the kernels
        if trace:
            tracemalloc.start()
        with open_light(info, AMPLE) as light:
            sums = [light.rows(rows)[0].sum(dtype=np.float64) for rows in strips(*light.shape)]
        found.append(sum(sums))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == [expected] * 2
    # Its counts are 8.4 MB; read whole, with the copies that are made of it, it took 38.
    assert peak < 8e6


@pytest.mark.parametrize("lost_rows", [0, 400])
def test_a_preview_does_not_hold_the_image(lost_rows: int, tmp_path: Path) -> None:
    pixels, mask = np.ones((3072, 3072), np.float32), np.zeros((3072, 3072), np.uint8)
    mask[:lost_rows] = MaskBit.NO_DATA
    hdus = fits.HDUList([fits.PrimaryHDU(pixels), fits.ImageHDU(mask, name="MASK")])
    hdus[0].header["NMASKED"] = int(np.count_nonzero(mask))
    hdus.writeto(tmp_path / "light.fits")
    write_preview(tmp_path / "light.fits", tmp_path / "warm.png")
    tracemalloc.start()
    write_preview(tmp_path / "light.fits", tmp_path / "light.png")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The image is 38 MB, the mask 9; the picture as real numbers is 4, three times.
    assert peak < 20e6


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, shape = tmp_path_factory.mktemp("night"), (90, 70)
    for kind, level, exptime in (
        ("bias", 1000, 0.0), ("dark", 1050, 60.0), ("flat", 21000, 3.0), ("light", 1400, 60.0),
    ):  # fmt: skip
        for index in range(6):
            path = folder / f"{kind}{index}.fits"
            frame(
                path, shape, level, crc32(f"{kind}{index}".encode()), IMAGETYP=kind, EXPTIME=exptime
            )
    return folder


def reduced(night: Path, out: Path, options: ReductionOptions) -> list[str]:
    """The digests of every product of a night."""

    files = {kind: sorted(night.glob(f"{kind}*.fits")) for kind in ("bias", "dark", "flat")}
    names = {kind: out / f"{kind}.fits" for kind in files}
    make_master_bias(files["bias"], names["bias"], options)
    make_master_dark(files["dark"], names["dark"], bias=names["bias"], options=options)
    make_master_flat(
        files["flat"], names["flat"], bias=names["bias"], dark=names["dark"], options=options
    )
    light = out / "calib.fits"
    calibrate_light(
        night / "light0.fits", light, bias=names["bias"], dark=names["dark"], flat=names["flat"],
        options=options,
    )  # fmt: skip
    return [sha256_of(path) for path in (*names.values(), light)]


def test_a_tight_bound_gives_the_same_bytes(night: Path, tmp_path: Path) -> None:
    ample = reduced(night, tmp_path / "ample", AMPLE)
    assert reduced(night, tmp_path / "tight", TIGHT) == ample
    assert reduced(night, tmp_path / "again", AMPLE) == ample


def test_a_large_stack_is_kept_in_a_file(night: Path) -> None:
    infos = [read_exposure(path) for path in sorted(night.glob("bias*.fits"))]
    whole, found = slice(0, 90), []
    with open_stack(infos, TIGHT) as stack:
        assert stack.most == 6
        for limit in (AMPLE.memory_limit_bytes, TIGHT.memory_limit_bytes):
            planes = Planes(stack.shape, limit)
            for rows in (slice(40, 90), slice(0, 40)):
                part = planes.to_fill(rows)
                stack.fill(rows, part)
                planes.store(rows, part)
            found.append(planes.rows(whole))
        wanted = stack.rows(whole)
    for name in ("pixels", "uncertainty", "count"):
        for kept in found:
            assert np.array_equal(getattr(kept, name), getattr(wanted, name))


def test_masters_that_change_are_read_anew(night: Path, tmp_path: Path) -> None:
    biases = sorted(night.glob("bias*.fits"))
    bias, light = tmp_path / "bias.fits", night / "light1.fits"
    make_master_bias(biases, bias)
    first = calibrate_light(light, tmp_path / "a.fits", bias=bias, dark=None, flat=None)
    with fits.open(bias) as hdus:
        hdus[0].data = hdus[0].data + 100
        hdus.writeto(tmp_path / "higher.fits")
    (tmp_path / "higher.fits").replace(bias)
    second = calibrate_light(light, tmp_path / "b.fits", bias=bias, dark=None, flat=None)
    assert second.sky_level == pytest.approx(first.sky_level - 150, abs=0.1)
