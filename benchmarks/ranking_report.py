"""The page of the ranking's figures, in Markdown."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

INTRODUCTION = """# Benchmarks: alerts

Made by `python -m benchmarks.ranking --markdown docs/reference/benchmarks-alerts.md`; the figures
are of the machine below. Each part is measured in a process of its own, medians of five runs; files
are in the page cache. Times are seconds.
"""

RELAY = """## From the notice's bytes to orders

The whole robot: bytes journaled, read, ranked, hosts of three observatories chosen by their nights,
written to an SQLite archive, and `targets` orders journaled by three telescopes in processes of
their own. The 1000 likeliest hosts for each observatory; hosts that are a million times less likely
than the best are left out.
"""

RANKING = """## The ranking alone

*Every galaxy* is the same formula over the whole catalogue in numpy. The best 1000 must be
identical, to the last bit of their scores; the tests say the same of random maps, catalogues and
weights. The sum of all scores, by which scores become probabilities, is known to one part in 1000.
"""

FLAT = """## Flat maps

The LVK send multi-order maps, of some 20,000 cells. A flat one has millions of pixels; four that
say the same are joined as it is read, which gives the cells back that it was made of. *Memory* is
what reading and ranking take beside the file's own bytes.
"""

CLOSING = """## What is not lost

The tests kill the robot with `SIGKILL` while notices arrive by Kafka and a folder, half of them by
both, in the middle of its work or while it starts: six times in the ordinary run, 200 times with
`pytest -m long`. Every notice must be on record once, and every order done once by its telescope.

The last long run, on a busy machine (2026-11-27): 200 kills in 17 minutes, 0 lost, 0 relayed
twice.
"""

PEER = """## Beside ligo.skymap

Its crossmatch of the same catalogue and maps. *Right* is how many of its best 100 are those of the
formula itself: its grid of distances stretches to the farthest galaxy.
"""


def page(count: int, took: float | None, parts: dict[str, Any]) -> str:
    """Return the whole page.

    Parameters
    ----------
    count : int
        Galaxies in the catalogue.
    took : float or None
        Seconds to build it, if it was built.
    parts : dict
        What the parts of the benchmark found.
    """
    built = f", sorted and written in {took:.0f} s" if took is not None else ""
    catalogue = (
        f"The catalogue is synthetic: {count / 1e6:.3g} million galaxies, even in space to 2 Gpc, "
        f"log-normal in light{built}."
    )
    relay, ranking, brute, flat = (parts[key] for key in ("relay", "ranking", "brute", "flat"))
    sections = [
        INTRODUCTION,
        f"{_machine()}\n\n{catalogue}\n",
        RELAY,
        _relay(relay),
        RANKING,
        _ranking(ranking, brute),
        FLAT,
        _flat(flat),
        PEER,
        _peer(parts["ligo.skymap"]),
        CLOSING,
    ]
    return "\n".join(sections)


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _relay(found: dict[str, Any]) -> str:
    rows = [
        [name, f"{one['targets']}", f"{one['first']:.2f}", f"{one['seconds']:.3f}", "≤ 1"]
        for name, one in found["maps"].items()
    ]
    memory = (
        f"The greatest resident memory of the robot's process was {found['mb_peak']:.0f} MB, the "
        f"mapped files included ({found['mb_before']:.0f} MB before the first notice).\n"
    )
    heads = ["Event", "Targets in the three orders", "The first time", "Seconds", "Wanted"]
    return f"{_table(heads, rows)}\n{memory}"


def _ranking(found: dict[str, Any], brute: dict[str, Any]) -> str:
    rows = []
    for name, one in found["seconds"].items():
        plain = brute["maps"][name]
        same = "identical" if plain["identical"] else "**different**"
        figures = [f"{seconds:.3f}" for seconds in one.values()]
        rows.append([name, *figures, f"{plain['seconds']:.2f}", same, f"{plain['total_off']:.0e}"])
    said = next(iter(found["seconds"].values()))
    heads = ["Event", *said, "every galaxy", "the same 1000", "sum off by"]
    memory = (
        f"The ranking's process had at most {found['mb_peak']:.0f} MB resident (wanted: below "
        "500), the mapped catalogue included; that of scoring every galaxy "
        f"{brute['mb_peak']:.0f} MB.\n"
    )
    return f"{_table(heads, rows)}\n{memory}"


def _flat(found: dict[str, Any]) -> str:
    rows = [
        [
            name,
            f"{one['cells']}",
            f"{one['seconds_to_read']:.2f}",
            f"{one['seconds_to_rank']:.2f}",
            f"{one['file_mb']:.0f} MB",
            f"{one['mb_more']:.0f} MB",
            "identical" if one["identical"] else "**different**",
        ]
        for name, one in found.items()
    ]
    heads = ["NSIDE 512", "cells", "read", "best 1000", "file", "memory", "brute force"]
    return _table(heads, rows)


def _peer(found: dict[str, Any]) -> str:
    if "skipped" in found:
        return f"Not measured in this run: {found['skipped']}\n"
    rows = [
        [
            name,
            *(f"{value:.1f}" if isinstance(value, float) else f"{value}" for value in one.values()),
        ]
        for name, one in found.items()
    ]
    return _table(["Event", *next(iter(found.values()))], rows)


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (
        f"{models[0] if models else platform.machine()}, {len(os.sched_getaffinity(0))} cores, "
        f"Python {platform.python_version()}; load when the run ended: "
        f"{os.getloadavg()[0]:.1f} (a run by itself makes about 1)."
    )
