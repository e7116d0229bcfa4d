"""From an alert's work order to the command to slew, while another target is being exposed.

   python -m benchmarks.alert_reaction --alerts 10

The simulator, the dome and the telescope are real processes or servers that speak HTTP; the clock
runs ten times as fast as the machine, so that slews are not waited for, and what is printed are
seconds of the machine. Wanted: 2 s.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.support.observatory import Observatory
from tests.support.waiting import wait_until
from toros.archive.schema import upgrade
from toros.archive.stages import SLEWING, STAGE
from toros.common.database import make_engine, make_sessions

DARK = datetime(2017, 8, 17, 23, 20, tzinfo=UTC)
RATE = 10.0
FIELDS = 200  # that wait in the queue meanwhile
HOSTS = 12
SETTINGS = {"bias_count": 0, "dark_count": 0, "flats": {"count": 0}, "close_when_done": False}
LONG_S = 300.0


def reaction_s(night: Observatory, number: int) -> float:
    """Send an alert and return the machine seconds from then to the command to slew."""
    wait_until(lambda: "field" in night.night()["doing"], "a field to be observed", LONG_S)
    frames = len(night.exposures("light"))
    wait_until(lambda: len(night.exposures("light")) > frames, "an exposure to begin", LONG_S)
    alert = f"S{number:06d}"
    hosts = [
        {
            "name": f"host {number}-{each}",
            "ra": 285.0 + each,
            "dec": -45.0,
            "weight": 1.0 / (each + 1),
            "count": 1,
            "exptime": 1.0,
        }
        for each in range(HOSTS)
    ]
    sent = night.clock.unix()
    night.ask("targets", alert=alert, revision=1, targets=hosts)

    def commanded() -> float | None:
        for event in night.events(STAGE):
            if event.data["alert"] == alert and event.data["stage"] == SLEWING:
                return event.time.timestamp()
        return None

    moment = wait_until(commanded, "the command to slew", LONG_S)
    night.ask("retract_alert", alert=alert)
    return night.clock.machine_seconds((moment or sent) - sent)


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--alerts", type=int, default=10)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="toros-alert-"))
    url = f"sqlite:///{folder / 'archive.db'}"
    engine = make_engine(url)
    upgrade(engine)
    night = Observatory(folder, make_sessions(engine), DARK, RATE, SETTINGS)
    night.end("telescope")
    process = night.serve("telescope", url)
    try:
        wait_until(night.answers, "the telescope to answer", LONG_S)
        for number in range(FIELDS):
            ra, dec = 270.0 + 0.3 * number, -50.0 + 0.1 * number
            night.ask("observation", ra=ra, dec=dec, object=f"field {number}", exptime=120.0)
        night.client.send("open_night", wait=60)
        took = [reaction_s(night, number) for number in range(arguments.alerts)]
        print(
            f"{len(took)} alerts of {HOSTS} targets among {FIELDS} fields: from the work order to "
            f"the command to slew median {statistics.median(took):.2f} s, longest {max(took):.2f} s"
        )
    finally:
        process.terminate()
        process.wait(timeout=60)
        night.close()
        engine.dispose()


if __name__ == "__main__":
    main()
