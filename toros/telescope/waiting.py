"""Why the telescope waits while it is dark: each wait is in the night's log, once, as it begins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from toros.common.clock import iso
from toros.common.config.telescope import TelescopeSettings
from toros.sky.site import Site
from toros.telescope.night import Night
from toros.telescope.plan import Block, LeftOut, block_s
from toros.telescope.scheduler import Constraint, PlanTarget, visibility

WAITING = "waiting"
# A shorter wait is no longer than the way from one target to the next.
SHORTEST_TOLD_S = 30.0
NOTHING = 0  # instead of an entry of the queue: there is none to wait for


def tell_wait(night: Night, block: Block, wait_s: float) -> None:
    """Record that nothing is observed until a block begins, and what its target waits for."""
    telescope, target = night.telescope, block.target
    telescope.doing = f"waiting until {block.start:%H:%M:%S} UTC for {target.name}"
    if wait_s < SHORTEST_TOLD_S or target.key in night.memory.waits_told:
        return
    why = not_yet(telescope.site, telescope.clock.now(), target, telescope.settings)
    night.memory.waits_told.add(target.key)
    telescope.record(
        WAITING,
        f"Nothing that is queued fits before {block.start:%H:%M:%S} UTC: "
        f"{target.name} is next, {why}.",
        data={"until": iso(block.start), "observation": target.key, "target": target.name},
    )


def tell_idle(night: Night, left_out: Sequence[LeftOut]) -> None:
    """Record that nothing that is queued can be observed in the rest of the night, and why."""
    telescope = night.telescope
    telescope.doing = "waiting for targets"
    if NOTHING in night.memory.waits_told:
        return
    night.memory.waits_told.add(NOTHING)
    why = "the queue is empty"
    if left_out:
        one = left_out[0]
        why = f"{len(left_out)} left out, for instance {one.target.name}: {one.reason}"
    telescope.record(
        WAITING,
        f"Nothing that is queued can be observed in the rest of the night: {why}.",
        data={"until": None, "left_out": len(left_out)},
    )


def not_yet(site: Site, now: datetime, target: PlanTarget, settings: TelescopeSettings) -> str:
    """Return, in words, what keeps the whole block of a target from beginning now."""
    grid = np.array([now.timestamp(), now.timestamp() + block_s(target, settings)])
    seen = visibility(site, grid, [target], settings.limits, settings.horizon)
    broken = [each for each, met in seen.allowed.items() if not met.all()]
    if not broken:
        return "planned for then"
    limits = target.limits or settings.limits
    height, moon = seen.altitude_deg[0, 0], seen.moon_separation_deg[0, 0]
    words = {
        Constraint.EXPIRED: "it expires before its frames are taken",
        Constraint.TOO_EARLY: f"wanted not before {target.not_before:%Y-%m-%d %H:%M} UTC"
        if target.not_before
        else "",
        Constraint.SUN: f"with the Sun at {seen.sun_altitude_deg[0]:.1f}° now, and at "
        f"{limits.max_sun_altitude_deg:g}° at most",
        Constraint.LOW: f"at altitude {height:.1f}° now, and at {limits.min_altitude_deg:g}° "
        "at least",
        Constraint.HORIZON: f"at altitude {height:.1f}° now, behind the mask of the horizon",
        Constraint.AIRMASS: f"at airmass {seen.airmass[0, 0]:.2f} now, and at "
        f"{limits.max_airmass:g} at most",
        Constraint.ZENITH: f"at altitude {height:.1f}° now, too near the zenith",
        Constraint.MOON: f"{moon:.1f}° from the Moon now, and at least "
        f"{limits.min_moon_separation_deg:g}° from it",
    }
    return words[broken[0]]
