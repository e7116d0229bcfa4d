"""The reduction beside ccdproc, Siril, astroscrappy and the floor: plain reading and writing.

    python -m benchmarks.reduction              4096² and 2048², medians of five, about half an hour
    python -m benchmarks.reduction --quick      small frames, medians of three, some minutes
    python -m benchmarks.reduction --full       and one stack and one light of 10560²
    python -m benchmarks.reduction --markdown docs/reference/benchmarks-reduction.md

Every contender runs in a process of its own on the same frames, which are in the page cache; those
of one table take turns, and the ratios are of medians. Siril is Debian's package.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path

from benchmarks.measuring import (
    ROOT,
    Contenders,
    Figures,
    as_command,
    by_turns,
    in_process,
    once,
    siril,
)
from benchmarks.reduction_frames import biases, in_child, night
from benchmarks.reduction_targets import against_targets
from benchmarks.reduction_tasks import masters_of

INTRODUCTION = """# Benchmark: the reduction

Made by `python -m benchmarks.reduction --full --markdown docs/reference/benchmarks-reduction.md`;
the figures are of the machine below, side by side in one run. *Floor* is what any program must do:
read the frames, write as many bytes as our product has, with a thread for each core. Files are in
the page cache, and nobody waits for the disk unless the row says so.

The targets: sigma clip of 20 × 4096² 60 times faster than ccdproc, 10 times faster than Siril and
within 6 times the floor, in 350 MB; median and mean within 4 times the floor; a calibrated light 30
times faster than `ccd_process` and within 1.5 times its floor; cosmic rays 25 times faster than
astroscrappy; as a command twice as fast as Siril and 12 times as ccdproc.

Equal results are tested, not assumed: see {doc}`../explanation/reduction`.
""".splitlines()

TOROS = Path(sys.executable).with_name("toros")
# As the others: their files go to the page cache, and the system decides when to the disk.
UNFLUSHED = [
    sys.executable,
    "-c",
    "import os; os.fsync = os.posix_fadvise = lambda *_: None; os.O_DIRECT = 0\n"
    "from toros.cli.main import main; main()",
]


@dataclass
class Table:
    """One table of the report; ratios are to `ours`."""

    title: str
    ours: str
    rows: dict[str, Figures] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Return the table in Markdown."""
        out = [f"## {self.title}", "", "| | wall | processor | peak memory | against ours |"]
        out.append("|---|---|---|---|---|")
        ours = self.rows.get(self.ours)
        for name, row in self.rows.items():
            ratio = f"{row.wall_s / ours.wall_s:.2f} ×" if ours else ""
            spread = f" ± {row.spread * 100:.0f} %" if row.spread else ""
            cells = [
                name,
                f"{seconds(row.wall_s)}{spread}",
                seconds(row.cpu_s),
                f"{row.peak_mb:.0f} MB",
                ratio,
            ]
            out.append(f"| {' | '.join(cells)} |")
        return [*out, "", *self.notes, ""]


def seconds(value: float) -> str:
    """Return a time as a person reads it."""
    return f"{value * 1e3:.0f} ms" if value < 1 else f"{value:.2f} s"


def linked(source: Path, pattern: str, folder: Path) -> Path:
    """Return a folder of links with the suffix that Siril takes."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.glob(pattern)):
        link = folder / f"{path.stem}.fit"
        if not link.is_symlink():
            link.symlink_to(path)
    return folder


SIRIL_STACKS = {
    "sigma_clip": "stack bias_ rej s 3 3 -nonorm -out=out",
    "median": "stack bias_ med -nonorm -out=out",
    "mean": "stack bias_ mean n -nonorm -out=out",
}


def stacks(frames: Path, side: int, count: int, runs: int) -> list[Table]:
    """Measure the stacks of one set of frames."""
    folder = biases(frames / f"bias_{side}_{count}", count, side)
    for_siril = linked(folder, "*.fits", frames / f"siril_{side}_{count}")
    tables = []
    for method, script in SIRIL_STACKS.items():
        table = Table(
            f"{count} × {side}², {method.replace('_', ' ')}, in process and warm", "TOROS"
        )
        ours = f"ours {method}"
        contenders: Contenders = {
            "floor": partial(in_process, "floor stack", folder, 1),
            "TOROS": partial(in_process, ours, folder, 1),
            **siril("Siril (whole process)", script, for_siril),
            "TOROS, flushed to the disk": partial(in_process, ours, folder, 1, flush=True),
            "floor, flushed to the disk": partial(in_process, "floor stack", folder, 1, flush=True),
        }
        table.rows |= by_turns(contenders, runs)
        table.rows["ccdproc (one run)"] = once(f"ccdproc {method}", folder)
        tables.append(table)
        report(table.lines())
    return tables


OVERSCAN = 64


def overscan(frames: Path, side: int, count: int, runs: int) -> Table:
    """Measure a stack of frames with an overscan, as most professional cameras write them."""
    plain = biases(frames / f"bias_{side}_{count}", count, side)
    folder = biases(frames / f"overscan_{side}_{count}", count, side, OVERSCAN)
    out = frames / "out"
    table = Table(
        f"{count} × {side}² with an overscan of {OVERSCAN} columns, sigma clip, warm", "TOROS"
    )
    command = [str(TOROS), "masters", str(folder), "--out", str(out)]
    contenders: Contenders = {
        "TOROS": partial(in_process, "ours overscan", folder, 1),
        "TOROS, of as many without an overscan": partial(in_process, "ours sigma_clip", plain, 1),
        "toros masters, the whole command": partial(as_command, command, frames, out),
    }
    table.rows |= by_turns(contenders, runs)
    table.rows["ccdproc (one run)"] = once("ccdproc overscan", folder)
    table.notes.append(
        "A cubic through the medians of the rows is subtracted, and the frames are trimmed."
    )
    report(table.lines())
    return table


CCDPROC_COMMAND = """
import sys, numpy as np, ccdproc
from pathlib import Path
paths = [str(p) for p in sorted(Path(sys.argv[1]).glob("bias_*.fits"))]
made = ccdproc.combine(paths, method="average", unit="adu", sigma_clip=True,
    sigma_clip_low_thresh=3, sigma_clip_high_thresh=3, sigma_clip_func="median",
    sigma_clip_dev_func="mad_std", dtype=np.float32, mem_limit=64e9)
made.write(sys.argv[2], overwrite=True)
"""


def command_masters(frames: Path, side: int, count: int, runs: int) -> Table:
    """Measure a master bias as whole commands."""
    folder = biases(frames / f"bias_{side}_{count}", count, side)
    for_siril = linked(folder, "*.fits", frames / f"siril_{side}_{count}")
    out = frames / "out"
    table = Table(
        f"A master of {count} × {side}² as a command, from its start to its end", "toros masters"
    )
    command = [str(TOROS), "masters", str(folder), "--out", str(out)]
    contenders: Contenders = {
        "toros masters": partial(as_command, command, frames, out),
        "toros masters, not flushed": partial(as_command, [*UNFLUSHED, *command[1:]], frames, out),
        **siril("Siril", SIRIL_STACKS["sigma_clip"], for_siril),
    }
    table.rows |= by_turns(contenders, runs)
    script = [sys.executable, "-c", CCDPROC_COMMAND, str(folder), str(frames / "ccdproc.fits")]
    table.rows["ccdproc (one run)"] = as_command(script, frames).figures()
    table.notes.append(
        "`toros masters` also digests every frame (SHA-256), measures the read noise, leaves out "
        "odd frames, keeps an archive, and waits for the disk; the others do not."
    )
    report(table.lines())
    return table


def lights(frames: Path, side: int, count: int, runs: int) -> list[Table]:
    """Measure calibrated lights, and cosmic rays."""
    folder = night(frames / f"night_{side}_{count}", count, 5, side)
    table = Table(
        f"A calibrated light of {side}² with uncertainty and mask, in process and warm", "TOROS"
    )
    # By a process of its own: to make the masters takes memory that a light does not.
    in_child(masters_of, folder)
    each = -(-count // runs)
    contenders: Contenders = {
        "floor": partial(in_process, "floor light", folder, each),
        "TOROS": partial(in_process, "ours light", folder, each),
        "ccdproc.ccd_process": partial(in_process, "ccdproc light", folder, each),
        "TOROS, flushed to the disk": partial(in_process, "ours light", folder, each, flush=True),
        "floor, flushed to the disk": partial(in_process, "floor light", folder, each, flush=True),
    }
    table.rows |= by_turns(contenders, runs)
    table.notes.append(
        f"Medians over {runs * each} lights, {each} in a process. The masters are opened once for "
        "each process."
    )
    report(table.lines())
    rays = Table(f"Cosmic rays of {side}², four iterations", "TOROS")
    rays.rows["TOROS"] = in_process("ours cosmics", folder, runs).figures()
    rays.rows["astroscrappy (one run)"] = once("astroscrappy cosmics", folder)
    report(rays.lines())
    return [table, rays]


def command_night(frames: Path, side: int, count: int, runs: int) -> Table:
    """Measure a whole small night as commands: three masters, then the lights."""
    folder = night(frames / f"night_{side}_{count}", count, 5, side)
    for_siril = linked(folder, "*_*.fits", frames / f"siril_night_{side}_{count}")
    out, config = frames / "out", frames / "plain.yaml"
    config.write_text(
        f"preprocessor: {{previews: false}}\ndatabase: {{url: 'sqlite:///{frames}/night.db'}}\n"
    )
    name = f"3 masters of 5 frames and {count} calibrated lights of {side}² as a command"
    table = Table(name, "toros calibrate")
    command = [str(TOROS), "calibrate", str(folder), "--out", str(out)]
    plain = [*command, "--config", str(config)]
    fresh = [str(TOROS), "db", "upgrade", "--config", str(config)]
    (frames / "night.db").unlink(missing_ok=True)
    subprocess.run(fresh, check=True, capture_output=True)
    script = "\n".join(
        [
            "stack bias_ rej s 3 3 -nonorm -out=mbias",
            "stack dark_ rej s 3 3 -nonorm -out=mdark",
            "preprocess flat_ -bias=mbias",
            "stack pp_flat_ rej s 3 3 -norm=mul -out=mflat",
            "preprocess light_ -dark=mdark -flat=mflat",
        ]
    )
    contenders: Contenders = {
        "toros calibrate": partial(as_command, plain, frames, out),
        "toros calibrate, not flushed": partial(as_command, [*UNFLUSHED, *plain[1:]], frames, out),
        "toros calibrate, with previews": partial(as_command, command, frames, out),
        **siril("Siril (no uncertainty, no mask)", script, for_siril),
    }
    table.rows |= by_turns(contenders, runs)
    peer = [sys.executable, "-m", "benchmarks.reduction_ccdproc", str(folder)]
    # From where the benchmark is: it shares what it knows of the camera.
    table.rows["ccdproc (one run)"] = as_command([*peer, str(frames / "ccdproc")], ROOT).figures()
    table.notes.append(
        "`toros calibrate` also makes a mask of bad pixels and a report, digests frames and "
        "masters, keeps an archive, and waits until its 3.5 GB are on the disk; Siril leaves "
        "1.3 GB of lights to the system."
    )
    report(table.lines())
    return table


def large(frames: Path, count: int) -> Table:
    """Measure a stack and a light of the size of TOROS's own camera."""
    side = 10560
    folder = biases(frames / f"bias_{side}_{count}", count, side)
    table = Table(f"{count} × {side}², sigma clip, once", "TOROS")
    table.rows["floor"] = once("floor stack", folder)
    table.rows["TOROS"] = once("ours sigma_clip", folder)
    rate = count * side * side / table.rows["TOROS"].wall_s / 1e6
    table.notes.append(f"TOROS combines {rate:.0f} Mpixel/s; kernels loaded, not warmed up.")
    report(table.lines())
    return table


def machine() -> list[str]:
    """Return what the figures depend on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    names = ("numpy", "numba", "astropy", "ccdproc", "astroscrappy")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    program = shutil.which("siril-cli")
    said = (
        subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
        if program
        else "no Siril"
    )
    load = os.getloadavg()[0]
    return [
        f"{model}, {len(os.sched_getaffinity(0))} cores, {platform.system()} "
        f"{platform.release()}, Python {platform.python_version()}; {versions}; {said.strip()}.",
        f"Load of the machine when the run began: {load:.1f} (0 is a quiet machine).",
        "",
    ]


def report(lines: list[str]) -> None:
    """Show some lines at once."""
    print("\n".join(lines), flush=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small frames, three runs")
    parser.add_argument("--full", action="store_true", help="10560² too")
    parser.add_argument(
        "--large-count", type=int, default=50, help="frames of 10560² (223 MB each)"
    )
    parser.add_argument(
        "--only", choices=["stacks", "lights", "commands", "large"], action="append"
    )
    parser.add_argument("--frames", type=Path, help="where frames are kept; else made and removed")
    parser.add_argument("--markdown", type=Path, help="write the report there too")
    asked = parser.parse_args()
    parts = asked.only or ["stacks", "lights", "commands", *(["large"] if asked.full else [])]
    runs, sizes = (3, [(1024, 10), (512, 20)]) if asked.quick else (5, [(4096, 20), (2048, 50)])
    head = machine()
    report(head)
    with tempfile.TemporaryDirectory(prefix="toros-benchmark-") as scratch:
        frames = (asked.frames or Path(scratch)).absolute()
        frames.mkdir(parents=True, exist_ok=True)
        tables: list[Table] = []
        side, count = sizes[0]
        if "stacks" in parts:
            for size in sizes:
                tables += stacks(frames, *size, runs)
            tables.append(overscan(frames, side, count, runs))
        if "lights" in parts:
            tables += lights(frames, side, count, runs)
        if "commands" in parts:
            tables.append(command_masters(frames, side, count, runs))
            tables.append(command_night(frames, side, count, runs))
        if "large" in parts:
            tables.append(large(frames, asked.large_count))
    # They are of large frames.
    verdicts = [] if asked.quick else against_targets(tables, side, count)
    report(verdicts)
    if asked.markdown:
        body = [line for table in tables for line in table.lines()]
        asked.markdown.write_text(
            "\n".join([*INTRODUCTION, *head, *body, *verdicts]).rstrip() + "\n"
        )


if __name__ == "__main__":
    main()
