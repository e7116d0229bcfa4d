"""The journal: one table in which every accepted order stands before its client hears of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Text, UniqueConstraint, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, aliased, mapped_column, sessionmaker

from toros.common.clock import Clock, iso
from toros.common.database import Base
from toros.common.errors import LostOwnership, OrderConflict, TorosError, UnknownOrder
from toros.common.requests import Request
from toros.common.work_order import Json, OrderStatus, Reply, WorkOrder

RUNNING = "running"
# How often a waiter looks for what another process did (machine seconds).
POLL_S = 1.0
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
    owner: Mapped[str | None] = mapped_column(Text)
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


class Journal:
    """The orders of one module.

    Parameters
    ----------
    sessions : sessionmaker
        Sessions of the database that holds the journal.
    module : str
        The module whose orders these are.
    owner : str
        Who claims orders: unique to this process.
    clock : Clock
        The observatory's time.
    """

    def __init__(
        self, sessions: sessionmaker[Session], module: str, owner: str, clock: Clock
    ) -> None:
        self._sessions = sessions
        self._module = module
        self._owner = owner
        self._clock = clock
        self._changed = threading.Condition()
        self._news = 0

    def accept(self, order: WorkOrder, request: Request[Any, Any]) -> WorkOrderRow:
        """Commit `order` and return its row; a repetition gets the row that stands.

        Raises
        ------
        OrderConflict
            When an order with the same id but other content was accepted before.
        """
        digest = order.digest(request.name)
        values = {
            "module": self._module,
            "id": order.key,
            "request": request.name,
            "lane": request.lane,
            "user": order.user,
            "priority": order.priority,
            "fields": order.fields,
            "digest": digest,
            "state": OrderStatus.ACCEPTED.value,
            "cancel_requested": False,
            "attempts": 0,
            "code": 0,
            "message": "",
            "received": self._clock.now(),
        }
        with self._sessions.begin() as session:
            row = session.scalars(_insert_if_absent(session, values)).one_or_none()
            fresh = row is not None
            if row is None:
                row = self._row(session, order.key)
        if row.digest != digest:
            raise OrderConflict(
                f"Work order {order.key} was received before with other content; "
                "give a new order an id of its own."
            )
        if fresh:
            self.notify()
        return row

    def claim(self, lane: str) -> WorkOrderRow | None:
        """Take the next order of `lane`: the highest priority, then the oldest."""
        candidate = aliased(WorkOrderRow)
        oldest = (
            select(candidate.number)
            .where(
                candidate.module == self._module,
                candidate.lane == lane,
                candidate.state == OrderStatus.ACCEPTED.value,
            )
            .order_by(func.coalesce(candidate.priority, -1).desc(), candidate.number)
            .limit(1)
            .with_for_update(skip_locked=True)
            .scalar_subquery()
        )
        statement = (
            update(WorkOrderRow)
            .where(WorkOrderRow.number == oldest)
            .values(
                state=RUNNING,
                owner=self._owner,
                started=self._clock.now(),
                attempts=WorkOrderRow.attempts + 1,
            )
            .returning(WorkOrderRow)
            .execution_options(synchronize_session=False)
        )
        with self._sessions.begin() as session:
            return session.scalars(statement).one_or_none()

    def finish(
        self,
        session: Session,
        key: str,
        status: OrderStatus,
        *,
        result: Json = None,
        code: int = 0,
        message: str = "",
    ) -> None:
        """Record the end of an order in the transaction of `session`.

        Raises
        ------
        LostOwnership
            When this process does not own the order any more.
        """
        statement = (
            update(WorkOrderRow)
            .where(
                WorkOrderRow.module == self._module,
                WorkOrderRow.id == key,
                WorkOrderRow.state == RUNNING,
                WorkOrderRow.owner == self._owner,
            )
            .values(
                state=status.value,
                result=result,
                code=code,
                message=message,
                finished=self._clock.now(),
            )
            .returning(WorkOrderRow.number)
            .execution_options(synchronize_session=False)
        )
        if session.scalars(statement).one_or_none() is None:
            raise LostOwnership(f"Work order {key} of {self._module} belongs to another worker.")

    def end(
        self, key: str, status: OrderStatus, *, result: Json = None, error: TorosError | None = None
    ) -> None:
        """Record the end of an order in a transaction of its own."""
        with self._sessions.begin() as session:
            self.finish(
                session,
                key,
                status,
                result=result,
                code=error.code if error else 0,
                message=error.message if error else "",
            )
        self.notify()

    def take_up(self, repeated: Sequence[str]) -> tuple[list[str], list[str]]:
        """Deal with what a dead process left running; called once, before the workers start.

        Parameters
        ----------
        repeated : sequence of str
            The requests that are done again. The others are marked interrupted.

        Returns
        -------
        tuple of list
            The ids that will be done again, and those that were interrupted.
        """
        left = (WorkOrderRow.module == self._module, WorkOrderRow.state == RUNNING)
        again = (
            update(WorkOrderRow)
            .where(*left, WorkOrderRow.request.in_(repeated))
            .values(state=OrderStatus.ACCEPTED.value, owner=None)
            .returning(WorkOrderRow.id)
            .execution_options(synchronize_session=False)
        )
        lost = (
            update(WorkOrderRow)
            .where(*left)
            .values(
                state=OrderStatus.INTERRUPTED.value,
                code=17,
                message="The module stopped while it worked on this order.",
                finished=self._clock.now(),
            )
            .returning(WorkOrderRow.id)
            .execution_options(synchronize_session=False)
        )
        with self._sessions.begin() as session:
            return list(session.scalars(again)), list(session.scalars(lost))

    def request_cancel(self, key: str) -> WorkOrderRow:
        """Cancel an order that waits, or ask the worker of a running one to stop."""
        with self._sessions.begin() as session:
            row = self._row(session, key, lock=True)
            if row.state == OrderStatus.ACCEPTED.value:
                row.state = OrderStatus.CANCELLED.value
                row.message = "Cancelled before it began."
                row.code = 16
                row.finished = self._clock.now()
            elif row.state == RUNNING:
                row.cancel_requested = True
        self.notify()
        return row

    def get(self, key: str) -> WorkOrderRow:
        """Return the row of an order.

        Raises
        ------
        UnknownOrder
            When this module has none of that id.
        """
        with self._sessions() as session:
            return self._row(session, key)

    def list(self, state: str | None, limit: int) -> list[WorkOrderRow]:
        """Return the newest orders, at most `limit`, of one state or of all."""
        query = select(WorkOrderRow).where(WorkOrderRow.module == self._module)
        if state is not None:
            query = query.where(WorkOrderRow.state == state)
        with self._sessions() as session:
            return [*session.scalars(query.order_by(WorkOrderRow.number.desc()).limit(limit))]

    def queue_length(self) -> int:
        """Return how many orders wait or are being done."""
        query = select(func.count()).where(
            WorkOrderRow.module == self._module, WorkOrderRow.state.in_(OPEN)
        )
        with self._sessions() as session:
            return session.scalar(query) or 0

    def wait_for_end(self, key: str, seconds: float) -> WorkOrderRow:
        """Return the row of an order once it has ended, or as it stands after `seconds`.

        The seconds are the machine's: a client waits by its own watch.
        """
        deadline = time.monotonic() + seconds
        while True:
            seen = self.news
            row = self.get(key)
            left = deadline - time.monotonic()
            if row.state not in OPEN or left <= 0:
                return row
            self.wait_for_news(seen, min(left, POLL_S))

    @property
    def news(self) -> int:
        """A number that grows with each order that comes or ends in this process."""
        with self._changed:
            return self._news

    def wait_for_news(self, seen: int, seconds: float) -> None:
        """Return when `news` is no longer `seen`, or after `seconds` of the machine."""
        with self._changed:
            self._changed.wait_for(lambda: self._news != seen, timeout=seconds)

    def notify(self) -> None:
        """Wake all that wait for news."""
        with self._changed:
            self._news += 1
            self._changed.notify_all()

    def _row(self, session: Session, key: str, *, lock: bool = False) -> WorkOrderRow:
        query = select(WorkOrderRow).where(
            WorkOrderRow.module == self._module, WorkOrderRow.id == key
        )
        if lock:
            query = query.with_for_update()
        row = session.scalars(query).one_or_none()
        if row is None:
            raise UnknownOrder(f"{self._module} has no work order {key}.")
        return row


def _insert_if_absent(session: Session, values: dict[str, Any]) -> Any:
    """Return ``INSERT … ON CONFLICT DO NOTHING RETURNING`` in the dialect of `session`."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement: Any = insert(WorkOrderRow).values(**values)
    return statement.on_conflict_do_nothing(index_elements=["module", "id"]).returning(WorkOrderRow)
