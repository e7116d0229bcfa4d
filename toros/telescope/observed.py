"""The night as it went, in the shape of a plan, so that the same plot draws both."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np

from toros.archive.models import Exposure, Observation
from toros.sky.site import Site
from toros.sky.visibility import airmass, altaz
from toros.telescope.plan import Block, LeftOut, Plan
from toros.telescope.scheduler import PlanTarget


def plan_target(entry: Observation) -> PlanTarget:
    """Return a queue entry as the scheduler and the plot know it."""
    return PlanTarget(
        name=entry.name,
        ra_deg=entry.ra,
        dec_deg=entry.dec,
        exptime_s=entry.exptime,
        count=entry.count,
        filter=entry.filter,
        priority=entry.priority,
        weight=entry.weight or 1.0,
        key=entry.id,
    )


def observed_plan(
    site: Site, night: date, entries: Sequence[Observation], lights: Sequence[Exposure]
) -> Plan:
    """Return what was observed when.

    Parameters
    ----------
    site : Site
    night : datetime.date
    entries : sequence of Observation
        The queue, as it stands at the end.
    lights : sequence of Exposure
        The night's light frames.

    Returns
    -------
    Plan
        A block for each entry from its first frame to the end of its last; the others are left
        out with the queue's reason. The score is the sum of weight · minutes exposed.
    """
    blocks, left_out, score = [], [], 0.0
    for entry in entries:
        target = plan_target(entry)
        frames = [item for item in lights if item.observation_id == entry.id and item.date_obs]
        if not frames:
            left_out.append(LeftOut(target=target, reason=entry.reason or entry.state))
            continue
        blocks.append(_block(site, target, frames))
        score += target.weight * sum(frame.exptime or 0.0 for frame in frames) / 60.0
    blocks.sort(key=lambda block: block.start)
    return Plan(site=site, night=night, blocks=tuple(blocks), left_out=tuple(left_out), score=score)


def _block(site: Site, target: PlanTarget, frames: Sequence[Exposure]) -> Block:
    starts = [frame.date_obs for frame in frames if frame.date_obs is not None]
    start = min(starts)
    end = max(starts) + timedelta(seconds=frames[-1].exptime or 0.0)
    unix = np.array([start.timestamp(), end.timestamp()])
    altitude, _ = altaz(site, unix, np.array([target.ra_deg]), np.array([target.dec_deg]))
    first, last = airmass(altitude)[0]
    return Block(
        target=target, start=start, end=end, airmass_start=float(first), airmass_end=float(last)
    )
