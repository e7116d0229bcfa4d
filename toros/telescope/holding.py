"""Holding: parked and closed until it has been safe for a while."""

from __future__ import annotations

from toros.common.errors import DeviceError, TorosError
from toros.telescope.motion import stop_motion
from toros.telescope.night import Night
from toros.telescope.night_state import NightState, Transition
from toros.telescope.state import Telescope
from toros.telescope.tonight import is_over, sun_now, why_over


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
        memory.well_since = None
        telescope.pause(telescope.settings.dome_poll_s)
        return None
    # Weather may come back and is waited out for long, a device that answers again only shortly.
    now = telescope.clock.monotonic()
    if memory.well_since is None:
        memory.well_since = now
    well_s = now - memory.well_since
    safe_s = now - telescope.unsafe_at
    settings = telescope.settings
    if safe_s < settings.resume_after_safe_s or well_s < settings.resume_after_device_s:
        telescope.pause(settings.dome_poll_s)
        return None
    why = f"it has been safe for {safe_s:.0f} s, and the devices have answered for {well_s:.0f} s"
    return Transition(_state_by_sun(night), why)


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
