"""What is begun while the next block of the plan is waited for, though there it is not finished."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np

from toros.common.config.telescope import TelescopeSettings
from toros.sky.earth import dots, unit_vectors
from toros.sky.site import Site
from toros.telescope.plan import Block, make_plan
from toros.telescope.preemption import wanted_now
from toros.telescope.problem import Pointing
from toros.telescope.scheduler import PlanTarget
from toros.telescope.state import Telescope
from toros.telescope.tonight import lead_s


def meanwhile(
    telescope: Telescope, block: Block, *, without: Collection[int] = ()
) -> PlanTarget | None:
    """Return what can be begun now, while `block` is waited for; None if there is nothing.

    It expires when the way to that block must begin. `without` are entries that are left alone.
    """
    targets = [target for target in wanted_now(telescope) if target.key not in without]
    here = Pointing(*telescope.pointed) if telescope.pointed else Pointing()
    now, night = telescope.clock.now(), telescope.tonight()
    first = first_before(telescope.site, night, targets, telescope.settings, block, now, here)
    if first is None:
        return None
    wait_s = first.start.timestamp() - lead_s(telescope, first.target) - telescope.clock.unix()
    return first.target if wait_s <= 0 else None


def first_before(
    site: Site,
    night: date,
    targets: Sequence[PlanTarget],
    settings: TelescopeSettings,
    block: Block,
    now: datetime,
    here: Pointing,
) -> Block | None:
    """Return the first block of the best plan of single frames before `block`; None if none fits.

    Each target expires when the way from it to `block` must begin.
    """
    if not targets:
        return None
    then = block.target
    there = unit_vectors([then.ra_deg], [then.dec_deg])
    these = unit_vectors([t.ra_deg for t in targets], [t.dec_deg for t in targets])
    angles = np.degrees(np.arccos(np.clip(dots(these, there)[:, 0], -1.0, 1.0)))
    singles = []
    for target, angle in zip(targets, angles, strict=True):
        way_s = float(angle) / settings.slew_rate_deg_s
        if (target.filter or settings.filter) != (then.filter or settings.filter):
            way_s = max(way_s, settings.filter_change_s)
        leaves = block.start - timedelta(seconds=way_s)
        expires = min(target.expires, leaves) if target.expires else leaves
        singles.append(replace(target, count=1, expires=expires))
    plan = make_plan(site, night, singles, settings, after=now, here=here)
    return plan.blocks[0] if plan.blocks else None
