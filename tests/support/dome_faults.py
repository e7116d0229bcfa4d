"""The faults and the states of the fault matrix, each by a name that people read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.support.dome_world import World

Expected = Literal["closes", "closes later", "keeps on"]


@dataclass(frozen=True)
class Bad:
    """One row: what goes wrong, and what the dome must do about it.

    ``closes``: within the limit. ``closes later``: within the limit after the fault is over (the
    dome itself cannot be moved before). ``keeps on``: it is none of the dome's business.
    """

    name: str
    begin: Callable[[World], object]
    expected: Expected
    lasts_s: float = 0.0  # of closes later
    source: str = ""  # what must say in the end that it is unsafe
    silent_s: float = 0.0  # for how long nobody can know


def _fault(device: str, fault: str, **more: Any) -> Callable[[World], object]:
    return lambda world: world.fault(device=device, fault=fault, **more)


def _both(*works: Callable[[World], object]) -> Callable[[World], object]:
    return lambda world: [work(world) for work in works]


def _rain(world: World) -> None:
    world.weather(None, rain_rate=2.0)


def _unsafe(world: World) -> None:
    world.weather(False)


def _peer_dies(world: World) -> None:
    world.peer.alive = False


def _flag(world: World) -> Path:
    return Path(world.settings.commands[0].command[-1])


def _dome_module_dies(world: World) -> None:
    world.kill()
    world.at(30.0, world.run)


def _unanswered(device: str, words: str, source: str) -> list[Bad]:
    """Return every way in which a device whose word is needed can fail to give it."""
    return [
        Bad(f"{words} hangs", _fault(device, "hang"), "closes", source=source),
        Bad(f"{words} answers errors", _fault(device, "refuse"), "closes", source=source),
        Bad(f"{words}: HTTP 503", _fault(device, "refuse", status=503), "closes", source=source),
        Bad(f"{words} drops its connections", _fault(device, "drop"), "closes", source=source),
        Bad(f"{words} answers garbage", _fault(device, "garbage"), "closes", source=source),
    ]


def _sensor(name: str, value: object) -> Callable[[World], object]:
    return _fault("observingconditions", "wrong_value", member=name, value=value)


def _for(seconds: float, device: str, fault: str, **more: Any) -> Callable[[World], object]:
    return _fault(device, fault, duration_s=seconds, **more)


MONITOR, STATION = "safety monitor 0", "weather station 0"
TELESCOPE, LOCK = "telescope module", "operator's lock"

FAULTS: list[Bad] = [
    Bad("rain", _rain, "closes", source=STATION),
    Bad("the safety monitor says unsafe", _unsafe, "closes", source=MONITOR),
    *_unanswered("safetymonitor", "the safety monitor", MONITOR),
    Bad(
        "the safety monitor talks nonsense",
        _fault("safetymonitor", "wrong_value", member="issafe", value="maybe"),
        "closes",
        source=MONITOR,
    ),
    Bad(
        "rain, and the safety monitor is stuck at safe",
        _both(_fault("safetymonitor", "frozen_value", member="issafe"), _rain),
        "closes",
        source=STATION,
    ),
    *_unanswered("observingconditions", "the weather station", STATION),
    Bad("the rain sensor talks nonsense", _sensor("rainrate", None), "closes", source=STATION),
    Bad(
        "the rain sensor was last read 15 min ago",
        _sensor("timesincelastupdate", 900.0),
        "closes",
        source=STATION,
    ),
    Bad("the Sun rises", lambda world: world.at_sunrise(), "closes", source="Sun"),
    Bad(
        "the disk is full (a command says)",
        lambda world: _flag(world).unlink(),
        "closes",
        source="disk",
    ),
    Bad("the telescope module dies", _peer_dies, "closes", source=TELESCOPE, silent_s=72.0),
    Bad(
        "an operator locks",
        lambda world: world.order("lock_dome", reason="tests"),
        "closes",
        source=LOCK,
    ),
    Bad("rain, and the mount hangs", _both(_rain, _fault("telescope", "hang")), "closes"),
    Bad("rain, and the mount is stuck", _both(_rain, _fault("telescope", "stuck")), "closes"),
    Bad("rain, and the telescope module dies", _both(_rain, _peer_dies), "closes"),
    Bad(
        "rain, and the order to close is lost",
        _both(_rain, _fault("dome", "drop", member="closeshutter", count=1)),
        "closes",
    ),
    Bad(
        "rain, and the order to close is obeyed but not answered",
        _both(_rain, _fault("dome", "drop", member="closeshutter", count=1, done=True)),
        "closes",
    ),
    Bad(
        "rain, and the shutter is stuck for 2 min",
        _both(_rain, _for(120.0, "dome", "stuck", member="shutter")),
        "closes later",
        120.0,
    ),
    Bad(
        "rain, and the dome drops its connections for 2 min",
        _both(_rain, _for(120.0, "dome", "drop")),
        "closes later",
        120.0,
    ),
    Bad(
        "rain, and the dome module dies, and starts again 30 s later",
        _both(_rain, _dome_module_dies),
        "closes later",
        30.0,
    ),
    Bad(
        "the device server is down for 1 min",
        lambda world: world.observatory.restart(60.0),
        "closes later",
        60.0,
    ),
    Bad(
        "the power fails, and the shutter's place is forgotten",
        lambda world: world.observatory.restart(0.0, shutter_unknown=True),
        "closes",
    ),
    Bad(
        "the power fails for 1 min, and the shutter's place is forgotten",
        lambda world: world.observatory.restart(60.0, shutter_unknown=True),
        "closes later",
        60.0,
    ),
    Bad("the dome module dies, and starts again 30 s later", _dome_module_dies, "keeps on"),
    Bad("the mount hangs", _fault("telescope", "hang"), "keeps on"),
    Bad("the mount is stuck", _fault("telescope", "stuck"), "keeps on"),
    Bad("the dome's azimuth is stuck", _fault("dome", "stuck", member="azimuth"), "keeps on"),
    Bad("the camera hangs", _fault("camera", "hang"), "keeps on"),
    Bad("the filter wheel hangs", _fault("filterwheel", "hang"), "keeps on"),
    Bad(
        "one answer of the dome is lost", _fault("dome", "drop", count=1, method="GET"), "keeps on"
    ),
]


# States. Each brings the world to where it is, and calls `begin` in the middle of it.


def _closed(_world: World, begin: Callable[[], object]) -> None:
    begin()


def _opening(world: World, begin: Callable[[], object]) -> None:
    world.at(5.0, begin)
    world.order("open_dome")


def _opened(world: World) -> None:
    assert world.order("open_dome") is True


def _open(world: World, begin: Callable[[], object]) -> None:
    _opened(world)
    begin()


def _pointing(world: World, begin: Callable[[], object]) -> None:
    _opened(world)
    world.telescope_points()
    world.wait(1.0)
    begin()


def _exposing(world: World, begin: Callable[[], object]) -> None:
    _opened(world)
    world.telescope_points()
    ra, dec = world.target
    assert world.order("follow", ra=ra, dec=dec) is True
    world.wait(20.0)
    begin()


def _turning(world: World, begin: Callable[[], object]) -> None:
    _opened(world)
    world.at(3.0, begin)
    world.order("set_azim", azim=180.0)


def _closing(world: World, begin: Callable[[], object]) -> None:
    _opened(world)
    world.at(5.0, begin)
    world.order("close_dome")


def _holding(world: World, begin: Callable[[], object]) -> None:
    _opened(world)
    _unsafe(world)
    world.wait(40.0)
    begin()


STATES: dict[str, Callable[[World, Callable[[], object]], None]] = {
    "closed": _closed,
    "opening": _opening,
    "open, waiting": _open,
    "pointing": _pointing,
    "exposing": _exposing,
    "turning": _turning,
    "closing": _closing,
    "holding": _holding,
}
# What the dome ends as where the fault is none of its business.
AFTERWARDS = {"closed": 0.0, "closing": 0.0, "holding": 0.0}
