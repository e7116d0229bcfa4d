"""A telescope that is killed again and again, and what must be true in the end."""

from __future__ import annotations

import random
import threading
from pathlib import Path

from astropy.io import fits
from sqlalchemy import select

from tests.support.observatory import LONG, Observatory
from tests.support.waiting import wait_until
from toros.archive.models import Exposure, Observation

LEAST_LIGHTS = 5


def kill_often(night: Observatory, database_url: str, kills: int, seed: int, mean_s: float) -> int:
    """Kill the telescope at random instants until it died so often or its night is closed.

    `mean_s` is how long it lives on average, in seconds of the machine.

    Returns
    -------
    int
        How often it was killed.
    """
    rng, done = random.Random(seed), 0  # noqa: S311 - moments, not secrets
    process = night.serve("telescope", database_url)
    try:
        wait_until(night.answers, "the telescope to answer", LONG)
        night.ask("open_night")
        while done < kills and night.state() != "closed":
            # At any instant: of the start-up, of a slew, of an exposure, of a file being written.
            threading.Event().wait(min(rng.expovariate(1 / mean_s), 4 * mean_s))
            process.kill()
            process.wait()
            done += 1
            process = night.serve("telescope", database_url)
            if rng.random() < 0.8:
                wait_until(night.answers, "the telescope to answer again", LONG)
        wait_until(night.answers, "the telescope to answer at last", LONG)
        wait_until(lambda: len(night.exposures("light")) >= LEAST_LIGHTS, "some frames", LONG)
        if night.night()["state"] != "closed":
            night.ask("close_night")
        night.until("closed")
    finally:
        process.terminate()
        process.wait(timeout=30)
    return done


def audit(night: Observatory, *, faults: bool = False) -> int:
    """Check that no frame was lost and none counted twice; return how many lights there are.

    With `faults` of devices an observation may have failed, with its reason.
    """
    raw = night.config.data.raw.absolute()
    on_disk = {str(path) for path in raw.rglob("*.fits")}
    with night.context.sessions() as session:
        rows = session.scalars(select(Exposure)).all()
        entries = session.scalars(select(Observation)).all()
    recorded = [row.path for row in rows]
    assert len(recorded) == len(set(recorded)), "a frame is recorded twice"
    assert set(recorded) == on_disk, "files and records differ"
    starts = [row.date_obs for row in rows]
    assert len(starts) == len(set(starts)), "an exposure has two files"
    for entry in entries:
        counted = [r for r in rows if r.observation_id == entry.id and r.state == "raw"]
        assert entry.taken == len(counted), f"{entry.name} counts {entry.taken}, has {len(counted)}"
        assert entry.taken <= entry.count, f"{entry.name} has more frames than it asked for"
        fine = entry.state in ("done", "queued") or (faults and entry.reason)
        assert fine, f"{entry.name} is {entry.state}: {entry.reason}"
        assert entry.state != "done" or entry.taken == entry.count
    for path in sorted(on_disk):
        with Path(path).open("rb") as file, fits.open(file, checksum=True, memmap=False) as frame:
            assert frame[0].data is not None
    assert night.truth()["dome"]["shutter"] == 0.0, "the dome is open"
    return sum(row.image_type == "light" for row in rows)
