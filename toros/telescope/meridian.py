"""The meridian of a German mount: seen coming before an exposure, never met during one."""

from __future__ import annotations

import logging

import numpy as np

from toros.common.errors import NotObservable
from toros.sky.visibility import hour_angle
from toros.telescope.motion import arrive, settle, slew
from toros.telescope.state import Telescope

log = logging.getLogger(__name__)

SIDEREAL_H_PER_S = 1.00273790935 / 3600.0
WAIT_SLICE_S = 5.0
# A mount may need to be a little past the meridian to choose the other side.
PAST_H = 0.01


def hours_past(telescope: Telescope, ra_deg: float, dec_deg: float) -> float:
    """Return the hour angle now, in hours: negative before the meridian."""
    now = np.array([telescope.clock.unix()])
    return float(hour_angle(telescope.site, now, [ra_deg], [dec_deg])[0, 0]) / 15.0


def ready_for(telescope: Telescope, ra_deg: float, dec_deg: float, exptime_s: float) -> None:
    """Flip now if an exposure that begins now would end beyond the limit, or refuse it.

    A mount that looks east has not flipped yet: its tube is west of the pier. If the meridian is
    still ahead, it is waited for, which lasts less than the exposure.

    Raises
    ------
    NotObservable
        When the mount does not change its side: the exposure would run into the limit.
    """
    limit_h = telescope.settings.meridian_limit_h
    if limit_h is None:
        return
    side = telescope.devices.mount.state().side_of_pier
    now_h = hours_past(telescope, ra_deg, dec_deg)
    if side != "west" or now_h + exptime_s * SIDEREAL_H_PER_S <= limit_h or now_h > 6:
        return
    telescope.doing = "waiting for the meridian"
    while hours_past(telescope, ra_deg, dec_deg) < PAST_H:
        telescope.clock.wait(telescope.interrupt.event, WAIT_SLICE_S)
        telescope.interrupt.check()
    telescope.doing = "flipping over the meridian"
    slew(telescope, ra_deg, dec_deg)
    arrive(telescope, ra_deg, dec_deg)
    settle(telescope)
    if telescope.devices.mount.state().side_of_pier == "west":
        raise NotObservable(
            f"the exposure would end {limit_h:g} h past the meridian, and the mount does not flip"
        )
    telescope.record("meridian", "The mount flipped over the meridian.")
