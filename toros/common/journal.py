"""The journal: one table in which every accepted order stands before its client hears of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, aliased, sessionmaker

from toros.common.clock import Clock
from toros.common.database import reading
from toros.common.errors import LostOwnership, OrderConflict, TorosError, UnknownOrder
from toros.common.leases import LEASE_S, Leases, database_unix
from toros.common.order_moments import OrderMoments
from toros.common.order_news import OrderNews
from toros.common.order_row import OPEN, RUNNING, WorkOrderRow
from toros.common.requests import Request
from toros.common.wire import printable
from toros.common.work_order import Json, OrderStatus, WorkOrder

__all__ = ["POLL_S", "Journal", "WorkOrderRow"]

# How often a waiter looks for what another process did (machine seconds).
POLL_S = 1.0


class Journal:
    """The orders of one module.

    Parameters
    ----------
    sessions : sessionmaker
        Sessions of the database that holds the journal.
    module : str
        The module whose orders these are.
    node : str
        This node: other nodes may use the same database.
    owner : str
        Who claims orders: unique to this process.
    clock : Clock
        The observatory's time.
    lease_s : float
        How long a claimed order is ours without a sign of life (seconds).
    """

    def __init__(
        self,
        sessions: sessionmaker[Session],
        module: str,
        node: str,
        owner: str,
        clock: Clock,
        lease_s: float = LEASE_S,
    ) -> None:
        self._sessions = sessions
        self._module = module
        self._node = node
        self._owner = owner
        self._clock = clock
        self._lease_s = lease_s
        self.leases = Leases(sessions, module, owner, clock, lease_s)
        self.news = OrderNews()
        self.moments = OrderMoments()

    def accept(self, order: WorkOrder, request: Request[Any, Any]) -> WorkOrderRow:
        """Commit `order` and return its row; a repetition gets the row that stands.

        Raises
        ------
        OrderConflict
            When an order with the same id but other content was accepted before; or by another
            node, when only that node can do it.
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
            "node": self._node,
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
            else:
                # Before the commit, after which it may be claimed at once.
                self.moments.put(order.key, self._clock.monotonic())
        if row.digest != digest:
            raise OrderConflict(
                f"Work order {order.key} was received before with other content; "
                "give a new order an id of its own."
            )
        if row.node != self._node and not request.anywhere:
            raise OrderConflict(
                f"Work order {order.key} was received before by the node {row.node}; "
                "give a new order an id of its own."
            )
        if fresh:
            self.news.arrived(request.lane)
        return row

    def claim(self, lane: str, anywhere: Sequence[str] = ()) -> WorkOrderRow | None:
        """Take the next order of `lane`: the highest priority, then the oldest.

        Parameters
        ----------
        lane : str
            The lane.
        anywhere : sequence of str
            The requests that this node may do for another. All others are done by the node that
            took them: a dome is opened where its order was received.
        """
        candidate = aliased(WorkOrderRow)
        oldest = (
            select(candidate.number)
            .where(
                candidate.module == self._module,
                candidate.lane == lane,
                candidate.state == OrderStatus.ACCEPTED.value,
                or_(candidate.node == self._node, candidate.request.in_(anywhere)),
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
                lease_until=database_unix() + self._lease_s,
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
        self.moments.forget(key)
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
                # No database holds every character, and without an end the order is never over.
                message=printable(message),
                finished=self._clock.now(),
                lease_until=None,
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
        self.news.ended(key)

    def request_cancel(self, key: str) -> WorkOrderRow:
        """Cancel an order that waits, or ask the worker of a running one to stop."""
        with self._sessions.begin() as session:
            row = self._row(session, key, lock=True)
            if row.state == OrderStatus.ACCEPTED.value:
                row.state = OrderStatus.CANCELLED.value
                row.message = "Cancelled before it began."
                row.code = 16
                row.finished = self._clock.now()
                self.moments.forget(key)
            elif row.state == RUNNING:
                row.cancel_requested = True
        self.news.ended(key)
        return row

    def get(self, key: str) -> WorkOrderRow:
        """Return the row of an order.

        Raises
        ------
        UnknownOrder
            When this module has none of that id.
        """
        with reading(self._sessions) as session:
            return self._row(session, key)

    def list(self, state: str | None, limit: int) -> list[WorkOrderRow]:
        """Return the newest orders, at most `limit`, of one state or of all."""
        query = select(WorkOrderRow).where(WorkOrderRow.module == self._module)
        if state is not None:
            query = query.where(WorkOrderRow.state == state)
        with reading(self._sessions) as session:
            return [*session.scalars(query.order_by(WorkOrderRow.number.desc()).limit(limit))]

    def queue_length(self) -> int:
        """Return how many orders wait or are being done."""
        query = select(func.count()).where(
            WorkOrderRow.module == self._module, WorkOrderRow.state.in_(OPEN)
        )
        with reading(self._sessions) as session:
            return session.scalar(query) or 0

    def wait_for_end(self, key: str, seconds: float) -> WorkOrderRow:
        """Return the row of an order once it has ended, or as it stands after `seconds`.

        The seconds are the machine's: a client waits by its own watch.
        """
        deadline = time.monotonic() + seconds
        with self.news.waiting_for_end(key) as ended:
            while True:
                ended.clear()
                row = self.get(key)
                left = deadline - time.monotonic()
                if row.state not in OPEN or left <= 0 or self.news.closed:
                    return row
                ended.wait(min(left, POLL_S))

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
