"""The phases of the night. Each does one small thing and says where to go, or None to go on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from toros.common.errors import (
    DeviceError,
    DeviceUnreachable,
    DomeNotReady,
    NotSafe,
    PeerError,
    TorosError,
)
from toros.telescope.calibration_frames import FlatRun, missing, wanted_flats
from toros.telescope.closing import closing
from toros.telescope.frames import take
from toros.telescope.motion import stop_motion
from toros.telescope.night import Night, NightState, Transition
from toros.telescope.observation import Ending, Outcome, observe
from toros.telescope.state import Telescope
from toros.telescope.tonight import is_over, sun_now, tonight_plan, why_over

log = logging.getLogger(__name__)

# The dome opens so long before the first target, so that the air in it settles.
OPEN_BEFORE_S = 600.0


def resting(night: Night) -> Transition | None:
    """Wait for an order; a halted night still closes at dawn."""
    if night.state is NightState.HALTED and is_over(night):
        return Transition(NightState.CLOSING, "dawn, after an abort")
    night.telescope.pause(5.0)
    return None


def preparing(night: Night) -> Transition | None:
    """Take one bias or dark with the dome closed, until the twilight begins."""
    telescope = night.telescope
    if is_over(night):
        return Transition(NightState.CLOSING, why_over(night))
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
    if not _is_cold(night):
        telescope.doing = "cooling the camera"
        telescope.pause(10.0)
    elif lacking is None:
        telescope.doing = "waiting for the twilight"
        telescope.pause(20.0)
    else:
        with telescope.hardware(f"{lacking.image_type} of {lacking.exptime_s:g} s"):
            take(telescope, lacking)
    return None


def _is_cold(night: Night) -> bool:
    """Start the cooler, and return whether frames can be taken."""
    telescope, memory = night.telescope, night.memory
    settings = telescope.settings
    set_point = telescope.instrument().set_point_c
    if set_point is None:
        return True
    now = telescope.clock.now()
    if memory.cooling_since is None:
        telescope.devices.camera.cool(set_point)
        memory.cooling_since = now
    temperature = telescope.devices.camera.temperature()
    if temperature is None or abs(temperature - set_point) <= settings.cooling_tolerance_c:
        return True
    if now - memory.cooling_since <= timedelta(seconds=settings.cooling_timeout_s):
        return False
    if not memory.told_of_warmth:
        memory.told_of_warmth = True
        error = DeviceError(f"it is at {temperature:.1f} °C, not at {set_point:g} °C")
        telescope.problem("The camera does not get cold", error)
    return True


def twilight_flats(night: Night) -> Transition | None:
    """Take one flat, or wait for the sky to grow fainter."""
    telescope, memory = night.telescope, night.memory
    if memory.flats is None:
        memory.flats = FlatRun(wanted_flats(telescope))
    run = memory.flats
    if run.bands and sun_now(telescope) > telescope.settings.flats.sun_altitude_deg[0]:
        # What led here early was a failure: the dome stays closed until the Sun is down.
        telescope.pause(20.0)
        return None
    if run.bands and sun_now(telescope) < telescope.settings.flats.sun_altitude_deg[1]:
        for band in run.bands:
            run.skipped.setdefault(band or "no filter", "the twilight is over")
        run.bands = []
    if not run.bands:
        return _flats_are_done(telescope, run)
    view = telescope.look_at_dome()
    if not view.safe:
        return Transition(NightState.HOLDING, f"not safe: {view.trouble}")
    with telescope.hardware("twilight flats"):
        _open_dome(telescope)
        wait_s = run.step(telescope)
    if wait_s is not None:
        telescope.doing = "waiting for the sky to grow fainter"
        telescope.pause(wait_s)
    return None


def _flats_are_done(telescope: Telescope, run: FlatRun) -> Transition:
    for band, why in run.skipped.items():
        telescope.record("flats", f"Flats in {band} are incomplete: {why}", level="warning")
    return Transition(NightState.OBSERVING, f"{run.taken} flats were taken")


def observing(night: Night) -> Transition | None:
    """Observe the best target now, wait for the next, or end the night."""
    telescope, memory = night.telescope, night.memory
    if is_over(night):
        return Transition(NightState.CLOSING, why_over(night))
    view = telescope.look_at_dome()
    if not view.safe:
        return Transition(NightState.HOLDING, f"not safe: {view.trouble}")
    plan = tonight_plan(telescope)
    if not plan.blocks:
        return _idle(night)
    memory.idle_since = None
    first = plan.blocks[0]
    wait_s = first.start.timestamp() - telescope.clock.unix()
    if wait_s <= 0:
        with telescope.hardware(first.target.name):
            _open_dome(telescope)
            return _after(night, observe(telescope, first.target.key))
    if wait_s <= OPEN_BEFORE_S:
        with telescope.hardware("opening the dome"):
            _open_dome(telescope)
    telescope.doing = f"waiting until {first.start:%H:%M:%S} UTC for {first.target.name}"
    telescope.pause(min(wait_s, 60.0))
    return None


def _after(night: Night, outcome: Outcome) -> Transition | None:
    """Go on after an observation, or hold when what failed would fail for every target."""
    if outcome.ending is not Ending.STOPPED:
        return None
    if isinstance(outcome.cause, NotSafe | DeviceUnreachable | PeerError):
        return Transition(NightState.HOLDING, outcome.reason)
    view = night.telescope.dome_view
    return None if view.safe else Transition(NightState.HOLDING, f"not safe: {view.trouble}")


def _idle(night: Night) -> Transition | None:
    """Wait a while for new targets when none is left, then end the night."""
    telescope, memory = night.telescope, night.memory
    now = telescope.clock.now()
    if memory.idle_since is None:
        memory.idle_since = now
    telescope.doing = "waiting for targets"
    settings = telescope.settings
    idle_s = (now - memory.idle_since).total_seconds()
    if settings.close_when_done and idle_s >= settings.idle_before_close_s:
        return Transition(NightState.CLOSING, "nothing that is left can be observed tonight")
    telescope.pause(30.0)
    return None


def holding(night: Night) -> Transition | None:
    """Wait, parked, until it has been safe for a while and the devices answer."""
    telescope, memory = night.telescope, night.memory
    if is_over(night):
        return Transition(NightState.CLOSING, why_over(night))
    telescope.doing = f"holding: {night.cause}"
    if not memory.parked:
        _park_and_close(telescope)
        memory.parked = True
    view = telescope.look_at_dome()
    trouble = view.trouble if not view.safe else _devices_trouble(telescope)
    if trouble:
        memory.safe_since = None
        telescope.pause(telescope.settings.dome_poll_s)
        return None
    now = telescope.clock.now()
    memory.safe_since = memory.safe_since or now
    safe_s = (now - memory.safe_since).total_seconds()
    if safe_s < telescope.settings.resume_after_safe_s:
        telescope.pause(telescope.settings.dome_poll_s)
        return None
    return Transition(_state_by_sun(night), f"it has been safe for {safe_s:.0f} s")


def _park_and_close(telescope: Telescope) -> None:
    """Bring everything to safety; what fails is recorded, for the dome minds its own safety."""
    stop_motion(telescope)
    try:
        telescope.devices.mount.park(telescope.settings.park_timeout_s)
    except TorosError as error:
        telescope.problem("Holding, parking the mount", error)
    try:
        telescope.dome.close()
    except TorosError as error:
        telescope.problem("Holding, closing the dome", error)


def _devices_trouble(telescope: Telescope) -> str:
    """Return which device does not answer; empty if all do."""
    try:
        telescope.devices.mount.state()
        telescope.devices.camera.temperature()
    except DeviceError as error:
        return error.message
    return ""


def _state_by_sun(night: Night) -> NightState:
    """Return where a held night goes on: where the Sun's altitude says."""
    sun, flats = sun_now(night.telescope), night.telescope.settings.flats
    if sun > flats.sun_altitude_deg[0]:
        return NightState.PREPARING
    return NightState.TWILIGHT_FLATS if sun > flats.sun_altitude_deg[1] else NightState.OBSERVING


def _open_dome(telescope: Telescope) -> None:
    """Open the dome if it is not open, and read it back."""
    if telescope.dome_view.open:
        return
    telescope.dome.open(telescope.interrupt.event)
    view = telescope.look_at_dome()
    if not view.open:
        raise DomeNotReady(f"the dome did not open: its shutter reads {view.shutter}")
    telescope.record("dome", "The dome is open.")


PHASES: dict[NightState, Callable[[Night], Transition | None]] = {
    NightState.CLOSED: resting,
    NightState.PREPARING: preparing,
    NightState.TWILIGHT_FLATS: twilight_flats,
    NightState.OBSERVING: observing,
    NightState.HOLDING: holding,
    NightState.CLOSING: closing,
    NightState.HALTED: resting,
}
