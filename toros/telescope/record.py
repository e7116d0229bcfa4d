"""What a night became, as the archive has it, in the shape of a plan: for reports and plots."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from toros.archive.models import Exposure, Observation
from toros.common.config.telescope import TelescopeSettings
from toros.sky.night import local_mean_noon
from toros.sky.site import Site
from toros.sky.visibility import airmass, altaz
from toros.telescope import target_queue
from toros.telescope.plan import Block, LeftOut, Plan
from toros.telescope.scheduler import PlanTarget, merit


def observed_night(
    session: Session, site: Site, night: date, observatory: str, settings: TelescopeSettings
) -> Plan:
    """Return the blocks that were really observed in `night`, and the targets that were not.

    A block reaches from the start of the first to the end of the last frame of an entry of the
    queue. `plot_plan` draws it, and its JSON is that of a plan.
    """
    noon = local_mean_noon(site, night)
    query = (
        select(Observation, Exposure)
        .join(Exposure, Exposure.observation_id == Observation.id)
        .where(
            Observation.observatory == observatory,
            Exposure.date_obs >= noon,
            Exposure.date_obs < noon + timedelta(days=1),
        )
        .order_by(Exposure.date_obs)
    )
    frames: dict[int, list[Exposure]] = {}
    rows: dict[int, Observation] = {}
    for row, exposure in session.execute(query).tuples():
        rows[row.id] = row
        frames.setdefault(row.id, []).append(exposure)
    blocks = [_block(site, rows[key], taken, settings) for key, taken in frames.items()]
    left_out = [
        LeftOut(target=target_queue.plan_target(row, settings), reason=row.reason)
        for row in target_queue.open_entries(session, observatory)
        if row.id not in frames
    ]
    merits = merit([block.target for block in blocks])
    minutes = [(block.end - block.start).total_seconds() / 60 for block in blocks]
    return Plan(
        site=site,
        night=night,
        blocks=tuple(sorted(blocks, key=lambda block: block.start)),
        left_out=tuple(left_out),
        score=float(np.dot(merits, minutes)),
    )


def _block(
    site: Site, row: Observation, taken: Sequence[Exposure], settings: TelescopeSettings
) -> Block:
    starts = [each.date_obs for each in taken if each.date_obs is not None]
    ends = [
        each.date_obs + timedelta(seconds=each.exptime or 0.0)
        for each in taken
        if each.date_obs is not None
    ]
    start, end = min(starts), max(ends)
    altitude, _ = altaz(site, [start.timestamp(), end.timestamp()], [row.ra], [row.dec])
    first, last = airmass(altitude)[0]
    target: PlanTarget = target_queue.plan_target(row, settings)
    return Block(
        target=target, start=start, end=end, airmass_start=float(first), airmass_end=float(last)
    )
