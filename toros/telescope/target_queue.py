"""The queue of observations, kept in the archive so that a restart loses nothing.

Every function works in its caller's session, so that a change and its cause commit together.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from toros.archive.models import Observation
from toros.common.config.telescope import Limits, TelescopeSettings
from toros.common.errors import InvalidField
from toros.common.work_order import explain
from toros.telescope.scheduler import PlanTarget
from toros.telescope.visits import last_visits

QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
OPEN = (QUEUED, RUNNING)
INTERVAL = "interval_h"  # the one constraint that is no limit


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What somebody wants observed; None where the configuration decides."""

    name: str
    ra_deg: float
    dec_deg: float
    filter: str | None = None
    exptime_s: float | None = None
    count: int | None = None
    binning: int = 1
    priority: float | None = None
    weight: float | None = None
    constraints: dict[str, Any] | None = None
    not_before: datetime | None = None
    expires: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where an entry comes from."""

    observatory: str
    received: datetime
    work_order: str | None = None
    user: str | None = None
    alert: str | None = None
    revision: int | None = None


def entry(wanted: Wanted, origin: Origin, settings: TelescopeSettings) -> Observation:
    """Return a new entry of the queue, not yet in the archive."""
    usual = settings.priority if origin.alert is None else settings.alert_priority
    return Observation(
        observatory=origin.observatory,
        name=wanted.name,
        ra=wanted.ra_deg,
        dec=wanted.dec_deg,
        filter=wanted.filter or settings.filter,
        exptime=wanted.exptime_s or settings.exptime_s,
        count=wanted.count or settings.count,
        taken=0,
        binning=wanted.binning,
        priority=usual if wanted.priority is None else wanted.priority,
        weight=wanted.weight,
        constraints=wanted.constraints or {},
        not_before=wanted.not_before,
        expires=wanted.expires,
        alert=origin.alert,
        revision=origin.revision,
        state=QUEUED,
        code=0,
        reason="",
        attempts=0,
        work_order=origin.work_order,
        user=origin.user,
        received=origin.received,
    )


def replace_targets(
    session: Session, targets: Sequence[Wanted], origin: Origin, settings: TelescopeSettings
) -> dict[str, Any]:
    """Make the queue of one alert what its newest revision says.

    Entries are the same if they have the same name and filter. Those that stay keep their frames
    and get the new weight and position; those that vanished are cancelled; an older revision than
    the queue has changes nothing.

    Returns
    -------
    dict
        ``alert, revision, added, updated, kept, cancelled``: names of targets.
    """
    standing = {(row.name, row.filter): row for row in of_alert(session, origin)}
    newest = max((row.revision or 0 for row in standing.values()), default=0)
    answer: dict[str, Any] = {
        "alert": origin.alert,
        "revision": origin.revision,
        "added": [],
        "updated": [],
        "kept": [],
        "cancelled": [],
    }
    if (origin.revision or 0) < newest:
        answer["revision"] = newest
        answer["kept"] = sorted(row.name for row in standing.values() if row.state != CANCELLED)
        answer["reason"] = f"revision {newest} is newer than {origin.revision}: nothing changed"
        return answer
    for wanted in targets:
        row = standing.pop((wanted.name, wanted.filter or settings.filter), None)
        if row is None:
            session.add(entry(wanted, origin, settings))
            answer["added"].append(wanted.name)
        else:
            changed = _update(row, wanted, origin, settings)
            answer["updated" if changed else "kept"].append(wanted.name)
    for row in standing.values():
        if row.state in OPEN:
            _cancel(row, f"not in revision {origin.revision} of {origin.alert}", origin.received)
            answer["cancelled"].append(row.name)
    return answer


def _update(row: Observation, wanted: Wanted, origin: Origin, settings: TelescopeSettings) -> bool:
    """Bring a row up to date; return whether anything that matters to the plan changed."""
    usual = settings.alert_priority
    new = {
        "ra": wanted.ra_deg,
        "dec": wanted.dec_deg,
        "weight": wanted.weight,
        "priority": usual if wanted.priority is None else wanted.priority,
        "exptime": wanted.exptime_s or settings.exptime_s,
        "count": wanted.count or settings.count,
        "expires": wanted.expires,
        "not_before": wanted.not_before,
    }
    changed = any(getattr(row, key) != value for key, value in new.items())
    for key, value in new.items():
        setattr(row, key, value)
    row.revision = origin.revision
    again = row.state in (CANCELLED, FAILED) or (row.state == DONE and row.taken < row.count)
    if again:
        row.state, row.code, row.reason, row.attempts, row.finished = QUEUED, 0, "", 0, None
    return changed or again


def retract(session: Session, origin: Origin) -> list[str]:
    """Cancel what is left of an alert's targets; return their names."""
    rows = [row for row in of_alert(session, origin) if row.state in OPEN]
    for row in rows:
        _cancel(row, f"{origin.alert} was retracted", origin.received)
    return [row.name for row in rows]


def _cancel(row: Observation, reason: str, now: datetime) -> None:
    row.state, row.code, row.reason, row.finished = CANCELLED, 16, reason, now


def of_alert(session: Session, origin: Origin) -> Sequence[Observation]:
    """Return all entries of an alert at an observatory."""
    query = select(Observation).where(
        Observation.observatory == origin.observatory, Observation.alert == origin.alert
    )
    return session.scalars(query.order_by(Observation.id)).all()


def open_entries(session: Session, observatory: str) -> Sequence[Observation]:
    """Return the entries that wait or run, oldest first."""
    query = select(Observation).where(
        Observation.observatory == observatory, Observation.state.in_(OPEN)
    )
    return session.scalars(query.order_by(Observation.id)).all()


def counts(session: Session, observatory: str) -> dict[str, int]:
    """Return how many entries are in each state."""
    query = (
        select(Observation.state, func.count())
        .where(Observation.observatory == observatory)
        .group_by(Observation.state)
    )
    return {str(row[0]): int(row[1]) for row in session.execute(query)}


def requeue_running(session: Session, observatory: str, reason: str) -> list[str]:
    """Put back what ran when the module died; frames that were counted stay counted."""
    query = select(Observation).where(
        Observation.observatory == observatory, Observation.state == RUNNING
    )
    rows = session.scalars(query).all()
    for row in rows:
        row.state, row.reason = QUEUED, reason
    return [row.name for row in rows]


def forgive(session: Session, entries: Collection[int]) -> None:
    """Take the last attempt back from entries that failed through no fault of their own."""
    for row in session.scalars(select(Observation).where(Observation.id.in_(entries))):
        if row.state in (QUEUED, FAILED):
            row.state, row.code, row.finished = QUEUED, 0, None
            row.attempts = max(row.attempts - 1, 0)


def limits_of(row: Observation, settings: TelescopeSettings) -> Limits:
    """Return the telescope's limits with what the entry's own constraints say in their place."""
    return Limits.model_validate(settings.limits.model_dump() | _own_limits(row.constraints))


def _own_limits(constraints: dict[str, Any]) -> dict[str, Any]:
    """Return what is a limit of the constraints: all but how often the target is wanted."""
    return {name: value for name, value in constraints.items() if name != INTERVAL}


def check_constraints(constraints: dict[str, Any], settings: TelescopeSettings) -> None:
    """Refuse constraints that contradict one another or the telescope's limits.

    Raises
    ------
    InvalidField
    """
    try:
        Limits.model_validate(settings.limits.model_dump() | _own_limits(constraints))
    except ValidationError as error:
        raise InvalidField(explain(error, "Constraints")) from error


def plan_targets(
    session: Session, rows: Sequence[Observation], settings: TelescopeSettings
) -> list[PlanTarget]:
    """Return entries as the scheduler sees them: only the frames that are missing.

    When a target was last visited is looked up where an interval is wanted.
    """
    targets = [_plan_target(row, settings) for row in rows]
    asked = [index for index, target in enumerate(targets) if target.interval_s]
    visits = last_visits(session, [rows[index] for index in asked])
    for index, visit in zip(asked, visits, strict=True):
        targets[index] = replace(targets[index], last_visit=visit)
    return targets


def _plan_target(row: Observation, settings: TelescopeSettings) -> PlanTarget:
    interval_h = row.constraints.get(INTERVAL)
    return PlanTarget(
        name=row.name,
        ra_deg=row.ra,
        dec_deg=row.dec,
        exptime_s=row.exptime,
        count=max(row.count - row.taken, 1),
        filter=row.filter,
        priority=row.priority,
        weight=1.0 if row.weight is None else row.weight,
        not_before=row.not_before,
        expires=row.expires,
        key=row.id or 0,
        limits=limits_of(row, settings) if _own_limits(row.constraints) else None,
        alerted=row.received if row.alert is not None else None,
        interval_s=interval_h * 3600.0 if interval_h else None,
    )
