"""What the archive says is still to be sent to telescopes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from toros.archive.models import Alert, Target
from toros.lvcgcn import records

#: Targets whose orders no telescope has answered yet.
UNSENT = Target.state.in_((records.SELECTED, records.RETRACTING))


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


def waiting(session: Session, observatory: str) -> list[Order]:
    """Return the orders to send to one observatory, in the order in which the alerts came."""
    query = (
        select(Target, Alert)
        .join(Alert, Alert.id == Target.alert_id)
        .where(UNSENT, Target.observatory == observatory)
        .order_by(Target.alert_id, Target.work_order, Target.rank)
    )
    rows = [(target, alert) for target, alert in session.execute(query)]
    orders: dict[str, Order] = {}
    for work_order, group in groupby(rows, key=lambda row: str(row[0].work_order)):
        order = _order(work_order, [*group])
        # Targets of several revisions may wait for one retraction.
        if work_order in orders:
            order = replace(order, targets=orders[work_order].targets + order.targets)
        orders[work_order] = order
    return [*orders.values()]


def _order(work_order: str, rows: list[tuple[Target, Alert]]) -> Order:
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
