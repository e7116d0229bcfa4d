"""What is planned for tonight, and whether there is still a night."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from toros.archive.models import Observation
from toros.telescope.night import Night
from toros.telescope.plan import LeftOut, Plan, dark_times, make_plan
from toros.telescope.pointing import sun_altitude_at
from toros.telescope.preemption import wanted_now
from toros.telescope.problem import Pointing, transitions
from toros.telescope.scheduler import PlanTarget
from toros.telescope.state import Telescope

NO_TIME = "observable tonight, but its time went to other targets or was lost"


def tonight_plan(
    telescope: Telescope, *, without: Collection[int] = (), most_frames: int | None = None
) -> Plan:
    """Return the plan of what is left of tonight, after what is being observed now.

    Parameters
    ----------
    telescope : Telescope
    without : collection of int
        Entries of the queue that are left alone.
    most_frames : int, optional
        Plan no more frames of each entry than this: what has no time any more to be finished can
        be begun, and goes on another night.
    """
    here = Pointing(*telescope.pointed) if telescope.pointed else None
    targets = [
        target if most_frames is None else replace(target, count=min(target.count, most_frames))
        for target in wanted_now(telescope)
        if target.key not in without
    ]
    observation = telescope.running
    running = [t for t in targets if observation and t.key == observation.observation_id]
    return make_plan(
        telescope.site,
        telescope.tonight(),
        targets,
        telescope.settings,
        after=telescope.clock.now(),
        here=here,
        running=running[0] if running else None,
    )


def lead_s(telescope: Telescope, target: PlanTarget) -> float:
    """Return how long the way to a target takes, as the plan has it, seconds."""
    here = Pointing(*telescope.pointed) if telescope.pointed else Pointing()
    return float(transitions([target], here, telescope.settings)[-1, 0])


def left_out_tonight(night: Night) -> Sequence[LeftOut]:
    """Return what tonight leaves unobserved, and why.

    At dawn no time is left for anything: that says nothing. It is asked of the whole night then.
    """
    telescope = night.telescope
    plan = tonight_plan(telescope)
    if not is_over(night):
        return plan.left_out
    whole = make_plan(
        telescope.site, night.date or telescope.tonight(), wanted_now(telescope), telescope.settings
    )
    fitted = [LeftOut(target=block.target, reason=NO_TIME) for block in whole.blocks]
    return [*fitted, *whole.left_out]


def note_left_out(telescope: Telescope, left_out: Sequence[LeftOut]) -> None:
    """Write into the queue why each target is left out."""
    with telescope.sessions.begin() as session:
        for left in left_out:
            row = session.get_one(Observation, left.target.key)
            row.reason = left.reason


def sun_now(telescope: Telescope) -> float:
    """Return the Sun's altitude now, in degrees."""
    return sun_altitude_at(telescope.site, telescope.clock.unix())


def is_over(night: Night) -> bool:
    """Whether no dark time is left in the night that was opened."""
    telescope = night.telescope
    if night.date is None or night.date != telescope.tonight():
        return True
    limit = telescope.settings.limits.max_sun_altitude_deg
    return dark_times(telescope.site, night.date, limit, telescope.clock.now()) is None


def why_over(night: Night) -> str:
    """Return, in words, why no dark time is left."""
    telescope = night.telescope
    limit = telescope.settings.limits.max_sun_altitude_deg
    if night.date and dark_times(telescope.site, night.date, limit) is None:
        return f"the Sun stays above {limit:g}° all night"
    return f"dawn: the Sun is above {limit:g}°"
