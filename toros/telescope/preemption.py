"""Whether something more urgent came up: what runs is then finished or dropped by a rule."""

from __future__ import annotations

import logging

from toros.archive.models import Observation
from toros.common.config.telescope import Mode
from toros.telescope import target_queue
from toros.telescope.decision import NightTable
from toros.telescope.merits import PRIORITY_STEP
from toros.telescope.mode import mode_of
from toros.telescope.plan import make_plan
from toros.telescope.problem import Pointing
from toros.telescope.scheduler import PlanTarget
from toros.telescope.state import Telescope

log = logging.getLogger(__name__)


def consider(telescope: Telescope) -> None:
    """Look at the queue after it changed; stop what runs for a target of a higher priority.

    The observation that runs is queued again with the frames that it has.
    """
    # An observation that was chosen before and is only about to begin finds this.
    telescope.reconsider.set()
    running = telescope.running
    if running is None:
        return
    rival = _rival(telescope, running.priority)
    # What ran may have ended while we looked.
    if rival is None or telescope.running is not running:
        return
    running.yield_to = f"{rival.name} (priority {rival.priority:g})"
    elapsed, remaining = running.times(telescope.clock.unix())
    if worth_dropping(elapsed, remaining, rival.priority - running.priority):
        telescope.interrupt.set(f"dropped for {running.yield_to}")


def stop_cancelled(telescope: Telescope, why: str) -> None:
    """Stop what runs, within its frame, if its entry of the queue was cancelled."""
    running = telescope.running
    if running is None:
        return
    with telescope.sessions() as session:
        state = session.get_one(Observation, running.observation_id).state
    # What ran may have ended while we looked.
    if state == target_queue.CANCELLED and telescope.running is running:
        telescope.interrupt.set(why)


def worth_dropping(elapsed_s: float, remaining_s: float, steps: float) -> bool:
    """Return whether an exposure is dropped for a target some steps of priority higher.

    Dropping loses what was exposed so far; finishing makes the other wait for what remains, and a
    second of it is worth a constant factor more for each step of priority.
    """
    return bool(remaining_s * PRIORITY_STEP**steps > elapsed_s)


def _rival(telescope: Telescope, priority: float) -> PlanTarget | None:
    """Return the target of a higher priority with which a plan made now begins, if there is one."""
    now, settings = telescope.clock.now(), telescope.settings
    targets = wanted_now(telescope)
    higher = [target for target in targets if target.priority > priority]
    night = telescope.tonight()
    table = NightTable.of(telescope.site, night, higher, settings, after=now)
    if table is None or table.decide(now) is None:
        return None
    here = Pointing(*telescope.pointed) if telescope.pointed else None
    plan = make_plan(telescope.site, night, targets, settings, after=now, here=here)
    first = plan.blocks[0].target if plan.blocks else None
    return first if first is not None and first.priority > priority else None


def wanted_now(telescope: Telescope) -> list[PlanTarget]:
    """Return what is queued and may be observed: of alerts, only in autonomous mode."""
    alerts = mode_of(telescope) is Mode.AUTONOMOUS
    with telescope.sessions() as session:
        rows = target_queue.open_entries(session, telescope.observatory)
        wanted = [row for row in rows if alerts or row.alert is None]
        return target_queue.plan_targets(session, wanted, telescope.settings)
