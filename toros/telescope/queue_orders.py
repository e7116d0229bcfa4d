"""Handlers of the orders that change or show the queue."""

from __future__ import annotations

from dataclasses import replace

from toros.archive.models import Observation
from toros.common.clock import iso
from toros.common.config.telescope import Mode
from toros.common.errors import InvalidField
from toros.common.requests import Task
from toros.common.work_order import Json
from toros.telescope import mode, target_queue
from toros.telescope.desk import TelescopeDesk
from toros.telescope.night_state import AT_REST
from toros.telescope.order_fields import (
    AlertFields,
    ModeFields,
    ObservationFields,
    ScheduleFields,
    TargetsFields,
)
from toros.telescope.persistent import persistent
from toros.telescope.plan import make_plan
from toros.telescope.preemption import consider, stop_cancelled
from toros.telescope.state import Telescope
from toros.telescope.target_queue import Origin, Wanted
from toros.telescope.tonight import tonight_plan

NEWCOMER = -1  # the key of an entry that the archive has not numbered yet


def _origin(desk: TelescopeDesk, task: Task) -> Origin:
    return Origin(
        observatory=desk.telescope.observatory,
        received=desk.telescope.clock.now(),
        work_order=task.id,
        user=task.order.user,
    )


@persistent
def observation(desk: TelescopeDesk, fields: ObservationFields, task: Task) -> Json:
    """Queue one target; answer with the entry, and when it is planned or why it is not."""
    telescope = desk.telescope
    constraints = fields.constraints.model_dump(exclude_none=True) if fields.constraints else {}
    wanted = Wanted(
        name=fields.object or f"{fields.ra:.4f}{fields.dec:+.4f}",
        ra_deg=fields.ra,
        dec_deg=fields.dec,
        filter=fields.filter,
        exptime_s=fields.exptime,
        count=fields.count,
        binning=fields.binning,
        priority=task.order.priority,
        constraints=constraints,
        not_before=fields.not_before,
        expires=fields.expires,
    )
    target_queue.check_constraints(constraints, telescope.settings)
    row = target_queue.entry(wanted, _origin(desk, task), telescope.settings)
    planned = _place(telescope, row)
    with telescope.sessions.begin() as session:
        session.add(row)
        session.flush()
        answer = entry_json(row) | {"planned": planned}
        task.complete(session, answer)
    consider(telescope)
    telescope.news.set()
    return answer


def set_mode(desk: TelescopeDesk, fields: ModeFields, task: Task) -> Json:
    """Change who decides; manual ends a night that runs."""
    if fields.mode is not None:
        mode.set_mode(desk.telescope, fields.mode, task.order.user)
        if fields.mode is Mode.MANUAL and desk.night.state not in AT_REST:
            desk.night.close("the mode is manual now")
        desk.telescope.news.set()
    return {"mode": mode.mode_of(desk.telescope).value}


def _place(telescope: Telescope, row: Observation) -> str | None:
    """Return when tonight's plan would have a new entry; if it has not, write why into it."""
    with telescope.sessions() as session:
        rows = [*target_queue.open_entries(session, telescope.observatory), row]
        *targets, newcomer = target_queue.plan_targets(session, rows, telescope.settings)
    plan = make_plan(
        telescope.site,
        telescope.tonight(),
        [*targets, replace(newcomer, key=NEWCOMER)],
        telescope.settings,
        after=telescope.clock.now(),
    )
    for left in plan.left_out:
        if left.target.key == NEWCOMER:
            row.reason = left.reason
    return next((iso(block.start) for block in plan.blocks if block.target.key == NEWCOMER), None)


@persistent
def targets(desk: TelescopeDesk, fields: TargetsFields, task: Task) -> Json:
    """Make an alert's queue what this revision says."""
    telescope = desk.telescope
    origin = replace(_origin(desk, task), alert=fields.alert, revision=fields.revision)
    keys = [(target.name, target.filter or telescope.settings.filter) for target in fields.targets]
    twice = sorted({name for name, band in keys if keys.count((name, band)) > 1})
    if twice:
        raise InvalidField(f"Targets that stand there twice: {', '.join(twice)}.")
    wanted = [
        Wanted(
            name=target.name,
            ra_deg=target.ra,
            dec_deg=target.dec,
            filter=target.filter,
            exptime_s=target.exptime,
            count=target.count,
            priority=target.priority if target.priority is not None else task.order.priority,
            weight=target.weight,
            not_before=target.not_before,
            expires=target.expires,
        )
        for target in fields.targets
    ]
    with telescope.sessions.begin() as session:
        answer = target_queue.replace_targets(session, wanted, origin, telescope.settings)
        task.complete(session, answer)
    telescope.record(
        "alert",
        f"{fields.alert}, revision {fields.revision}: {len(answer['added'])} targets added, "
        f"{len(answer['updated'])} updated, {len(answer['cancelled'])} cancelled.",
        data={"alert": fields.alert, "revision": fields.revision},
    )
    consider(telescope)
    telescope.news.set()
    return answer


@persistent
def retract_alert(desk: TelescopeDesk, fields: AlertFields, task: Task) -> Json:
    """Cancel what is left of an alert, and stop what runs of it within its frame."""
    telescope = desk.telescope
    origin = replace(_origin(desk, task), alert=fields.alert)
    with telescope.sessions.begin() as session:
        answer: dict[str, Json] = {
            "alert": fields.alert,
            "cancelled": [*target_queue.retract(session, origin)],
        }
        task.complete(session, answer)
    telescope.record("alert", f"{fields.alert} was retracted.", data={"alert": fields.alert})
    stop_cancelled(telescope, f"{fields.alert} was retracted")
    telescope.news.set()
    return answer


def schedule(desk: TelescopeDesk, fields: ScheduleFields, _task: Task) -> Json:
    """Return the plan of what is left of tonight, or of another night."""
    telescope = desk.telescope
    if fields.night is None or fields.night == telescope.tonight():
        return tonight_plan(telescope).as_json()
    with telescope.sessions() as session:
        rows = target_queue.open_entries(session, telescope.observatory)
        entries = target_queue.plan_targets(session, rows, telescope.settings)
    return make_plan(telescope.site, fields.night, entries, telescope.settings).as_json()


def entry_json(row: Observation) -> dict[str, Json]:
    """Return an entry of the queue as orders answer it."""
    return {
        "observation": row.id,
        "name": row.name,
        "ra": row.ra,
        "dec": row.dec,
        "filter": row.filter,
        "exptime": row.exptime,
        "count": row.count,
        "taken": row.taken,
        "priority": row.priority,
        "weight": row.weight,
        "alert": row.alert,
        "state": row.state,
        "reason": row.reason,
        "expires": iso(row.expires) if row.expires else None,
    }
