"""What the benchmark of the reduction measures, each in a process of its own.

``python -m benchmarks.reduction_tasks TASK FOLDER RUNS FLUSH WARM`` prints one JSON line: seconds
of each run, processor seconds of each, and the process's peak memory.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reduction_ccdproc import CLIP, written
from benchmarks.reduction_frames import GAIN, READ_NOISE_E

Run = Callable[[], object]


def ours_stack(folder: Path, method: str) -> Run:
    """Read headers and frames, combine, write value, error and mask."""
    from astropy.io import fits

    from toros.imaging.options import ReductionOptions
    from toros.imaging.products import Strip, write_rows
    from toros.imaging.stack import open_stack, read_inputs

    paths = sorted(folder.glob("*.fits"))
    options = ReductionOptions(combine=method)  # type: ignore[arg-type]

    def run() -> None:
        with open_stack(read_inputs(paths, "bias"), options) as stack:

            def rows(at: slice) -> Strip:
                part = stack.rows(at)
                return Strip(part.pixels, part.uncertainty, (part.count == 0).view(np.uint8))

            write_rows(folder / "ours.out", fits.Header({"BUNIT": "adu"}), stack.shape, rows)

    return run


def ccdproc_stack(folder: Path, method: str) -> Run:
    """Do the same with ccdproc's fastest setting: names of functions, float32."""
    import ccdproc

    paths = [str(path) for path in sorted(folder.glob("*.fits"))]
    clip = CLIP if method == "sigma_clip" else {}

    def run() -> None:
        combined = ccdproc.combine(
            paths,
            method="median" if method == "median" else "average",
            unit="adu",
            dtype=np.float32,
            mem_limit=64e9,
            **clip,
        )
        written(combined, folder / "ccdproc.out")

    return run


def ours_overscan(folder: Path) -> Run:
    """Do what `ours_stack` does, with levels of the overscan that are found anew each time."""
    from toros.imaging.amplifier_rows import forget_levels

    stack = ours_stack(folder, "sigma_clip")

    def run() -> None:
        forget_levels()
        stack()

    return run


def ccdproc_overscan(folder: Path) -> Run:
    """Subtract the overscan, trim, combine: with ccdproc, a Legendre polynomial like ours."""
    import ccdproc
    from astropy.modeling.models import Legendre1D
    from astropy.nddata import CCDData

    paths = sorted(folder.glob("*.fits"))

    def run() -> None:
        frames = []
        for path in paths:
            raw = CCDData.read(path, unit="adu")
            raw.data = raw.data.astype(np.float32)
            level = ccdproc.subtract_overscan(
                raw, fits_section=raw.header["BIASSEC"], median=True, model=Legendre1D(3)
            )
            frames.append(ccdproc.trim_image(level, fits_section=raw.header["TRIMSEC"]))
        combined = ccdproc.combine(
            frames, method="average", dtype=np.float32, mem_limit=64e9, **CLIP
        )
        written(combined, folder / "ccdproc.out")

    return run


def floor(folder: Path, read: list[Path], shape: tuple[int, int]) -> Run:
    """Read the frames' bytes and write as many as a product has, with a thread for each core."""
    cores = len(os.sched_getaffinity(0))
    pool = ThreadPoolExecutor(cores)
    buffers = [np.empty(1 << 20, np.uint8) for _ in range(cores)]
    product = np.zeros(shape[0] * shape[1] * 9 // cores, np.uint8)

    def take(part: int) -> None:
        for path in read[part::cores] if len(read) > 1 else read:
            file = os.open(path, os.O_RDONLY)
            size = path.stat().st_size
            # One file: each thread reads its part of it.
            start, stop = (
                (0, size) if len(read) > 1 else (part * size // cores, (part + 1) * size // cores)
            )
            while start < stop and (done := os.preadv(file, [buffers[part].data], start)):
                start += done
            os.close(file)

    def run() -> None:
        list(pool.map(take, range(cores)))
        target = folder / "floor.tmp"
        file = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.posix_fallocate(file, 0, product.size * cores)
        list(
            pool.map(lambda part: os.pwrite(file, product.data, part * product.size), range(cores))
        )
        os.fsync(file)
        os.close(file)
        target.replace(folder / "floor.out")

    return run


def floor_stack(folder: Path) -> Run:
    """Return the floor of a stack."""
    from toros.imaging.raw import raw_image

    paths = sorted(folder.glob("*.fits"))
    image = raw_image(paths[0])
    assert image is not None
    return floor(folder, paths, image.shape)


def floor_light(folder: Path) -> Run:
    """Return the floor of one calibrated light."""
    from toros.imaging.raw import raw_image

    path = sorted(folder.glob("light_*.fits"))[0]
    image = raw_image(path)
    assert image is not None
    return floor(folder, [path], image.shape)


def masters_of(folder: Path) -> dict[str, Path]:
    """Return the masters of a night, made if they are not there."""
    from toros.imaging.masters import make_master_bias, make_master_dark, make_master_flat

    made = {
        kind: folder.with_name(f"{folder.name}_masters") / f"{kind}.fits"
        for kind in ("bias", "dark", "flat")
    }
    if not made["flat"].exists():
        frames = {kind: sorted(folder.glob(f"{kind}_*.fits")) for kind in made}
        make_master_bias(frames["bias"], made["bias"])
        make_master_dark(frames["dark"], made["dark"], bias=made["bias"])
        make_master_flat(frames["flat"], made["flat"], bias=made["bias"], dark=made["dark"])
    return made


def ours_light(folder: Path) -> Run:
    """Calibrate the lights of a night, one a run, with uncertainty and mask."""
    from toros.imaging.calibrate import calibrate_light

    masters, lights = masters_of(folder), sorted(folder.glob("light_*.fits"))
    turn = iter(lights * 100)
    return lambda: calibrate_light(
        next(turn),
        folder / "ours.out",
        bias=masters["bias"],
        dark=masters["dark"],
        flat=masters["flat"],
    )


def ccdproc_light(folder: Path) -> Run:
    """Do the same with `ccdproc.ccd_process`; the masters are in memory."""
    import ccdproc
    from astropy import units as u
    from astropy.nddata import CCDData

    masters = {kind: CCDData.read(path) for kind, path in masters_of(folder).items()}
    masters["flat"].unit = u.dimensionless_unscaled
    lights = iter(sorted(folder.glob("light_*.fits")) * 100)

    def run() -> None:
        light = CCDData.read(next(lights), unit="adu")
        light.data = light.data.astype(np.float32)
        light.mask = light.data >= 65535
        done = ccdproc.ccd_process(
            light,
            error=True,
            gain=GAIN * u.electron / u.adu,
            readnoise=READ_NOISE_E * u.electron,
            master_bias=masters["bias"],
            dark_frame=masters["dark"],
            master_flat=masters["flat"],
            exposure_key="EXPTIME",
            exposure_unit=u.s,
            gain_corrected=False,
        )
        written(done, folder / "ccdproc.out")

    return run


def _sky(folder: Path) -> np.ndarray:
    from astropy.io import fits

    light = sorted(folder.glob("light_*.fits"))[0]
    return np.asarray((fits.getdata(light).astype(np.float32) - 1000) * GAIN, dtype=np.float32)


def ours_cosmics(folder: Path) -> Run:
    """Find and replace the cosmic rays of one light."""
    from toros.imaging.cosmic_rays import remove_cosmic_rays

    image = _sky(folder)
    return lambda: remove_cosmic_rays(image, read_noise_e=READ_NOISE_E)


def astroscrappy_cosmics(folder: Path) -> Run:
    """Do the same with astroscrappy."""
    import astroscrappy  # type: ignore[import-untyped]

    image = _sky(folder)
    return lambda: astroscrappy.detect_cosmics(image, readnoise=READ_NOISE_E)


TASKS: dict[str, Callable[[Path], Run]] = {
    "ours overscan": ours_overscan,
    "ccdproc overscan": ccdproc_overscan,
    "floor stack": floor_stack,
    "floor light": floor_light,
    "ours light": ours_light,
    "ccdproc light": ccdproc_light,
    "ours cosmics": ours_cosmics,
    "astroscrappy cosmics": astroscrappy_cosmics,
}
for _method in ("sigma_clip", "median", "mean"):
    TASKS[f"ours {_method}"] = partial(ours_stack, method=_method)
    TASKS[f"ccdproc {_method}"] = partial(ccdproc_stack, method=_method)


def peak_mb() -> float:
    """Return the most memory that this process has held.

    Not getrusage's: that starts with what the parent held when it forked.
    """
    status = Path("/proc/self/status").read_text()
    return float(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    """Run one task and print its figures."""
    name, folder, runs = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    flush, warm = (said == "yes" for said in sys.argv[4:6])
    warnings.simplefilter("ignore")
    if not flush:
        # The disk is not what is measured: nobody waits for it, neither we nor the floor.
        os.fsync = lambda _: None  # type: ignore[assignment]
        os.posix_fadvise = lambda *_: None  # begins a flush early
    run = TASKS[name](folder)
    if warm:
        run()  # warm: libraries, kernels, page cache
    wall: list[float] = []
    cpu: list[float] = []
    for _ in range(runs):
        started, used = time.perf_counter(), time.process_time()
        run()
        wall.append(time.perf_counter() - started)
        cpu.append(time.process_time() - used)
    figures: dict[str, Any] = {"wall": wall, "cpu": cpu, "peak_mb": peak_mb()}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
