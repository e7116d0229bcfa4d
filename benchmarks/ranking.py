"""From a notice's bytes to the telescopes' orders, among 22.5 million galaxies.

    python -m benchmarks.ranking                     all of it, some minutes; 1 GB of disk
    python -m benchmarks.ranking --galaxies 1e6      a first impression
    python -m benchmarks.ranking --skymap-python /path/to/venv/bin/python
    python -m benchmarks.ranking --markdown docs/reference/benchmarks-alerts.md

Every figure is measured in a process of its own, so that each has its own peak of memory. The
catalogue is synthetic: even in space, log-normal in light. `ligo.skymap` (GPL) is no dependency
of TOROS: install it by hand in an environment of its own and name its Python; without one that
part is skipped.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import ranking_flat
from benchmarks.ranking_catalogue import FOLDER, NAME, maps, synthetic
from benchmarks.ranking_peer import compare
from benchmarks.ranking_report import page
from toros.archive.schema import upgrade
from toros.common.clock import Clock
from toros.common.config import Config
from toros.common.daemon import Daemon
from toros.common.database import make_engine, make_sessions
from toros.common.module import Context, Module
from toros.common.requests import Fields, Request, RequestTable, Task
from toros.common.work_order import Json
from toros.lvcgcn import column_store
from toros.lvcgcn.catalogue import Catalogue, Weight
from toros.lvcgcn.daemon import build
from toros.lvcgcn.ranking import rank, scores
from toros.lvcgcn.search import HostSearch
from toros.lvcgcn.skymap import SkyMap
from toros.lvcgcn.skymap_fits import read_sky_map
from toros.simulator.replay import make_gw170817

TOP = 1000
ROUNDS = 5
EVENING = datetime(2017, 8, 17, 22, 0, tzinfo=UTC)
PLACES = {
    "MACON": {"lon": -67.3218, "lat": -24.6226, "height": 4650.0},
    "TOLOLO": {"lon": -70.8065, "lat": -30.1691, "height": 2200.0},
    "SIDING SPRING": {"lon": 149.0712, "lat": -31.2733, "height": 1165.0},
}


class _Targets(Fields):
    alert: str
    revision: int
    targets: list[dict[str, Any]]


def memory_mb(key: str = "VmHWM") -> float:
    """Return a figure of this process's memory: VmHWM is the greatest that was resident."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) / 1024
    raise ValueError(key)


def _open(folder: Path) -> Catalogue:
    found = column_store.read(folder, NAME)
    assert found is not None
    return found


def _best(sky_map: SkyMap, catalogue: Catalogue, weight: Weight) -> object:
    return HostSearch(sky_map, catalogue, weight).best(100)


def measure_ranking(folder: Path) -> dict[str, Any]:
    """Return the times of the ranking alone, and its memory."""
    catalogue, found = _open(folder), {}
    before = memory_mb()
    for name, content in maps().items():
        sky_map = read_sky_map(content)
        for weight in (Weight.NONE, Weight.LUMINOSITY):
            search = partial(_best, sky_map, catalogue, weight)
            best = [_timed(search) for _ in range(ROUNDS + 1)]
            whole = [_timed(partial(rank, sky_map, catalogue, TOP, weight)) for _ in range(ROUNDS)]
            found[f"{name}, weight {weight.value}"] = {
                "best 100, cold": best[0],
                "best 100": median(best[1:]),
                f"best {TOP} with their probabilities": median(whole),
            }
    return {"seconds": found, "mb_before": before, "mb_peak": memory_mb()}


def measure_brute(folder: Path) -> dict[str, Any]:
    """Return the time of scoring every galaxy, and whether the best ones are the same."""
    catalogue, found = _open(folder), {}
    for name, content in maps().items():
        sky_map = read_sky_map(content)
        for weight in (Weight.NONE, Weight.LUMINOSITY):
            begin = time.perf_counter()
            plain = scores(sky_map, catalogue, weight)
            top = np.argpartition(-plain, TOP)[: TOP + 1]
            top = top[np.lexsort((top, -plain[top]))][:TOP]
            took = time.perf_counter() - begin
            ranking = rank(sky_map, catalogue, TOP, weight)
            found[f"{name}, weight {weight.value}"] = {
                "seconds": took,
                "identical": bool(
                    np.array_equal(top, ranking.order) and np.array_equal(plain[top], ranking.score)
                ),
                "total_off": abs(ranking.total / float(plain.sum()) - 1),
            }
    return {"maps": found, "mb_peak": memory_mb()}


def measure_flat(folder: Path) -> dict[str, Any]:
    """Return what a flat map takes, as the LVK spread one out and at its worst."""
    catalogue = _open(folder)
    sky_map = read_sky_map(next(iter(maps().values())))
    kinds = {"as the LVK spread one out": False, "every pixel of the event different": True}
    return {
        name: ranking_flat.measure(ranking_flat.flat(sky_map, rough=rough), catalogue, memory_mb)
        for name, rough in kinds.items()
    }


def measure_relay(folder: Path) -> dict[str, Any]:
    """Return the time from a notice's bytes to orders that three telescopes have journaled."""
    with ExitStack() as stack, tempfile.TemporaryDirectory() as scratch:
        ports = [_telescope_process(stack) for _ in PLACES]
        desk = _robot(stack, Path(scratch), folder, ports)
        before, found = memory_mb(), {}
        for number, (name, content) in enumerate(maps().items()):
            times, orders, targets = [], 0, 0
            for turn in range(ROUNDS + 1):
                notice = _notice(f"S{number}{turn}x", content)
                begin = time.perf_counter()
                answer = desk.process(notice, "benchmark")
                times.append(time.perf_counter() - begin)
                taken = [one for one in answer["relayed"] if one["state"] == "relayed"]
                orders += len(taken)
                targets += sum(one["targets"] for one in taken)
            found[name] = {
                "first": times[0],
                "seconds": median(times[1:]),
                "orders": orders // (ROUNDS + 1),
                "targets": targets // (ROUNDS + 1),
            }
        return {"maps": found, "mb_before": before, "mb_peak": memory_mb()}


def _notice(event: str, sky_map: bytes) -> bytes:
    import base64

    record = json.loads(make_gw170817().notice) | {"superevent_id": event}
    record["event"]["skymap"] = base64.b64encode(sky_map).decode("ascii")
    return json.dumps(record).encode()


def _robot(stack: ExitStack, scratch: Path, folder: Path, ports: list[int]) -> Any:
    engine = make_engine(f"sqlite:///{scratch / 'archive.db'}")
    upgrade(engine)
    stack.callback(engine.dispose)
    config = Config.model_validate(
        {
            "lvcgcn": {
                "folder": scratch / "alerts",
                "catalog": NAME,
                "catalog_folder": folder,
                "hosts": TOP,
            },
            "observatories": [
                {"name": name, "telescope": f"http://127.0.0.1:{port}", "location": place}
                for (name, place), port in zip(PLACES.items(), ports, strict=True)
            ],
        }
    )
    context = Context(config, Clock.simulated(EVENING, 1.0), make_sessions(engine))
    module = build(context)
    daemon = Daemon(module, context, ("127.0.0.1", 0))
    daemon.start()
    stack.callback(daemon.stop)
    return module.state


def _telescope_process(stack: ExitStack) -> int:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.ranking", "--part", "telescope"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    stack.callback(process.wait)
    stack.callback(process.communicate)
    assert process.stdout is not None
    return int(process.stdout.readline())


def serve_telescope() -> None:
    """Serve a front desk that journals `targets` orders, until standard input ends."""

    def take(_state: None, fields: _Targets, _task: Task) -> Json:
        return len(fields.targets)

    table: RequestTable[None] = RequestTable(
        [Request(name="targets", fields=_Targets, handler=take, summary="Count.", journaled=True)]
    )
    with tempfile.TemporaryDirectory() as scratch:
        engine = make_engine(f"sqlite:///{scratch}/telescope.db")
        upgrade(engine)
        context = Context(Config(), Clock(), make_sessions(engine))
        module = Module("telescope", None, table, close=engine.dispose)
        daemon = Daemon(module, context, ("127.0.0.1", 0))
        daemon.start()
        print(daemon.url.rsplit(":", 1)[1].rstrip("/"), flush=True)
        sys.stdin.read()
        daemon.stop()


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "ranking": measure_ranking,
    "brute": measure_brute,
    "flat": measure_flat,
    "relay": measure_relay,
}


def _apart(part: str, folder: Path) -> dict[str, Any]:
    """Measure one part in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.ranking", "--part", part, "--folder", str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def main() -> None:
    """Measure, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--galaxies", type=float, default=22.5e6)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--skymap-python", type=Path, help="a Python that has ligo.skymap")
    parser.add_argument("--markdown", type=Path, help="write the page of figures there")
    parser.add_argument("--part", choices=[*PARTS, "telescope"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    if given.part == "telescope":
        serve_telescope()
    elif given.part:
        print(json.dumps(PARTS[given.part](given.folder)))
    else:
        count = int(given.galaxies)
        took = synthetic(given.folder, count)
        print(json.dumps({"galaxies": count, "seconds_to_build": took}))
        found = {}
        for part in PARTS:
            found[part] = _apart(part, given.folder)
            print(json.dumps({part: found[part]}, indent=2, ensure_ascii=False))
        found["ligo.skymap"] = compare(given.skymap_python, given.folder, maps())
        print(json.dumps({"ligo.skymap": found["ligo.skymap"]}, indent=2, ensure_ascii=False))
        if given.markdown:
            given.markdown.write_text(page(count, took, found), encoding="utf-8")


if __name__ == "__main__":
    main()
