"""The end of a night: park, close, read back, and hand the files over."""

from __future__ import annotations

import logging
from collections.abc import Callable

from toros.common.errors import (
    Cancelled,
    DomeNotReady,
    Interrupted,
    TorosError,
)
from toros.telescope.calibration_frames import missing
from toros.telescope.cooling import warm_up
from toros.telescope.frames import night_counts, take
from toros.telescope.handover import announce
from toros.telescope.motion import stop_motion
from toros.telescope.night import Night
from toros.telescope.night_state import NightState, Transition
from toros.telescope.tonight import left_out_tonight, note_left_out

log = logging.getLogger(__name__)

ATTEMPTS = 2
# The shutter is tried for ever, and the admins hear of it again after so many attempts.
REMIND_AFTER = 20
RETRY_S = 15.0


def closing(night: Night) -> Transition | None:
    """Do the next step of closing; the shutter is the one that must succeed."""
    memory = night.memory
    for name, work in STEPS.items():
        if name in memory.closing_done:
            continue
        night.telescope.doing = f"closing: {name}"
        try:
            more = work(night)
        except (Interrupted, Cancelled):
            raise
        except TorosError as error:
            _failed(night, name, error)
            return None
        memory.closing_failures = 0
        if not more:
            memory.closing_done.append(name)
        return None
    night.telescope.doing = "nothing"
    return Transition(NightState.CLOSED, "telescope parked, dome closed")


def _failed(night: Night, name: str, error: TorosError) -> None:
    """Record a failed step; try it again, or go on without what safety does not need."""
    memory = night.memory
    if memory.closing_failures % REMIND_AFTER == 0:
        night.telescope.problem(f"Closing, {name}", error, night=str(night.date))
    memory.closing_failures += 1
    if name != "close the dome" and memory.closing_failures >= ATTEMPTS:
        memory.closing_failures = 0
        memory.closing_done.append(name)
    else:
        night.telescope.pause(RETRY_S)


def _stop(night: Night) -> bool:
    stop_motion(night.telescope)
    return False


def _park(night: Night) -> bool:
    night.telescope.devices.mount.park(night.telescope.settings.park_timeout_s)
    return False


def _close_dome(night: Night) -> bool:
    telescope = night.telescope
    telescope.dome.close()
    view = telescope.look_at_dome()
    if not view.closed:
        raise DomeNotReady(f"the dome is not closed: its shutter reads {view.shutter}")
    telescope.record("dome", "The dome is closed.")
    return False


def _park_dome(night: Night) -> bool:
    night.telescope.dome.park()
    return False


def _take_missing(night: Night) -> bool:
    """Take one bias or dark that the night lacks; return whether there may be more.

    A person who closes the night wants it closed now; a night that a restart found long over
    lacks nothing any more.
    """
    telescope = night.telescope
    if night.memory.ended_by_order or night.date != telescope.tonight():
        return False
    lacking = next(missing(telescope), None)
    if lacking is None:
        return False
    with telescope.hardware(f"{lacking.image_type} of {lacking.exptime_s:g} s"):
        take(telescope, lacking)
    return True


def _report(night: Night) -> bool:
    """Record what the night gave and why each other target was left out; announce its files."""
    telescope = night.telescope
    left_out = left_out_tonight(night)
    note_left_out(telescope, left_out)
    for left in left_out:
        telescope.record(
            "left_out",
            f"{left.target.name} was left out: {left.reason}",
            data={"observation": left.target.key, "target": left.target.name},
        )
    night_date = night.date or telescope.tonight()
    with telescope.sessions() as session:
        counts = night_counts(telescope, session, night_date)
    kinds = {
        kind: sum(number for (each, _, _), number in counts.items() if each == kind)
        for kind in sorted({kind for kind, _, _ in counts})
    }
    said = ", ".join(f"{number} {kind}" for kind, number in kinds.items()) or "no frames"
    telescope.record(
        "night",
        f"Night {night_date} is over: {said}; targets left out: {len(left_out)}.",
        data={"night": str(night_date), "frames": kinds, "left_out": len(left_out)},
    )
    if kinds:
        announce(telescope, night_date, sum(kinds.values()))
    return False


def _hand_over(night: Night) -> bool:
    """Tell the preprocessor now; if it does not hear, the handover's own loop goes on trying."""
    night.handover.tell()
    return False


STEPS: dict[str, Callable[[Night], bool]] = {
    "stop": _stop,
    "park the mount": _park,
    "close the dome": _close_dome,
    "park the dome": _park_dome,
    "take missing biases and darks": _take_missing,
    "report": _report,
    "tell the preprocessor": _hand_over,
    "warm the camera": warm_up,
}
