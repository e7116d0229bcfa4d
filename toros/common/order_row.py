"""One order as the journal keeps it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from toros.common.clock import iso
from toros.common.database import Base
from toros.common.work_order import Json, OrderStatus, Reply, WorkOrder

RUNNING = "running"
OPEN = (OrderStatus.ACCEPTED.value, RUNNING)


class WorkOrderRow(Base):
    """One order in the journal."""

    __tablename__ = "work_order"
    __table_args__ = (UniqueConstraint("module", "id"),)

    number: Mapped[int] = mapped_column(primary_key=True)
    module: Mapped[str] = mapped_column(Text)
    id: Mapped[str] = mapped_column(Text)
    request: Mapped[str] = mapped_column(Text)
    lane: Mapped[str] = mapped_column(Text)
    user: Mapped[str | None] = mapped_column(Text)
    priority: Mapped[float | None]
    fields: Mapped[dict[str, Any]] = mapped_column(JSON)
    digest: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, index=True)  # accepted running and the ends of orders
    node: Mapped[str] = mapped_column(Text)  # whose front desk took it
    owner: Mapped[str | None] = mapped_column(Text)  # the process that does it, or did
    # Until when it belongs to its owner: unix seconds by the database's clock, the only one that
    # all nodes share.
    lease_until: Mapped[float | None]
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    attempts: Mapped[int] = mapped_column(default=0)
    code: Mapped[int] = mapped_column(default=0)
    message: Mapped[str] = mapped_column(Text, default="")
    result: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    received: Mapped[datetime]
    started: Mapped[datetime | None]
    finished: Mapped[datetime | None]

    def order(self) -> WorkOrder:
        """Return the order as its client gave it."""
        return WorkOrder(
            id=self.id,
            request=self.request,
            user=self.user,
            priority=self.priority,
            fields=self.fields,
        )

    def reply(self, now: datetime) -> Reply:
        """Return what the front desk says of the order as it stands."""
        running = self.state in OPEN
        return Reply(
            id=self.id,
            module=self.module,
            request=self.request,
            status=OrderStatus.ACCEPTED if running else OrderStatus(self.state),
            code=self.code,
            message="Work order received." if running else self.message,
            result=None if running else self.result,
            datetime=iso(now),
        )

    def summary(self) -> dict[str, Json]:
        """Return the row as `work_order_status` and `list_work_orders` show it."""
        return {
            "id": self.id,
            "request": self.request,
            "state": self.state,
            "user": self.user,
            "priority": self.priority,
            "code": self.code,
            "message": self.message,
            "attempts": self.attempts,
            "received": iso(self.received),
            "started": iso(self.started) if self.started else None,
            "finished": iso(self.finished) if self.finished else None,
            "result": self.result,
        }
