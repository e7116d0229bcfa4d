"""Leases: a claimed order belongs to its worker only as long as the worker shows that it lives.

Two workers, or two nodes on one PostgreSQL, never do the same order: a claim gives its owner a
lease, a keeper renews it, and only an order whose lease is over, or whose owner is known to be
gone, is taken from it. Who was slow and lost an order cannot record its end any more.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Double, or_, select, update
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.sql.functions import FunctionElement

from toros.common.clock import Clock
from toros.common.errors import Interrupted
from toros.common.order_row import RUNNING, WorkOrderRow
from toros.common.owner import is_gone
from toros.common.work_order import OrderStatus

# Long against a pause of the machine or a restart of PostgreSQL; short against a night.
LEASE_S = 30.0
# How many times a lease is renewed before it would run out.
RENEWALS = 3


class database_unix(FunctionElement[float]):  # noqa: N801 - it is written like an SQL function
    """The database's clock in unix seconds: the one clock that all its clients share."""

    type = Double()
    inherit_cache = True


@compiles(database_unix, "postgresql")
def _on_postgresql(_element: Any, _compiler: Any, **_options: Any) -> str:
    return "extract(epoch from clock_timestamp())"


@compiles(database_unix, "sqlite")
def _on_sqlite(_element: Any, _compiler: Any, **_options: Any) -> str:
    # Julian date of 1970-01-01T00:00; exact to 0.04 ms.
    return "((julianday('now') - 2440587.5) * 86400.0)"


@dataclass(frozen=True)
class Held:
    """What renewing the leases found.

    Parameters
    ----------
    lost : set of str
        Orders that belong to another worker by now, or have ended.
    cancelled : set of str
        Orders that somebody asked to cancel, perhaps at another node.
    """

    lost: set[str]
    cancelled: set[str]


@dataclass(frozen=True)
class TakenOver:
    """What became of orders whose worker is no more.

    Parameters
    ----------
    again : list of str
        Orders that will be done again.
    interrupted : list of str
        Orders that are not: nobody knows how far the hardware went.
    """

    again: list[str]
    interrupted: list[str]


class Leases:
    """The leases on the orders of one module.

    Parameters
    ----------
    sessions : sessionmaker
        Sessions of the database that holds the journal.
    module : str
        The module.
    owner : str
        Who claims orders: unique to this process.
    clock : Clock
        The observatory's time, for what the journal records. Leases are by the database's clock.
    lease_s : float
        How long a lease lasts (seconds).
    """

    def __init__(
        self,
        sessions: sessionmaker[Session],
        module: str,
        owner: str,
        clock: Clock,
        lease_s: float = LEASE_S,
    ) -> None:
        self._sessions = sessions
        self._module = module
        self._owner = owner
        self._clock = clock
        self._lease_s = lease_s

    @property
    def renew_every_s(self) -> float:
        """How often to renew (machine seconds)."""
        return self._lease_s / RENEWALS

    def renew(self, keys: Collection[str]) -> Held:
        """Renew the leases of the orders `keys`, which this process is doing."""
        if not keys:
            return Held(set(), set())
        statement = (
            update(WorkOrderRow)
            .where(*self._mine(keys))
            .values(lease_until=database_unix() + self._lease_s)
            .returning(WorkOrderRow.id, WorkOrderRow.cancel_requested)
            .execution_options(synchronize_session=False)
        )
        with self._sessions.begin() as session:
            ours = {row.id: row.cancel_requested for row in session.execute(statement)}
        return Held(set(keys) - set(ours), {key for key, cancel in ours.items() if cancel})

    def give_back(self, key: str) -> None:
        """Let another worker begin an order again that this one leaves unfinished."""
        statement = (
            update(WorkOrderRow)
            .where(*self._mine([key]))
            .values(state=OrderStatus.ACCEPTED.value, owner=None, lease_until=None)
            .execution_options(synchronize_session=False)
        )
        with self._sessions.begin() as session:
            session.execute(statement)

    def take_over(self, repeated: Sequence[str]) -> TakenOver:
        """Deal with the orders whose worker is gone or has let its lease run out.

        Parameters
        ----------
        repeated : sequence of str
            The requests that are done again. The others are marked interrupted.
        """
        left = (WorkOrderRow.module == self._module, WorkOrderRow.state == RUNNING)
        with self._sessions.begin() as session:
            owners = session.scalars(select(WorkOrderRow.owner).where(*left).distinct())
            over = self._over([owner for owner in owners if owner and is_gone(owner)])
            again = (
                update(WorkOrderRow)
                .where(*left, over, WorkOrderRow.request.in_(repeated))
                .values(state=OrderStatus.ACCEPTED.value, owner=None, lease_until=None)
                .returning(WorkOrderRow.id)
                .execution_options(synchronize_session=False)
            )
            interrupted = (
                update(WorkOrderRow)
                .where(*left, over, WorkOrderRow.request.not_in(repeated))
                .values(
                    state=OrderStatus.INTERRUPTED.value,
                    code=Interrupted.code,
                    message="The module stopped while it worked on this order.",
                    finished=self._clock.now(),
                    lease_until=None,
                )
                .returning(WorkOrderRow.id)
                .execution_options(synchronize_session=False)
            )
            return TakenOver([*session.scalars(again)], [*session.scalars(interrupted)])

    def _mine(self, keys: Collection[str]) -> tuple[ColumnElement[bool], ...]:
        return (
            WorkOrderRow.module == self._module,
            WorkOrderRow.id.in_(keys),
            WorkOrderRow.state == RUNNING,
            WorkOrderRow.owner == self._owner,
        )

    def _over(self, gone: Sequence[str]) -> ColumnElement[bool]:
        return or_(
            WorkOrderRow.lease_until.is_(None),
            WorkOrderRow.lease_until < database_unix(),
            WorkOrderRow.owner.in_(gone),
        )
