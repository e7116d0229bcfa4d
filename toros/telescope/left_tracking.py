"""A mount that people left tracking: it is stopped before it meets the horizon or its pier."""

from __future__ import annotations

from toros.alpaca import MountState
from toros.common.errors import DeviceError
from toros.telescope.meridian import hours_past
from toros.telescope.pointing import altaz_at, horizon_at
from toros.telescope.state import Telescope


def mind(telescope: Telescope) -> None:
    """Stop a tracking mount at its limits, while no order uses it.

    After an abort or a pointing by hand nobody may look at it any more, for the rest of the night.
    """
    if telescope.pointed is None:
        return  # it is parked, or was not sent anywhere
    with telescope.if_free() as free:
        if not free:
            return
        mount = telescope.devices.mount
        try:
            state = mount.state()
            if state.at_park:
                telescope.pointed = None
            elif state.tracking and not state.slewing and (why := _limit(telescope, state)):
                mount.set_tracking(False)
                telescope.record("mount", f"Tracking was stopped: {why}.", level="warning")
        except DeviceError as error:
            telescope.pointed = None  # once: it may be switched off, and people know
            telescope.problem("The mount may be tracking, and cannot be asked", error)


def _limit(telescope: Telescope, state: MountState) -> str:
    """Return which limit the mount has reached; empty if none."""
    unix, settings = telescope.clock.unix(), telescope.settings
    altitude, azimuth = altaz_at(telescope.site, unix, state.ra_deg, state.dec_deg)
    horizon = horizon_at(azimuth, settings)
    if altitude < horizon:
        return f"the telescope is at altitude {altitude:.1f}°, below its horizon of {horizon:g}°"
    limit_h = settings.meridian_limit_h
    if limit_h is None or state.side_of_pier != "west":
        return ""
    past_h = hours_past(telescope, state.ra_deg, state.dec_deg)
    if limit_h < past_h <= 6:
        return f"the telescope is {past_h:.2f} h past the meridian, and its limit is {limit_h:g} h"
    return ""
