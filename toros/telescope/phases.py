"""The phases of the night. Each does one small thing and says where to go, or None to go on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from toros.common.config.telescope import Mode
from toros.common.errors import (
    DeviceError,
    DeviceUnreachable,
    NotObservable,
    NotSafe,
    PeerError,
)
from toros.sky.night import local_mean_noon
from toros.telescope import focus, target_queue
from toros.telescope.calibration_frames import has_darks, missing, wanted_flats
from toros.telescope.closing import closing
from toros.telescope.cooling import is_cold, start_cooling
from toros.telescope.flat_phases import morning_flats, twilight_flats
from toros.telescope.frames import take
from toros.telescope.handover import announce_alerts
from toros.telescope.holding import holding
from toros.telescope.left_tracking import mind
from toros.telescope.meanwhile import meanwhile
from toros.telescope.mode import mode_of
from toros.telescope.motion import open_dome, rest
from toros.telescope.night import Night
from toros.telescope.night_state import NightState, Transition
from toros.telescope.observation import Ending, Outcome, observe
from toros.telescope.plan import Block, LeftOut
from toros.telescope.scheduler import PlanTarget
from toros.telescope.state import Telescope
from toros.telescope.tonight import is_over, lead_s, sun_now, tonight_plan, why_over
from toros.telescope.waiting import tell_idle, tell_wait

log = logging.getLogger(__name__)

# The dome opens so long before the first target, so that the air in it settles.
OPEN_BEFORE_S = 600.0
# For a shorter wait the mount is not stopped.
REST_BEFORE_S = 60.0
TARGETS_THAT_ACCUSE = 2  # so many failing in a row accuse a device
ASIDE_S = 300.0  # a target that cannot be pointed at now may be later: behind a tree, before a flip
FORGIVING_HOLDS = 3  # after so many such holds the attempts count all the same
# Moving the focuser and reading out one frame of a focus run: an allowance.
FOCUS_FRAME_S = 10.0


def resting(night: Night) -> Transition | None:
    """Wait for an order; a halted night still closes at dawn, a set one opens by itself."""
    if night.state is NightState.CLOSED and opens_by_itself(night):
        night.open(cause="the Sun is low: the night opens by itself")
        return None
    if night.state is NightState.HALTED and is_over(night):
        return Transition(NightState.CLOSING, "dawn, after an abort")
    mind(night.telescope)
    night.telescope.pause(5.0)
    return None


def opens_by_itself(night: Night) -> bool:
    """Return whether an autonomous night begins now: never after midnight, nor once it was closed.

    What a person closed stays closed, whatever restarts; a night that was only prepared opens.
    """
    telescope = night.telescope
    limit = telescope.settings.opens_below_sun_deg
    if limit is None or night.ended == telescope.tonight():
        return False
    noon = local_mean_noon(telescope.site, telescope.tonight())
    evening = telescope.clock.now() - noon < timedelta(hours=12)
    return evening and sun_now(telescope) <= limit and mode_of(telescope) is Mode.AUTONOMOUS


def preparing(night: Night) -> Transition | None:
    """Take one bias or dark with the dome closed, until the twilight begins."""
    telescope, memory = night.telescope, night.memory
    if is_over(night):
        return Transition(NightState.CLOSING, why_over(night))
    start_cooling(night)
    if not memory.checked:
        memory.checked = True
        _check_devices(telescope)
        tonight_plan(telescope)  # loads its tables, so that the first decision is quick
    lacking = next(missing(telescope), None)
    if night.prepare_only and lacking is None:
        return Transition(NightState.CLOSED, "prepared")
    if (
        not night.prepare_only
        and sun_now(telescope) <= telescope.settings.flats.sun_altitude_deg[0]
    ):
        left = "biases and darks are complete" if lacking is None else "darks are left for later"
        return Transition(NightState.TWILIGHT_FLATS, f"the Sun is down; {left}")
    if not telescope.look_at_dome().closed:
        telescope.doing = "closing the dome"
        telescope.dome.close()
    if not is_cold(night):
        telescope.doing = "cooling the camera"
        telescope.pause(10.0)
    elif lacking is None:
        telescope.doing = "waiting for the twilight"
        telescope.pause(20.0)
    else:
        with telescope.hardware(f"{lacking.image_type} of {lacking.exptime_s:g} s"):
            take(telescope, lacking)
    return None


def _check_devices(telescope: Telescope) -> None:
    """Ask every device once before the night, and say which do not answer while people are up."""
    troubles = telescope.devices.check()
    view = telescope.look_at_dome()
    if view.shutter == "unknown":
        troubles["dome"] = view.trouble
    for name, trouble in troubles.items():
        telescope.record(
            "devices",
            f"Before the night, {name}: {trouble}",
            level="warning",
            code=DeviceError.code,
            data={"device": name},
        )
    if not troubles:
        telescope.record("devices", "Before the night: every device and the dome answer.")


def observing(night: Night) -> Transition | None:
    """Observe the best target now, wait for the next, or end the night."""
    telescope, memory = night.telescope, night.memory
    if is_over(night):
        return _dawn(night)
    view = telescope.look_at_dome()
    if not view.safe:
        return Transition(NightState.HOLDING, f"not safe: {view.trouble}")
    start_cooling(night)
    # What has just failed is tried again after another: that tells a bad target from a bad device.
    now = telescope.clock.monotonic()
    aside = {entry for entry, until in memory.aside.items() if until > now}
    plan = tonight_plan(telescope, without=memory.failing | aside)
    if not plan.blocks and memory.failing:
        plan = tonight_plan(telescope, without=aside)
    if not plan.blocks:
        plan = tonight_plan(telescope, without=aside, most_frames=1)
    if has_darks(telescope):
        announce_alerts(telescope, {block.target.key for block in plan.blocks})
    if not plan.blocks:
        return _idle(night, plan.left_out)
    memory.idle_since = None
    first = plan.blocks[0]
    # A block begins on target: the way there comes before it.
    wait_s = first.start.timestamp() - lead_s(telescope, first.target) - telescope.clock.unix()
    why = _focus_is_due(telescope, first.target, wait_s)
    if why:
        with telescope.hardware("a focus run"):
            open_dome(telescope)
            focus.run(telescope, why, first.target.filter or telescope.settings.filter)
        return None
    if wait_s <= 0:
        return _observe(night, first.target)
    return _wait(night, first, wait_s, memory.failing | aside)


def _wait(night: Night, first: Block, wait_s: float, without: set[int]) -> Transition | None:
    """Begin something else while the plan's first block is waited for, or wait a while."""
    telescope = night.telescope
    begun = meanwhile(telescope, first, without=without)
    if begun is not None:
        return _observe(night, begun, until=begun.expires)
    if wait_s <= OPEN_BEFORE_S:
        with telescope.hardware("opening the dome"):
            open_dome(telescope)
    if wait_s > REST_BEFORE_S:
        rest(telescope)
    tell_wait(night, first, wait_s)
    telescope.pause(min(wait_s, 60.0))
    return None


def _observe(
    night: Night, target: PlanTarget, *, until: datetime | None = None
) -> Transition | None:
    """Observe a target now, until another's time comes."""
    telescope, entry = night.telescope, target.key
    with telescope.hardware(target.name):
        open_dome(telescope)
        night.memory.waits_told.clear()
        return _after(night, entry, observe(telescope, entry, until=until))


def _focus_is_due(telescope: Telescope, target: PlanTarget, wait_s: float) -> str:
    """Return why a focus run is made now; empty if not. An alert never waits for one."""
    settings = telescope.settings.focus
    lasts_s = settings.points * (settings.exptime_s + FOCUS_FRAME_S) + telescope.settings.overhead_s
    if target.alerted is not None and wait_s < lasts_s:
        return ""
    if sun_now(telescope) > settings.sun_altitude_deg:
        return ""
    return focus.wants_run(telescope, target.filter or telescope.settings.filter)


def _dawn(night: Night) -> Transition:
    """Return where the night goes when no dark time is left: to the flats that it lacks."""
    telescope = night.telescope
    flats = telescope.settings.flats
    dusk = night.date is None or night.date != telescope.tonight()
    if dusk or not flats.morning or not wanted_flats(telescope):
        return Transition(NightState.CLOSING, why_over(night))
    if sun_now(telescope) > flats.sun_altitude_deg[0]:
        return Transition(NightState.CLOSING, why_over(night))
    return Transition(NightState.MORNING_FLATS, f"{why_over(night)}; flats are lacking")


def _after(night: Night, entry: int, outcome: Outcome) -> Transition | None:
    """Go on after an observation, or hold when what failed would fail for every target."""
    telescope, memory = night.telescope, night.memory
    if outcome.ending is Ending.DONE:
        memory.failing.clear()
    if outcome.ending in (Ending.AGAIN, Ending.FAILED):
        return _after_failure(night, entry, outcome)
    if outcome.ending is not Ending.STOPPED:
        return None
    if isinstance(outcome.cause, NotObservable):
        memory.aside[entry] = telescope.clock.monotonic() + ASIDE_S
    if isinstance(outcome.cause, NotSafe | DeviceUnreachable | PeerError):
        return Transition(NightState.HOLDING, outcome.reason)
    view = telescope.dome_view
    return None if view.safe else Transition(NightState.HOLDING, f"not safe: {view.trouble}")


def _after_failure(night: Night, entry: int, outcome: Outcome) -> Transition | None:
    """Hold when two targets failed one after the other: it is not the targets.

    They are queued as if they had not been tried, unless that has been so before.
    """
    telescope, memory = night.telescope, night.memory
    memory.failing.add(entry)
    if len(memory.failing) < TARGETS_THAT_ACCUSE:
        return None
    memory.device_holds += 1
    if memory.device_holds <= FORGIVING_HOLDS:
        with telescope.sessions.begin() as session:
            target_queue.forgive(session, memory.failing)
    memory.failing.clear()
    return Transition(
        NightState.HOLDING, f"{TARGETS_THAT_ACCUSE} targets in a row failed: {outcome.reason}"
    )


def _idle(night: Night, left_out: Sequence[LeftOut]) -> Transition | None:
    """Wait a while for new targets when none is left, then end the night."""
    telescope, memory = night.telescope, night.memory
    now = telescope.clock.monotonic()
    if memory.idle_since is None:
        memory.idle_since = now
    tell_idle(night, left_out)
    settings = telescope.settings
    idle_s = now - memory.idle_since
    if settings.close_when_done and idle_s >= settings.idle_before_close_s:
        return Transition(NightState.CLOSING, "nothing that is left can be observed tonight")
    rest(telescope)
    telescope.pause(30.0)
    return None


PHASES: dict[NightState, Callable[[Night], Transition | None]] = {
    NightState.CLOSED: resting,
    NightState.PREPARING: preparing,
    NightState.TWILIGHT_FLATS: twilight_flats,
    NightState.OBSERVING: observing,
    NightState.MORNING_FLATS: morning_flats,
    NightState.HOLDING: holding,
    NightState.CLOSING: closing,
    NightState.HALTED: resting,
}
