"""What the archive says is still to be sent to telescopes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from toros.archive.models import Alert, Target
from toros.lvcgcn import records

#: Targets whose orders no telescope has answered yet.
UNSENT = Target.state.in_((records.SELECTED, records.RETRACTING))

_REQUESTS = {records.SELECTED: "targets", records.RETRACTING: "retract_alert"}

_COLUMNS = (
    *(Target.alert_id, Target.observatory, Target.work_order, Target.state, Target.name),
    *(Target.ra, Target.dec, Target.probability, Target.rank, Target.distance_mpc),
)


@dataclass(frozen=True)
class Order:
    """One order that a telescope has not answered yet."""

    observatory: str
    work_order: str
    request: str
    event: str
    targets: int  # how many rows it speaks of
    fields: dict[str, Any] = field(repr=False)


def waiting_observatories(session: Session) -> list[str]:
    """Return the observatories that some order waits for."""
    return [*session.scalars(select(Target.observatory).where(UNSENT).distinct())]


@dataclass(frozen=True)
class Waiting:
    """An order that waits, without what it says."""

    observatory: str
    work_order: str
    request: str
    event: str
    targets: int


def waiting_of(session: Session, event: str) -> list[Waiting]:
    """Return the orders of an event that no telescope has answered yet."""
    query = (
        select(Target.observatory, Target.work_order, Target.state, func.count())
        .join(Alert, Alert.id == Target.alert_id)
        .where(UNSENT, Alert.event == event)
        .group_by(Target.observatory, Target.work_order, Target.state)
    )
    return [
        Waiting(observatory, str(work_order), _REQUESTS[state], event, count)
        for observatory, work_order, state, count in session.execute(query)
    ]


def waiting(session: Session, observatory: str) -> list[Order]:
    """Return the orders to send to one observatory, in the order in which the alerts came."""
    # Columns, not objects: a thousand targets are read while an event fades.
    query = (
        select(*_COLUMNS)
        .where(UNSENT, Target.observatory == observatory)
        .order_by(Target.alert_id, Target.work_order, Target.rank)
    )
    targets = session.execute(query).all()
    # Once each: an alert's record is large, and a join would read it for every target.
    wanted = {target.alert_id for target in targets}
    alerts = {one.id: one for one in session.scalars(select(Alert).where(Alert.id.in_(wanted)))}
    rows = [(target, alerts[target.alert_id]) for target in targets]
    orders: dict[str, Order] = {}
    for work_order, group in groupby(rows, key=lambda row: str(row[0].work_order)):
        order = _order(work_order, [*group])
        # Targets of several revisions may wait for one retraction.
        if work_order in orders:
            order = replace(order, targets=orders[work_order].targets + order.targets)
        orders[work_order] = order
    return [*orders.values()]


def _order(work_order: str, rows: list[tuple[Any, Alert]]) -> Order:
    target, alert = rows[0]
    count = len(rows)
    if target.state == records.RETRACTING:
        fields: dict[str, Any] = {"alert": alert.event}
        return Order(target.observatory, work_order, "retract_alert", alert.event, count, fields)
    members = alert.notice.get("members", {}).get(target.observatory, {})
    fields = {
        "alert": alert.event,
        "revision": alert.revision,
        "targets": [
            {
                "name": row.name,
                "ra": row.ra,
                "dec": row.dec,
                "weight": row.probability,
                "rank": row.rank,
                "distance_mpc": row.distance_mpc,
                # The hosts in the field, where the pointing has several.
                **({"members": members[row.name]} if row.name in members else {}),
            }
            for row, _ in rows
        ],
    }
    return Order(target.observatory, work_order, "targets", alert.event, count, fields)
