"""Every fault in every state of the night: the dome closes in time, or goes on where it may.

The whole matrix is a long run, which writes `docs/reference/fault-matrix.md`; the ordinary run
plays every fault while the telescope exposes, and every state with the worst of them, and compares
with that page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, sessionmaker

from tests.support.dome_faults import AFTERWARDS, FAULTS, STATES, Bad
from tests.support.dome_promises import Promises
from tests.support.dome_world import SETTINGS, World
from tests.support.peer import Peer
from toros.common.config.dome import CommandSettings
from toros.dome.watch import closes_within_s

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "fault-matrix.md"
HEAD = """\
# Fault matrix of the dome

What the dome does when something goes wrong, in every state of the night. The table is written by
`make fault-matrix` (`tests/integration/test_dome_fault_matrix.py`), which plays each cell with the
dome module on the simulator's hardware and looks at the metal, not at what the module says.

The settings of the run: the shutter moves only over a parked mount, for which it waits at most
{park:g} s; the shutter travels 15 s; safety monitors are asked every {monitor:g} s, the weather
station every {weather:g} s, the Sun every 30 s; the telescope module may be silent for
{silence:g} s.
From these settings follows that the dome is closed **within {limit:g} s** of the fault, or of the
moment when the dome can be moved again; after the silence where there is only silence. Every cell
keeps to it. Times are seconds of the observatory's clock from the beginning of the fault.

"""
FOOT = """
- *n s*: the shutter reads closed, and is closed, n seconds after the fault began.
- *closed*: it was closed, or closing, and is closed.
- *goes on*: the fault is none of the dome's business, and it stays open.
- *The Sun rises*: the hours till then are left out, so that every other answer is old as well; it
  is checked that the Sun's is among the reasons in the end.
"""
# Hangs last as long as the time-outs of the machine: the ordinary run does without most of them.
SLOW = ("hangs", "answers errors", "HTTP 503")
WORST = ["rain", "the telescope module dies", "rain, and the shutter is stuck for 2 min"]


@pytest.fixture
def world(
    sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[World]:
    flag = tmp_path / "space-left"
    command = CommandSettings(name="disk", command=["test", "-e", str(flag)], poll_s=10.0)
    changes = {"commands": [command], "device_timeout_s": 0.4}
    with Peer() as peer:
        found = World(sessions, peer, monkeypatch, SETTINGS.model_copy(update=changes))
        yield found
        found.close()


def play(world: World, bad: Bad, state: str) -> str:
    """Play one cell, and return what became of it."""
    clock, metal = world.clock, world.observatory.dome
    Path(world.settings.commands[0].command[-1]).touch()
    world.reset()
    promises = Promises(world)
    world.wait(12.0)
    began: list[float] = []
    was: list[float] = []

    def begin() -> None:
        bad.begin(world)
        began.append(clock.unix())
        was.append(metal.shutter(clock.unix()))

    STATES[state](world, begin)
    assert began, f"{state}: the fault did not begin"
    if bad.expected == "keeps on":
        world.wait(300.0)
        expected = AFTERWARDS.get(state, 1.0)
        assert metal.shutter(clock.unix()) == expected, (bad.name, state)
        outcome = "goes on" if expected else "closed"
    else:
        outcome = _closes(world, bad, state, began[0], was[0])
    promises.says_what_is()
    clock.agenda[:] = [each for each in clock.agenda if each.work != promises.check]
    return outcome


def _closes(world: World, bad: Bad, state: str, began: float, was: float) -> str:
    clock, metal = world.clock, world.observatory.dome
    limit = closes_within_s(world.settings) + bad.lasts_s + bad.silent_s
    # A shutter in motion hides for a moment what it will be.
    while metal.shutter(clock.unix()) > 0.0 or metal.turning() or clock.unix() - began < 1.0:
        assert clock.unix() - began <= limit, f"{state}: open {limit:g} s after {bad.name}"
        world.wait(1.0)
    ended = metal._shutter.ramp(clock.unix()).end_unix
    world.wait(max(bad.lasts_s + bad.silent_s + began - clock.unix(), 0.0) + 60.0)
    assert metal.shutter(clock.unix()) == 0.0, f"{state}: not closed after {bad.name}"
    assert metal.shutter_status() == 1, f"{state}: not known to be closed after {bad.name}"
    assert world.dome is not None
    said = {trouble.source for trouble in world.dome.safety.verdict().troubles}
    assert not bad.source or bad.source in said, (bad.name, state, said)
    late = ended - began
    return "closed" if was == 0.0 or state == "closing" or late <= 0.0 else f"{late:.0f} s"


def _kind(outcome: str) -> str:
    return "closes" if outcome.endswith(" s") else outcome


def _page() -> dict[tuple[str, str], str]:
    rows = [line.strip("| ").split("|") for line in PAGE.read_text().splitlines() if "|" in line]
    cells = [[cell.strip() for cell in row] for row in rows]
    names = cells[0][1:]
    return {
        (row[0], name): cell for row in cells[2:] for name, cell in zip(names, row[1:], strict=True)
    }


CELLS = [
    *((bad, "exposing") for bad in FAULTS if not any(word in bad.name for word in SLOW)),
    *((bad, state) for bad in FAULTS if bad.name in WORST for state in STATES),
    *((bad, "open, waiting") for bad in FAULTS if bad.name == "the safety monitor hangs"),
]


def test_each_fault_while_exposing_and_each_state_with_the_worst(world: World) -> None:
    page = _page()
    for bad, state in CELLS:
        assert _kind(play(world, bad, state)) == _kind(page[bad.name, state]), (bad.name, state)


def test_the_page_has_every_fault_and_every_state() -> None:
    assert _page().keys() == {(bad.name, state) for bad in FAULTS for state in STATES}


@pytest.mark.long
@pytest.mark.timeout(3 * 3600)
def test_every_fault_in_every_state(
    world: World, record_property: Callable[[str, object], None]
) -> None:
    lines = [f"| Fault | {' | '.join(STATES)} |", "| --- |" + " --- |" * len(STATES)]
    for bad in FAULTS:
        outcomes = [play(world, bad, state) for state in STATES]
        lines.append(f"| {bad.name} | {' | '.join(outcomes)} |")
    settings = world.settings
    head = HEAD.format(
        park=settings.mount_park_wait_s,
        monitor=settings.safety_poll_s,
        weather=settings.weather.poll_s,
        silence=settings.telescope_silence_s,
        limit=closes_within_s(settings),
    )
    PAGE.write_text(head + "\n".join(lines) + "\n" + FOOT)
    record_property("cells", len(FAULTS) * len(STATES))
