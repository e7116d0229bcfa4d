"""Contenders of a benchmark, each in a process of its own, measured by turns."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]


@dataclass
class Figures:
    """What one contender took: seconds, processor seconds, memory."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    spread: float = 0.0


@dataclass
class Samples:
    """Every single measurement of one contender; the memory of the largest."""

    wall_s: list[float]
    cpu_s: list[float]
    peak_mb: float

    def figures(self) -> Figures:
        """Return their medians; the spread is half the way from the least to the most."""
        wall = median(self.wall_s)
        spread = (max(self.wall_s) - min(self.wall_s)) / 2 / wall
        return Figures(wall, median(self.cpu_s), self.peak_mb, spread)


Contenders = dict[str, Callable[[], Samples]]


def by_turns(contenders: Contenders, rounds: int) -> dict[str, Figures]:
    """Measure contenders one after the other, round by round: a slow minute hits all alike."""
    found = {name: Samples([], [], 0.0) for name in contenders}
    for _ in range(rounds):
        for name, measure in contenders.items():
            new, all_of_it = measure(), found[name]
            all_of_it.wall_s += new.wall_s
            all_of_it.cpu_s += new.cpu_s
            all_of_it.peak_mb = max(all_of_it.peak_mb, new.peak_mb)
    return {name: samples.figures() for name, samples in found.items()}


def in_process(
    task: str, folder: Path, runs: int, *, flush: bool = False, warm: bool = True
) -> Samples:
    """Measure a task of `reduction_tasks` in a process of its own, warm by a run before."""
    command = [sys.executable, "-m", "benchmarks.reduction_tasks", task, str(folder), str(runs)]
    said = ["yes" if asked else "no" for asked in (flush, warm)]
    done = subprocess.run([*command, *said], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{task} failed:\n{done.stderr[-2000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    return Samples(found["wall"], found["cpu"], found["peak_mb"])


def once(task: str, folder: Path) -> Figures:
    """Measure what takes half a minute: it has no start to be warmed up from."""
    return in_process(task, folder, 1, warm=False).figures()


def as_command(command: list[str], folder: Path, clean: Path | None = None) -> Samples:
    """Measure a whole command, started anew."""
    if clean is not None:
        shutil.rmtree(clean, ignore_errors=True)
    # Each begins with a disk at rest: what the one before left to the system is not its work.
    os.sync()
    started = time.perf_counter()
    child = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(child.pid, 0)
    wall = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}")
    return Samples([wall], [used.ru_utime + used.ru_stime], used.ru_maxrss / 1024)


def siril(name: str, script: str, folder: Path) -> Contenders:
    """Return a Siril script as a contender of that name, none where Siril is not installed."""
    program = shutil.which("siril-cli")
    if program is None:
        return {}
    path = folder / "benchmark.ssf"
    path.write_text(f"requires 1.0.0\nsetcpu {len(os.sched_getaffinity(0))}\n{script}\nclose\n")
    command = [program, "-s", str(path), "-d", str(folder)]
    return {name: partial(as_command, command, folder)}
