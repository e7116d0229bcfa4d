"""Fast reading and writing of FITS files, against astropy."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.stats import sigma_clipped_stats
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from toros.common.errors import MixedShapes, UnreadableFile
from toros.imaging.fits_planes import Plane, image_header, planes_file
from toros.imaging.fits_sums import encoded, folded
from toros.imaging.frames import read_frame, read_strips
from toros.imaging.headers import read_exposure
from toros.imaging.kernels.correcting import count_bits
from toros.imaging.kernels.decoding import decode_counts
from toros.imaging.kernels.encoding import sum_bytes, swap_words
from toros.imaging.mask_bits import MaskBit
from toros.imaging.master_file import open_master
from toros.imaging.options import ReductionOptions
from toros.imaging.pool import in_threads
from toros.imaging.products import write_image
from toros.imaging.raw import raw_image
from toros.imaging.sampling import clipped_median, sample_rows
from toros.imaging.sources import MASKED, PlainSource, open_sources
from toros.imaging.stack import open_stack

OPTIONS = ReductionOptions()


@settings(max_examples=40)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**31))
def test_a_product_is_what_astropy_would_read_back(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    path = tmp_path_factory.mktemp("product") / "p.fits"
    pixels = rng.normal(0, 1e3, (height, width)).astype(np.float32)
    error = rng.random((height, width), dtype=np.float32)
    mask = rng.integers(0, 256, (height, width)).astype(np.uint8)
    header = fits.Header({"BUNIT": "adu", "OBJECT": "it's"})
    header.add_history("one")
    write_image(path, header, pixels, error, mask)
    # A wrong CHECKSUM or DATASUM is a warning, which is an error here.
    with fits.open(path, checksum=True, memmap=False, output_verify="exception") as hdus:
        hdus.verify("exception")
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "UNCERT", "MASK"]
        for hdu, wanted in zip(hdus, (pixels, error, mask), strict=True):
            assert np.array_equal(hdu.data, wanted)
            assert "CHECKSUM" in hdu.header
            assert "DATASUM" in hdu.header
        assert hdus[0].header["OBJECT"] == "it's"
        assert list(hdus[0].header["HISTORY"]) == ["one"]
    assert path.stat().st_size % 2880 == 0


@settings(max_examples=100)
@given(st.integers(0, 2**32 - 1))
def test_the_letters_of_a_checksum_are_astropys(value: int) -> None:
    theirs = fits.PrimaryHDU()._char_encode(value)
    assert encoded(value) == theirs
    assert encoded(value).isalnum()


@settings(max_examples=60)
@given(hnp.arrays(np.uint8, st.integers(0, 64)), st.lists(st.integers(0, 64), max_size=4))
def test_sums_of_parts_are_the_sum(content: np.ndarray, cuts: list[int]) -> None:
    padded = np.zeros(-(-content.size // 4) * 4, np.uint8)
    padded[: content.size] = content
    wanted = folded(int(padded.view(">u4").sum(dtype=np.uint64)))
    edges = [0, *sorted(min(cut, content.size) for cut in cuts), content.size]
    total = sum(sum_bytes(content[start:stop], start % 4) for start, stop in pairwise(edges))
    assert folded(total) == wanted


def test_words_are_turned_and_summed() -> None:
    words = np.random.default_rng(0).integers(0, 2**32, 1001, dtype=np.uint32)
    swapped = np.empty_like(words)
    assert swap_words(words, swapped) == int(words.sum(dtype=np.uint64))
    assert np.array_equal(swapped, words.byteswap())


@settings(max_examples=60)
@given(hnp.arrays(np.uint8, st.integers(0, 70), elements=st.sampled_from([0, 0, 0, 1, 2, 18, 255])))
def test_bits_are_counted(mask: np.ndarray) -> None:
    counts = np.zeros(9, np.int64)
    count_bits(mask, counts)
    assert counts.tolist() == [*((mask >> bit & 1).sum() for bit in range(8)), (mask != 0).sum()]


def test_a_file_that_fails_leaves_nothing(tmp_path: Path) -> None:
    kind = np.dtype(np.float32)
    plane = Plane(image_header(fits.Header(), (4, 4), kind), (4, 4), kind)
    with pytest.raises(ValueError, match="grown"), planes_file(tmp_path / "a.fits", [plane]):
        plane.header.extend((f"NEW{number}", 1) for number in range(40))
    with pytest.raises(OSError, match="disk"), planes_file(tmp_path / "b.fits", [plane]):
        raise OSError("disk")
    assert list(tmp_path.iterdir()) == []


KINDS: list[tuple[Any, dict[str, Any]]] = [
    (np.uint8, {}),
    (np.int16, {}),
    (np.uint16, {}),
    (np.int32, {}),
    (np.uint32, {}),
    (np.int64, {}),
    (np.float32, {}),
    (np.float64, {}),
    (np.int16, {"BSCALE": 0.5, "BZERO": 100.0}),
    (np.int16, {"BLANK": 7}),
]


@pytest.mark.parametrize(("kind", "cards"), KINDS)
def test_rows_of_every_kind_of_pixel(kind: Any, cards: dict[str, Any], tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    data = rng.integers(0, 100, (7, 9)).astype(kind)
    if np.dtype(kind).kind == "f":
        data[2, 3], data[4, 5] = np.nan, np.inf
    path = tmp_path / "x.fits"
    hdu = fits.PrimaryHDU(data)
    hdu.writeto(path)
    for key, value in cards.items():
        fits.setval(path, key, value=value)
    with fits.open(path, memmap=False) as hdus:
        wanted = hdus[0].data.astype(np.float64)
    with open_sources([read_exposure(path)], OPTIONS) as (source,):
        pixels = np.empty(2 * 9, np.float32)
        source.read_floats(slice(2, 4), pixels)
    assert raw_image(path) is not None
    expected = wanted[2:4].ravel()
    expected[~np.isfinite(expected) | (expected >= (source.saturation_adu or np.inf))] = np.inf
    np.testing.assert_allclose(pixels, expected)


@pytest.mark.parametrize("kind", ["plain", "scaled", "unsigned", "extension", "compressed"])
def test_an_integer_that_stands_for_no_value_is_none(tmp_path: Path, kind: str) -> None:
    raw = np.random.default_rng(4).integers(-99, 99, (20, 30)).astype(np.int16)
    raw[5:8, 7] = -100
    path = tmp_path / "a.fits"
    scale, zero = {"scaled": (0.1, 7.0), "unsigned": (1.0, 32768.0)}.get(kind, (1.0, 0.0))
    image: Any = fits.PrimaryHDU(raw)
    if kind in ("extension", "compressed"):
        image = (fits.ImageHDU if kind == "extension" else fits.CompImageHDU)(raw)
        image.header["BLANK"] = -100
        fits.HDUList([fits.PrimaryHDU(), image]).writeto(path)
    else:
        image.writeto(path)
        for key, value in (("BSCALE", scale), ("BZERO", zero), ("BLANK", -100)):
            fits.setval(path, key, value=value)
    info = read_exposure(path)
    frame = read_frame(path, info)
    np.testing.assert_array_equal(frame.mask == MaskBit.NO_DATA, raw == -100)
    expected = np.where(raw == -100, 0, scale * raw + zero)
    np.testing.assert_allclose(frame.pixels, expected, rtol=1e-5, atol=1e-5)
    (strip,) = read_strips(path, info, [slice(4, 9)], OPTIONS, lost=np.nan)
    np.testing.assert_array_equal(np.isnan(strip), raw[4:9] == -100)


def test_what_is_not_plain_is_read_all_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    infos = []
    for index in range(6):
        data = rng.integers(100, 200, (30, 40)).astype(np.uint16)
        data[rng.random(data.shape) < 0.01] = 65535
        plain = fits.PrimaryHDU(data)
        paths = [tmp_path / f"{index}{end}" for end in (".fits", ".fits.gz", "_x.fits", ".fits.fz")]
        plain.writeto(paths[0])
        plain.writeto(paths[1])
        fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(data)]).writeto(paths[2])
        fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(data)]).writeto(paths[3])
        for path in paths:
            fits.setval(path, "SATURATE", value=60000, ext=int(path in paths[2:]))
        infos.append([read_exposure(path) for path in paths])
    assert all(info.saturation_adu == 60000 for info in infos[0])
    stacks = []
    for same in zip(*infos, strict=True):
        with open_stack(list(same), OPTIONS) as stack:
            stacks.append(stack.rows(slice(0, 30)))
    assert raw_image(infos[0][0].path) is not None
    assert all(raw_image(info.path) is None for info in infos[0][1:])
    with open_sources(infos[0], OPTIONS) as sources:
        assert all(isinstance(one, PlainSource) and one.image.is_counts for one in sources)
    for other in stacks[1:]:
        assert np.array_equal(stacks[0].pixels, other.pixels)
        assert np.array_equal(stacks[0].count, other.count)
        np.testing.assert_allclose(stacks[0].uncertainty, other.uncertainty, rtol=1e-5)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="no such file"):
        raw_image(tmp_path / "none.fits")
    path = tmp_path / "cut.fits"
    fits.PrimaryHDU(np.zeros((50, 60), np.uint16)).writeto(path)
    info = read_exposure(path)
    os.truncate(path, 2880 + 100)
    with pytest.raises(UnreadableFile, match="truncated"):
        raw_image(path)
    with pytest.raises(UnreadableFile, match="truncated"), open_stack([info], OPTIONS):
        pass
    for junk in (b"", b"SIMPLE  =                    T", b"x" * 6000):
        path.write_bytes(junk)
        assert raw_image(path) is None


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "shrinks.fits"
    fits.PrimaryHDU(np.zeros((50, 60), np.uint16)).writeto(path)
    with open_sources([read_exposure(path)], OPTIONS) as (source,):
        os.truncate(path, 2880 + 100)
        with pytest.raises(UnreadableFile, match="cut off"):
            source.read_floats(slice(0, 50), np.empty(3000, np.float32))


def test_rows_of_a_master(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    pixels = rng.normal(0, 1, (12, 10)).astype(np.float32)
    pixels[5, 5] = np.nan
    mask = (rng.random((12, 10)) < 0.1).astype(np.uint8)
    path = tmp_path / "m.fits"
    write_image(path, fits.Header({"BUNIT": "adu"}), pixels, np.abs(pixels), mask)
    # The same as another program may write it.
    other = tmp_path / "n.fits"
    images = [("UNCERT", np.abs(pixels).astype(np.float64)), ("MASK", mask.astype(np.int16))]
    fits.HDUList(
        [
            fits.PrimaryHDU(pixels.astype(np.float64)),
            *(fits.ImageHDU(data, name=name) for name, data in images),
        ]
    ).writeto(other)
    for found in (path, other):
        with open_master(found, read_exposure(path)) as master:
            rows = master.rows(slice(3, 8))
        expected = np.where(np.isnan(pixels), 0, pixels)[3:8]
        assert np.array_equal(rows.pixels, expected)
        assert np.array_equal(rows.mask, ((mask != 0) | np.isnan(pixels))[3:8])
        assert rows.uncertainty is not None
        np.testing.assert_array_equal(rows.uncertainty, np.abs(pixels)[3:8])
    small = tmp_path / "s.fits"
    fits.PrimaryHDU(np.zeros((3, 4), np.uint16)).writeto(small)
    with (
        pytest.raises(MixedShapes, match=r"m\.fits is 10×12"),
        open_master(path, read_exposure(small)),
    ):
        pass


@settings(max_examples=60)
@given(
    hnp.arrays(np.float32, st.integers(1, 60), elements=st.floats(-100, 100, width=16)),
    st.integers(0, 10),
)
def test_the_clipped_median_is_astropys(values: np.ndarray, iterations: int) -> None:
    values = np.concatenate([values, values, [np.float32(1e4)]])
    median, deviation = clipped_median(values, sigma=3.0, iterations=max(iterations, 1))
    theirs = sigma_clipped_stats(values.astype(float), sigma=3.0, maxiters=max(iterations, 1))
    assert median == pytest.approx(theirs[1], abs=1e-9)
    assert deviation == pytest.approx(theirs[2], abs=1e-3)


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (4096, 4096), (3, 10**6), (10**5, 2)])
def test_sampled_rows_are_rows(shape: tuple[int, int]) -> None:
    rows = sample_rows(shape)
    assert all(0 <= at.start < at.stop <= shape[0] for at in rows)
    assert len({at.start for at in rows}) == len(rows)
    seen = sum(at.stop - at.start for at in rows) * shape[1]
    assert seen >= min(shape[0] * shape[1], 250_000)


def test_kernels_compile_where_nothing_can_be_kept(tmp_path: Path) -> None:
    # An installation and a home that may not be written to, as a daemon's may be.
    program = (
        "import logging, pathlib, sys; logging.basicConfig(level=logging.INFO)\n"
        "import toros.imaging.kernels.compiled as compiled\n"
        "from toros.imaging.kernels.encoding import sum_bytes; import numpy as np\n"
        "assert sum_bytes(np.ones(4, np.uint8), 0) == 0x01010101\n"
        "sys.stdout.write(str(compiled._CACHE))\n"
    )
    cache = tmp_path / "kept"
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    runs = [
        subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True,
            check=True, cwd=Path(__file__).parents[2],
        )
        for _ in range(2)
    ]  # fmt: skip
    assert all(run.stdout.startswith(str(cache)) for run in runs)
    said = [run.stderr.count("Compiling the reduction kernels") for run in runs]
    assert said == [1, 0], "compiled once, said once, then taken from the disk"


def test_modules_of_kernels_may_be_imported_by_several_threads(tmp_path: Path) -> None:
    # What is kept elsewhere than in the folder of this version may be machine code of another.
    program = (
        "import sys; from concurrent.futures import ThreadPoolExecutor\n"
        "from toros.imaging.kernels import compiled\n"
        "from toros.imaging.kernels.words import turned\n"
        "sys.setswitchinterval(1e-6)\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    made = list(pool.map(lambda _: compiled.kernel(turned.py_func), range(400)))\n"
        "assert all(one._cache._cache_path.startswith(str(compiled._CACHE)) for one in made)\n"
    )
    subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)},
        check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip


def test_kernels_are_loaded_ahead_as_long_as_there_is_time(tmp_path: Path) -> None:
    program = (
        "import sys; import numpy as np\n"
        "from toros.imaging.kernels.compiled import load_ahead\n"
        "from toros.imaging.kernels.encoding import sum_bytes, swap_words\n"
        "from toros.imaging.kernels.decoding import decode_counts\n"
        "turns = iter([False] * int(sys.argv[1]) + [True])\n"
        "load_ahead(lambda: next(turns))\n"
        "print(len(swap_words.signatures), len(sum_bytes.signatures), end=' ')\n"
        "assert sum_bytes(np.ones(4, np.uint8), 0) == 0x01010101\n"
        "swap_words(np.ones(4, np.uint32), np.empty(4, np.uint32))\n"
        "assert not decode_counts.signatures, 'was never compiled'\n"
        "kernels = (swap_words, sum_bytes)\n"
        "print(sum(sum(one._cache_misses.values()) for one in kernels))\n"
    )

    def run(turns: int) -> str:
        done = subprocess.run(
            [sys.executable, "-c", program, str(turns)],
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)},
            capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        return done.stdout.strip()

    # Nothing to load at first; then all that was compiled; then nothing, for there is no time.
    assert [run(99), run(99), run(0)] == ["0 0 2", "1 1 0", "0 0 0"]


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("rest", [b"", b"\0" * 50, None])
def test_kernels_that_a_power_cut_damaged_are_compiled_anew(
    tmp_path: Path, suffix: str, rest: bytes | None
) -> None:
    program = (
        "from toros.imaging.kernels.encoding import sum_bytes; import numpy as np\n"
        "assert sum_bytes(np.ones(4, np.uint8), 0) == 0x01010101\n"
        "print(sum(sum_bytes._cache_hits.values()), sum(sum_bytes._cache_misses.values()))\n"
    )

    def run() -> tuple[str, str]:
        environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True,
            check=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        return done.stdout.strip(), done.stderr

    assert run()[0] == "0 1"
    for path in tmp_path.rglob(f"*.{suffix}"):
        path.write_bytes(path.read_bytes()[:50] if rest is None else rest)
    said, log = run()
    assert said == "0 1"
    assert "damaged" in log
    assert run() == ("1 0", "")


def test_kernels_are_compiled_where_the_disk_is_full(tmp_path: Path) -> None:
    program = (
        "import errno; from numba.core.caching import IndexDataCacheFile\n"
        "def full(*_): raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "IndexDataCacheFile.save = full\n"
        "from toros.imaging.kernels.encoding import sum_bytes; import numpy as np\n"
        "assert sum_bytes(np.ones(4, np.uint8), 0) == 0x01010101\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert "No space left on device" in done.stderr


def test_a_folder_for_kernels_that_others_may_write_to_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from toros.imaging.kernels import compiled

    plain = tmp_path / "file"
    plain.write_text("")
    monkeypatch.setattr(compiled, "__file__", str(plain / "kernels" / "compiled.py"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(plain))
    monkeypatch.setenv("XDG_CACHE_HOME", str(plain))
    monkeypatch.setattr(compiled.tempfile, "tempdir", str(tmp_path))
    private = compiled._find_cache()
    assert private is not None
    assert private.parent == tmp_path
    private.chmod(0o777)
    with caplog.at_level(logging.WARNING):
        assert compiled._find_cache() is None
    assert "NUMBA_CACHE_DIR" in caplog.text


def test_the_first_error_of_a_thread_is_raised_and_the_rest_left() -> None:
    done: list[int] = []

    def work(part: int) -> None:
        if part == 3:
            raise UnreadableFile("three")
        done.append(part)

    with pytest.raises(UnreadableFile, match="three"):
        in_threads(work, range(10_000))
    assert len(done) < 10_000
    in_threads(done.append, range(5))
    in_threads(done.append, [])
    assert sorted(done[-5:]) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("saturation", [-1, 0, 1, 40000, 65535, 65536, 2**40])
def test_counts_become_numbers(saturation: int) -> None:
    counts = np.arange(65536, dtype=np.uint16)
    found = np.empty(counts.size, np.float32)
    decode_counts((counts ^ np.uint16(0x8000)).byteswap(), found, max(saturation, 0), MASKED)
    wanted = np.where(counts < saturation, counts.astype(np.float32), MASKED)
    np.testing.assert_array_equal(found, wanted)
