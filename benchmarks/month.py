"""A month of simulated nights with weather, faults, alerts and deaths of the telescope's daemon.

   python -m benchmarks.month --nights 30 --at-once 6 --out month     (`--report month`: again)

Each night has a simulator and a dome in one process and the telescope in another, which is killed
now and then. What is wrong is ordered from outside, so that the audit knows it: the simulator's own
truth says when the dome was open and what was in front of the camera. What the figures mean stands
in `benchmarks.month_figures`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import requests
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from benchmarks.month_figures import Record, Span, figures, merged, summary
from benchmarks.month_plot import plot
from tests.support.killing import audit
from tests.support.observatory import CAMERA, Observatory
from tests.support.waiting import wait_until
from toros.archive.models import Event, Exposure
from toros.archive.schema import upgrade
from toros.common.config import Config
from toros.common.config.dome import DomeSettings
from toros.common.config.simulator import SimulatorSettings
from toros.common.config.telescope import TelescopeSettings
from toros.common.database import make_engine, make_sessions
from toros.sky.site import Site
from toros.sky.visibility import altaz
from toros.telescope.plan import dark_times
from toros.telescope.target_queue import Origin, Wanted, entry

FIRST = date(2017, 8, 17)
SITE = Site("Cordon Macon", -24.6226, -67.3218, 4650.0)
MAX_SUN_DEG = -15.0
# Twilight comes before the dark, and before it the processes start, at the machine's pace.
BEFORE_DARK = timedelta(minutes=50)
START_UP_S = 50.0  # of the machine, a busy one
EXPTIME_S = 240.0
RESUME_S, RESUME_DEVICE_S = 300.0, 60.0
# 45 left a seventh of the dark hours without anything observable; with 120 there is always a field.
FIELDS = 120
FAULTS: tuple[dict[str, Any], ...] = (
    {"device": "camera", "fault": "hang"},
    {"device": "camera", "fault": "refuse"},
    {"device": "telescope", "fault": "refuse", "method": "PUT"},
    {"device": "telescope", "fault": "drop"},
    {"device": "filterwheel", "fault": "refuse"},
    {"device": "dome", "fault": "garbage", "method": "GET"},
)
# Seconds of the machine between two looks at the truth: at rest, and while the dome must close.
LOOK_S, STARE_S = 2.0, 0.05
# The dome hears of an unsafe monitor at its next poll, and then the shutter takes its time.
SIMULATED = SimulatorSettings()
PACE = {
    "mount": SIMULATED.mount.slew_rate,
    "dome": SIMULATED.dome.azimuth_rate,
    "settle": SIMULATED.mount.settle_s + TelescopeSettings().settle_s,
    "read_out": CAMERA.readout_s,
}
REACTION_S = DomeSettings().safety_poll_s + SIMULATED.dome.shutter_s


class Witness(threading.Thread):
    """Looks at the simulator's truth: is the dome open, and what was exposed."""

    def __init__(self, night: Observatory) -> None:
        super().__init__(name="witness", daemon=True)
        self.night = night
        self.over = threading.Event()
        self.staring = threading.Event()
        self.open: list[tuple[float, bool]] = []
        self.truths: dict[float, float] = {}

    def run(self) -> None:
        """Look until the night is over."""
        while not self.over.is_set():
            truth = self.night.truth()
            moment = datetime.fromisoformat(truth["time"]).timestamp()
            is_open = truth["dome"]["shutter"] > 0
            self.open.append((moment, is_open))
            if not is_open:
                self.staring.clear()
            for exposure in truth["exposures"]:
                self.truths[round(exposure["start_unix"], 3)] = exposure["light_fraction"]
            if self.staring.is_set():
                self.over.wait(STARE_S)
            else:
                self.staring.wait(LOOK_S)

    def open_since(self, spell: Span) -> float:
        """Return for how long the dome was seen open within an unsafe spell."""
        seen = [moment for moment, is_open in self.open if spell[0] <= moment <= spell[1]]
        still = [
            moment for moment, is_open in self.open if is_open and spell[0] <= moment <= spell[1]
        ]
        return max(still) - spell[0] if seen and still else 0.0


class Trouble(threading.Thread):
    """Makes things go wrong at random, and remembers when."""

    def __init__(
        self, night: Observatory, database_url: str, seed: int, record: Record, witness: Witness
    ) -> None:
        super().__init__(name="trouble", daemon=True)
        self.night, self.database_url, self.record = night, database_url, record
        self.witness = witness
        self.rng = random.Random(seed)  # noqa: S311 - weather
        self.over = threading.Event()
        self.process = night.serve("telescope", database_url)

    def run(self) -> None:
        """Go through the night's troubles in their order until the night is over."""
        for moment, work in sorted(self._script(), key=lambda item: item[0]):
            wait_s = self.night.clock.machine_seconds(moment - self.night.clock.unix())
            if self.over.wait(max(wait_s, 0.0)):
                break
            work()
        self._weather(safe=True)

    def _script(self) -> Iterator[tuple[float, Any]]:
        rng, (first, last) = self.rng, self.record.dark
        spells = []
        for _ in range(rng.choice((0, 0, 1, 2))):
            begin = rng.uniform(first - 1800, last)
            spells.append((begin, begin + rng.expovariate(1 / 2400.0) + 300.0))
        for begin, end in merged(spells, (first - 1800, last)):
            yield begin, lambda: self._weather(safe=False)
            yield end, lambda: self._weather(safe=True)
        for _ in range(rng.choice((0, 1, 2))):
            begin, lasts = rng.uniform(first, last), rng.uniform(60.0, 600.0)
            order = {**rng.choice(FAULTS), "duration_s": lasts}
            yield begin, lambda order=order: self._fault(order)
        for _ in range(rng.choice((0, 1, 1, 2))):
            yield rng.uniform(first - 1800, last), self._die
        for _ in range(rng.choice((0, 0, 1))):
            yield rng.uniform(first, last), self._alert

    def _weather(self, *, safe: bool) -> None:
        spells = self.record.unsafe
        if safe:
            if spells and spells[-1][1] == float("inf"):
                spells[-1] = (spells[-1][0], self.night.clock.unix())
                self.night.safe(None)
            return
        self.witness.staring.set()
        self.night.safe(False)
        spells.append((self.night.clock.unix(), float("inf")))

    def _fault(self, order: dict[str, Any]) -> None:
        url = f"{self.night.simulator.url}/simulator/v1/faults"
        began = self.night.clock.unix()
        requests.post(url, json=order, timeout=10).raise_for_status()
        self.record.faults.append((began, began + order["duration_s"]))
        if order["device"] == "dome":
            self.record.blind.append(self.record.faults[-1])

    def _die(self) -> None:
        began = self.night.clock.unix()
        self.process.kill()
        self.process.wait()
        self.process = self.night.serve("telescope", self.database_url)
        wait_until(self.night.answers, "the telescope to answer again", 120.0)
        self.record.deaths.append((began, self.night.clock.unix()))

    def _alert(self) -> None:
        self.record.alerts.append(self.night.clock.unix())
        self.night.ask(
            "targets",
            alert=f"S{self.night.clock.now():%y%m%dT%H%M}",
            revision=1,
            targets=[
                {
                    "name": f"host {each}",
                    "ra": (270.0 + 15.0 * each) % 360,
                    "dec": -40.0 + each,
                    "weight": 1.0 / (each + 1),
                    "count": 1,
                }
                for each in range(5)
            ],
        )


def one_night(folder: Path, day: date, rate: float, seed: int) -> Record:
    """Run one night and return how it went."""
    span = dark_times(SITE, day, MAX_SUN_DEG)
    if span is None:
        raise SystemExit(f"It does not grow dark on {day}.")
    folder.mkdir(parents=True)
    before = BEFORE_DARK + timedelta(seconds=START_UP_S * rate)
    start = datetime.fromtimestamp(span[0], UTC) - before
    database_url = f"sqlite:///{folder / 'archive.db'}"
    engine = make_engine(database_url)
    upgrade(engine)
    settings = {
        "bias_count": 2,
        "dark_count": 1,
        "dark_exptimes_s": [20.0],
        "flats": {"count": 2},
        "exptime_s": EXPTIME_S,
        "resume_after_safe_s": RESUME_S,
        "resume_after_device_s": RESUME_DEVICE_S,
        "close_when_done": False,
    }
    _survey(make_sessions(engine), seed, start)
    night = Observatory(folder, make_sessions(engine), start, rate, settings)
    night.end("telescope")
    silence_s = night.config.dome.telescope_silence_s or float("inf")
    record = Record(str(day), rate, span, RESUME_S, silence_s, PACE)
    record.resume_device_s = RESUME_DEVICE_S
    witness = Witness(night)
    trouble = Trouble(night, database_url, seed, record, witness)
    try:
        wait_until(night.answers, "the telescope to answer", 120.0)
        night.client.send("open_night", wait=60)
        wait_until(lambda: night.state() != "closed", "the night to be opened", 120.0)
        witness.start()
        trouble.start()
        longest_s = night.clock.machine_seconds(span[1] - start.timestamp() + 3 * 3600.0)
        wait_until(lambda: night.state() == "closed", "the night to be closed", longest_s + 120.0)
        for thread in (trouble, witness):
            thread.over.set()
            thread.join(130.0)
        audit(night, faults=True)
        _complete(record, night, witness)
        return record
    finally:
        trouble.over.set()
        witness.over.set()
        trouble.process.terminate()
        trouble.process.wait(timeout=60)
        night.close()
        engine.dispose()


def _survey(sessions: sessionmaker[Session], seed: int, received: datetime) -> None:
    """Queue more fields than a night can hold, at each of its hours."""
    rng = random.Random(seed)  # noqa: S311 - fields of a survey
    origin = Origin(observatory=Config().node, received=received)
    with sessions.begin() as session:
        for number in range(FIELDS):
            wanted = Wanted(
                name=f"field {number}",
                ra_deg=rng.uniform(0, 360),
                dec_deg=rng.uniform(-85, 20),
                filter="r",
                count=rng.choice((2, 4, 6)),
                exptime_s=EXPTIME_S,
            )
            session.add(entry(wanted, origin, TelescopeSettings()))


def _complete(record: Record, night: Observatory, witness: Witness) -> None:
    """Add to the record what the archive and the witness know."""
    with night.context.sessions() as session:
        events = session.scalars(select(Event).where(Event.module == "telescope")).all()
        query = select(Exposure).where(Exposure.image_type == "light", Exposure.state == "raw")
        lights = session.scalars(query.order_by(Exposure.date_obs)).all()
    record.told = [(event.time.timestamp(), event.kind, event.message) for event in events]
    for light in lights:
        start = light.date_obs.timestamp() if light.date_obs else 0.0
        length = light.exptime or 0.0
        where = altaz(SITE, [start], [light.ra or 0.0], [light.dec or 0.0])
        altitude, azimuth = (float(each[0, 0]) for each in where)
        record.lights.append((start, length, light.object or "", azimuth, altitude))
        seen = [each for key, each in witness.truths.items() if abs(key - start) < 0.01]
        record.unwitnessed += not seen
        record.shadowed += any(each < 0.99 for each in seen)
    record.open_s = [witness.open_since(spell) for spell in record.unsafe]


def read(folder: Path) -> list[Record]:
    """Return the records of a month that was run before."""
    return [Record(**json.loads(path.read_text())) for path in sorted(folder.glob("2*.json"))]


def report(folder: Path, picture: Path | None) -> None:
    """Print the figures of the nights in a folder, and draw them."""
    records = read(folder)
    for record in records:
        made = figures(record)
        share, hours = made.used_at(record.rate), made.usable_s / 3600
        print(f"{record.day}: used {share:.1%} of {hours:.1f} h; lost {made.causes}")
    print(summary(records, REACTION_S))
    print(plot(records, picture or folder / "month.png"))


def run(folder: Path, nights: int, at_once: int, rate: float, seed: int) -> None:
    """Run the nights, some at once, each in a process of its own."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(at_once, mp_context=context, max_tasks_per_child=1)
    began = time.monotonic()
    with pool:
        jobs = {}
        for number in range(nights):
            day = FIRST + timedelta(days=number)
            job = pool.submit(one_night, folder / f"{day:%Y%m%d}", day, rate, seed * 1000 + number)
            jobs[job] = day
        for job in as_completed(jobs):
            error = job.exception()
            said = f"{time.monotonic() - began:.0f} s: {jobs[job]}"
            if error is not None:
                print(f"{said}: FAILED: {error!r}", flush=True)
                continue
            record = job.result()
            (folder / f"{record.day}.json").write_text(json.dumps(asdict(record)))
            print(f"{said}: used {figures(record).used_at(rate):.1%}", flush=True)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--at-once", type=int, default=2, help="nights that run side by side")
    parser.add_argument("--rate", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=None, help="an empty folder")
    parser.add_argument("--report", type=Path, default=None, help="only report an earlier run")
    parser.add_argument("--picture", type=Path, default=None)
    arguments = parser.parse_args()
    folder = arguments.report or arguments.out or Path(tempfile.mkdtemp(prefix="toros-month-"))
    if arguments.report is None:
        folder.mkdir(parents=True, exist_ok=True)
        run(
            folder.resolve(),
            arguments.nights,
            arguments.at_once,
            arguments.rate,
            arguments.seed,
        )
    report(folder, arguments.picture)


if __name__ == "__main__":
    main()
