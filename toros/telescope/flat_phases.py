"""The two phases in which the sky is photographed for itself: at dusk and at dawn."""

from __future__ import annotations

from toros.telescope.calibration_frames import wanted_flats
from toros.telescope.cooling import start_cooling
from toros.telescope.flat_run import FlatRun
from toros.telescope.motion import open_dome
from toros.telescope.night import Night
from toros.telescope.night_state import NightState, Transition
from toros.telescope.state import Telescope
from toros.telescope.tonight import sun_now


def twilight_flats(night: Night) -> Transition | None:
    """Take one flat, or wait for the sky to grow fainter."""
    telescope, memory = night.telescope, night.memory
    high, low = telescope.settings.flats.sun_altitude_deg
    sun = sun_now(telescope)
    if sun > high:
        # What led here early was a failure: the dome stays closed until the Sun is down.
        telescope.pause(20.0)
        return None
    if sun < low and memory.flats is None:
        return Transition(NightState.OBSERVING, "the twilight is over")
    if memory.flats is None:
        memory.flats = FlatRun(wanted_flats(telescope))
    if sun < low:
        _skip(memory.flats, "the twilight is over")
    start_cooling(night)
    return _flat(night, memory.flats) or _flats_are_done(
        telescope, memory.flats, NightState.OBSERVING
    )


def morning_flats(night: Night) -> Transition | None:
    """Take one of the flats that the evening left, or wait for the sky to grow brighter."""
    telescope, memory = night.telescope, night.memory
    high, _ = telescope.settings.flats.sun_altitude_deg
    if memory.morning is None:
        memory.morning = FlatRun(wanted_flats(telescope)[::-1], rising=True)
    if sun_now(telescope) > high or night.date != telescope.tonight():
        _skip(memory.morning, "the Sun is up")
    view = telescope.look_at_dome()
    if not view.safe:
        return Transition(NightState.CLOSING, f"not safe: {view.trouble}")
    return _flat(night, memory.morning) or _flats_are_done(
        telescope, memory.morning, NightState.CLOSING
    )


def _skip(run: FlatRun, why: str) -> None:
    for band in run.bands:
        run.skipped.setdefault(band or "no filter", why)
    run.bands.clear()


def _flat(night: Night, run: FlatRun) -> Transition | None:
    """Do one step of a run of flats."""
    telescope = night.telescope
    if not run.bands:
        return None
    view = telescope.look_at_dome()
    if not view.safe:
        return Transition(NightState.HOLDING, f"not safe: {view.trouble}")
    with telescope.hardware("twilight flats"):
        open_dome(telescope)
        wait_s = run.step(telescope)
    if wait_s is not None:
        telescope.doing = "waiting for the sky's light"
        telescope.pause(wait_s)
    return None


def _flats_are_done(telescope: Telescope, run: FlatRun, onward: NightState) -> Transition | None:
    if run.bands:
        return None
    for band, why in run.skipped.items():
        telescope.record("flats", f"Flats in {band} are incomplete: {why}", level="warning")
    return Transition(onward, f"{run.taken} flats were taken")
