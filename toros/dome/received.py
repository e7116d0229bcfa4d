"""When an order was given, which may be long before it is done."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from toros.common.journal import WorkOrderRow
from toros.common.module import Context
from toros.common.requests import Task


class Received:
    """Tells when orders were journaled, and which of them are of a former life of the module.

    Parameters
    ----------
    context : Context
        Its archive has the journal, its clock says when this life began.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._began = context.clock.now()

    def at(self, task: Task) -> datetime | None:
        """Return when an order was journaled; None if it is not in the journal."""
        order = select(WorkOrderRow.received).where(
            WorkOrderRow.module == "dome", WorkOrderRow.id == task.id
        )
        with self._context.sessions() as session:
            return session.scalars(order).one_or_none()

    def outlived(self, received: datetime | None) -> bool:
        """Return whether the module was started since: who gave the order may have gone home."""
        # Were the machine's time set back, every order would for a while seem to be an old one.
        return received is not None and received < self._began <= self._context.clock.now()

    def age_s(self, received: datetime | None) -> float:
        """Return for how long an order has waited, seconds."""
        if received is None:
            return 0.0
        return max((self._context.clock.now() - received).total_seconds(), 0.0)
