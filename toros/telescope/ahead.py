"""On the way to the next target while the last frame is read out and fetched."""

from __future__ import annotations

import logging

from toros.archive.models import Observation
from toros.archive.stages import SLEWING
from toros.common.errors import TorosError
from toros.telescope.motion import slew
from toros.telescope.scheduler import PlanTarget
from toros.telescope.stages import record_stage
from toros.telescope.state import Telescope
from toros.telescope.tonight import lead_s, tonight_plan

log = logging.getLogger(__name__)


def slew_on(telescope: Telescope, finished: int) -> None:
    """Send mount and dome to the target that comes after an entry whose last frame is exposed.

    Nothing is waited for, and what fails costs nothing: the frame is fetched all the same, and the
    next observation points again.
    """
    running = telescope.running
    if running is None or running.yield_to or telescope.interrupt.event.is_set():
        return
    if not telescope.dome_view.safe:
        return
    try:
        target = _next(telescope, finished)
        if target is None:
            return
        slew(telescope, target.ra_deg, target.dec_deg)
        telescope.ahead = (target.ra_deg, target.dec_deg)
        telescope.dome.start_following(target.ra_deg, target.dec_deg)
        with telescope.sessions() as session:
            row = session.get_one(Observation, target.key)
        record_stage(telescope, row, SLEWING)
    except TorosError as error:
        log.warning("Not on the way to the next target yet: %s", error.message)


def _next(telescope: Telescope, finished: int) -> PlanTarget | None:
    """Return the target that would be observed now; None if there is none, or it is waited for."""
    plan = tonight_plan(telescope, without={finished})
    if not plan.blocks:
        return None
    first = plan.blocks[0]
    wait_s = first.start.timestamp() - lead_s(telescope, first.target) - telescope.clock.unix()
    return first.target if wait_s <= 0 else None
