"""A month of simulated nights with weather, faults, alerts and deaths of the telescope's daemon.

   python -m benchmarks.month --nights 30 --out month       (`make month`)

Each night runs the simulator and the dome in this process and the telescope in one of its own,
which is killed now and then. What is wrong is ordered from outside, so that the audit knows it: the
simulator's own truth says when the dome was open and what was in front of the camera.

Figures, summed over all nights:

- *usable*: dark time in which it was safe, no device was made to fail and the daemon lived, less
  the time that the configuration asks for before a night resumes;
- *used*: the exposures, and gaps between two of them that are no longer than a slew may take;
- *explained*: the other gaps that the night's log says something of;
- *unsafe and open*: the longest time for which the dome was open after it had become unsafe.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import requests
from sqlalchemy import select

from tests.support.killing import audit
from tests.support.observatory import Observatory
from tests.support.waiting import wait_until
from toros.archive.models import Event, Exposure
from toros.archive.schema import upgrade
from toros.common.database import make_engine, make_sessions
from toros.sky.site import Site
from toros.telescope.plan import dark_times

FIRST = date(2017, 8, 17)
BEFORE_DARK = timedelta(minutes=50)
EXPTIME_S = 240.0
SLEW_GAP_S = 180.0  # a gap that slew, dome, settling and read-out may take on a fast clock
RESUME_S = 300.0
# After a fault has gone: the longest pause before it is tried again.
RETRY_S = 120.0
FAULTS: tuple[dict[str, Any], ...] = (
    {"device": "camera", "fault": "hang"},
    {"device": "camera", "fault": "refuse"},
    {"device": "telescope", "fault": "refuse", "method": "PUT"},
    {"device": "telescope", "fault": "drop"},
    {"device": "filterwheel", "fault": "refuse"},
    {"device": "dome", "fault": "garbage", "method": "GET"},
)
# Events that say why nothing is exposed. That an observation ended explains nothing.
EXPLAINING = ("state", "problem", "focus", "flats", "recovered", "meridian", "dome", "alert")
Span = tuple[float, float]


@dataclass
class Ordered:
    """What was made to go wrong in one night: spans in unix seconds."""

    unsafe: list[Span] = field(default_factory=list)
    faults: list[Span] = field(default_factory=list)
    deaths: list[Span] = field(default_factory=list)
    alerts: int = 0


@dataclass
class Figures:
    """One night, or the sum of several."""

    nights: int = 1
    dark_s: float = 0.0
    usable_s: float = 0.0
    exposing_s: float = 0.0
    moving_s: float = 0.0
    explained_s: float = 0.0
    unexplained_s: float = 0.0
    unsafe_open_s: float = 0.0
    lights: int = 0
    vignetted: int = 0
    unsafe_spells: int = 0
    faults: int = 0
    deaths: int = 0
    alerts: int = 0


class Trouble(threading.Thread):
    """Makes things go wrong at random, and remembers when."""

    def __init__(self, night: Observatory, database_url: str, seed: int, span: Span) -> None:
        super().__init__(name="trouble", daemon=True)
        self.night, self.database_url, self.span = night, database_url, span
        self.rng = random.Random(seed)  # noqa: S311 - weather
        self.ordered = Ordered()
        self.over = threading.Event()
        self.process = night.serve("telescope", database_url)

    def run(self) -> None:
        """Go through the night's troubles in their order until the night is over."""
        for moment, work in sorted(self._script(), key=lambda item: item[0]):
            wait_s = self.night.clock.machine_seconds(moment - self.night.clock.unix())
            if self.over.wait(max(wait_s, 0.0)):
                return
            work()

    def _script(self) -> Iterator[tuple[float, Any]]:
        rng, (first, last) = self.rng, self.span
        for _ in range(rng.choice((0, 0, 1, 2))):
            begin = rng.uniform(first - 1800, last)
            end = begin + rng.expovariate(1 / 2400.0) + 300.0
            self.ordered.unsafe.append((begin, end))
            yield begin, lambda: self.night.safe(False)
            yield end, lambda: self.night.safe(None)
        for _ in range(rng.choice((0, 1, 2))):
            begin, lasts = rng.uniform(first, last), rng.uniform(60.0, 600.0)
            self.ordered.faults.append((begin, begin + lasts))
            order = {**rng.choice(FAULTS), "duration_s": lasts}
            yield begin, lambda order=order: self._fault(order)
        for _ in range(rng.choice((0, 1, 1, 2))):
            yield rng.uniform(first - 1800, last), self._die
        for number in range(rng.choice((0, 0, 1))):
            self.ordered.alerts += 1
            yield rng.uniform(first, last), lambda number=number: self._alert(number)

    def _fault(self, order: dict[str, Any]) -> None:
        url = f"{self.night.simulator.url}/simulator/v1/faults"
        requests.post(url, json=order, timeout=10).raise_for_status()

    def _die(self) -> None:
        self.process.kill()
        self.process.wait()
        began = self.night.clock.unix()
        self.process = self.night.serve("telescope", self.database_url)
        wait_until(self.night.answers, "the telescope to answer again", 120.0)
        self.ordered.deaths.append((began, self.night.clock.unix()))

    def _alert(self, number: int) -> None:
        self.night.ask(
            "targets",
            alert=f"S{self.night.clock.now():%y%m%d}{number}",
            revision=1,
            targets=[
                {
                    "name": f"host {number}-{each}",
                    "ra": (270.0 + 15.0 * each) % 360,
                    "dec": -40.0 + each,
                    "weight": 1.0 / (each + 1),
                    "count": 1,
                }
                for each in range(5)
            ],
        )


class Witness(threading.Thread):
    """Looks at the simulator's truth: is the dome open, and what was exposed."""

    def __init__(self, night: Observatory) -> None:
        super().__init__(name="witness", daemon=True)
        self.night = night
        self.over = threading.Event()
        self.open: list[tuple[float, bool]] = []
        self.truths: dict[float, dict[str, Any]] = {}

    def run(self) -> None:
        """Look until the night is over."""
        while not self.over.wait(0.2):
            truth = self.night.truth()
            moment = datetime.fromisoformat(truth["time"]).timestamp()
            self.open.append((moment, truth["dome"]["shutter"] > 0))
            for exposure in truth["exposures"]:
                self.truths[round(exposure["start_unix"], 3)] = exposure


def one_night(folder: Path, database_url: str, day: date, rate: float, seed: int) -> Figures:
    """Run one night and return its figures."""
    site = Site("Cordon Macon", -24.6226, -67.3218, 4650.0)
    span = dark_times(site, day, -15.0)
    if span is None:
        raise SystemExit(f"It does not grow dark on {day}.")
    start = datetime.fromtimestamp(span[0], UTC) - BEFORE_DARK
    engine = make_engine(database_url)
    settings = {
        "bias_count": 2,
        "dark_count": 1,
        "dark_exptimes_s": [20.0],
        "flats": {"count": 2},
        "exptime_s": EXPTIME_S,
        "resume_after_safe_s": RESUME_S,
        "close_when_done": False,
    }
    night = Observatory(folder, make_sessions(engine), start, rate, settings)
    night.end("telescope")
    trouble, witness = Trouble(night, database_url, seed, span), Witness(night)
    try:
        wait_until(night.answers, "the telescope to answer", 120.0)
        _survey(night, seed)
        night.ask("open_night")
        trouble.start()
        witness.start()
        longest_s = night.clock.machine_seconds(span[1] - start.timestamp() + 3 * 3600.0)
        wait_until(lambda: night.state() == "closed", "the night to be closed", longest_s + 120.0)
        audit(night, faults=True)
        return _figures(night, trouble.ordered, witness, span)
    finally:
        trouble.over.set()
        witness.over.set()
        for thread in (trouble, witness):
            if thread.is_alive():
                thread.join(130.0)
        trouble.process.terminate()
        trouble.process.wait(timeout=60)
        night.close()
        engine.dispose()


def _survey(night: Observatory, seed: int) -> None:
    """Queue more fields than a night can hold."""
    rng = random.Random(seed)  # noqa: S311 - fields of a survey
    for number in range(60):
        night.ask(
            "observation",
            ra=rng.uniform(0, 360),
            dec=rng.uniform(-85, 20),
            object=f"{seed}-{number}",
            count=rng.choice((2, 4)),
            exptime=EXPTIME_S,
        )


def _figures(night: Observatory, ordered: Ordered, witness: Witness, span: Span) -> Figures:
    with night.context.sessions() as session:
        since = datetime.fromtimestamp(span[0] - 7200, UTC)
        events = session.scalars(select(Event).where(Event.time >= since)).all()
        query = select(Exposure).where(Exposure.date_obs >= since, Exposure.image_type == "light")
        lights = session.scalars(query.order_by(Exposure.date_obs)).all()
    made = Figures(
        dark_s=span[1] - span[0],
        lights=len(lights),
        unsafe_spells=len(ordered.unsafe),
        faults=len(ordered.faults),
        deaths=len(ordered.deaths),
        alerts=ordered.alerts,
        unsafe_open_s=_unsafe_open(ordered, witness),
    )
    excused = _merged(
        [
            *((a, b + RESUME_S + RETRY_S) for a, b in ordered.unsafe),
            *((a, b + RESUME_S + RETRY_S) for a, b in ordered.faults),
            *((a, b + RETRY_S) for a, b in ordered.deaths),
        ],
        span,
    )
    made.usable_s = made.dark_s - sum(b - a for a, b in excused)
    exposed = [
        (light.date_obs.timestamp(), light.date_obs.timestamp() + (light.exptime or 0.0))
        for light in lights
        if light.date_obs is not None
    ]
    made.exposing_s = sum(_outside(piece, excused, span) for piece in exposed)
    edges = [(span[0], span[0]), *exposed, (span[1], span[1])]
    told = sorted(
        event.time.timestamp()
        for event in events
        if event.module == "telescope" and event.kind in EXPLAINING
    )
    for (_, before), (after, _) in pairwise(edges):
        lost = _outside((before, after), excused, span)
        if after - before <= SLEW_GAP_S:
            made.moving_s += lost
        elif any(before - 5.0 <= moment <= after + 5.0 for moment in told):
            made.explained_s += lost
        else:
            made.unexplained_s += lost
    made.vignetted = _vignetted(lights, witness)
    return made


def _vignetted(lights: Any, witness: Witness) -> int:
    """Return how many counted lights had the dome in their beam, by the simulator's truth."""
    bad = 0
    for light in lights:
        start = round(light.date_obs.timestamp(), 3)
        near = [t for key, t in witness.truths.items() if abs(key - start) < 0.01]
        bad += light.state == "raw" and any(t["light_fraction"] < 0.99 for t in near)
    return bad


def _unsafe_open(ordered: Ordered, witness: Witness) -> float:
    """Return the longest time for which the dome stayed open after it became unsafe."""
    worst = 0.0
    for begin, end in ordered.unsafe:
        inside = [moment for moment, is_open in witness.open if begin <= moment <= end and is_open]
        worst = max(worst, (max(inside) - begin) if inside else 0.0)
    return worst


def _merged(spans: list[Span], within: Span) -> list[Span]:
    merged: list[Span] = []
    for begin, end in sorted((max(a, within[0]), min(b, within[1])) for a, b in spans):
        if begin >= end:
            continue
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    return merged


def _outside(piece: Span, excused: list[Span], within: Span) -> float:
    """Return how much of a span lies in the night and in none of the excused spans."""
    begin, end = max(piece[0], within[0]), min(piece[1], within[1])
    if end <= begin:
        return 0.0
    overlap = sum(max(min(end, b) - max(begin, a), 0.0) for a, b in excused)
    return end - begin - overlap


def summary(nights: list[Figures], rate: float) -> str:
    """Return the figures of all nights, in words."""
    total = {key: sum(getattr(n, key) for n in nights) for key in asdict(Figures())}
    usable = total["usable_s"]
    used = total["exposing_s"] + total["moving_s"]
    shares = [(n.exposing_s + n.moving_s) / n.usable_s for n in nights if n.usable_s > 1800]
    return "\n".join(
        [
            f"{len(nights)} nights at {rate:g} x; {total['lights']} lights",
            f"unsafe spells {total['unsafe_spells']}, faults of devices {total['faults']}, "
            f"alerts {total['alerts']}, deaths of the daemon {total['deaths']}",
            f"dark {total['dark_s'] / 3600:.1f} h, usable {usable / 3600:.1f} h",
            f"exposing {total['exposing_s'] / usable:.1%} of usable, slewing and read-out "
            f"{total['moving_s'] / usable:.1%}: together {used / usable:.1%} "
            f"(worst night {min(shares, default=0.0):.1%}, median "
            f"{statistics.median(shares) if shares else 0.0:.1%})",
            f"other gaps: explained by the log {total['explained_s'] / usable:.1%}, "
            f"unexplained {total['unexplained_s'] / usable:.1%}",
            f"longest time open after it became unsafe: "
            f"{max(n.unsafe_open_s for n in nights):.0f} s of the observatory, "
            f"{max(n.unsafe_open_s for n in nights) / rate:.1f} s of the machine",
            f"counted lights with the dome in the beam: {total['vignetted']}",
        ]
    )


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--rate", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    folder = arguments.out or Path(tempfile.mkdtemp(prefix="toros-month-"))
    folder.mkdir(parents=True, exist_ok=True)
    url = f"sqlite:///{(folder / 'archive.db').resolve()}"
    engine = make_engine(url)
    upgrade(engine)
    engine.dispose()
    nights: list[Figures] = []
    for number in range(arguments.nights):
        began = time.monotonic()
        day = FIRST + timedelta(days=number)
        seed = arguments.seed * 1000 + number
        nights.append(one_night(folder.resolve(), url, day, arguments.rate, seed))
        print(f"{day}: {time.monotonic() - began:.0f} s; {asdict(nights[-1])}", flush=True)
        (folder / "nights.json").write_text(json.dumps([asdict(n) for n in nights], indent=2))
    print(summary(nights, arguments.rate))


if __name__ == "__main__":
    main()
