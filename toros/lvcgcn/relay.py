"""Sending targets and retractions to telescopes, until each has answered."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from toros.archive.models import Alert, Target
from toros.common.client import FrontDeskClient
from toros.common.clock import Clock
from toros.common.errors import PeerError
from toros.common.work_order import OrderStatus
from toros.lvcgcn import records
from toros.lvcgcn.stations import Station

log = logging.getLogger(__name__)

_ALERT_PRIORITY = 10
WAITING = "waiting"
_TAKEN = (OrderStatus.ACCEPTED, OrderStatus.COMPLETED)


@dataclass(frozen=True)
class _Order:
    """One order that a telescope has not answered yet."""

    observatory: str
    work_order: str
    request: str
    event: str
    targets: tuple[int, ...]  # ids of the rows that it speaks of
    fields: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Relayed:
    """What became of an order."""

    observatory: str
    work_order: str
    request: str
    event: str
    targets: int
    state: str
    message: str

    def as_json(self) -> dict[str, Any]:
        """Return it as data."""
        return asdict(self)


class Relay:
    """Sends what the archive says is still to be sent.

    Parameters
    ----------
    sessions : sessionmaker
        Sessions of the archive.
    stations : sequence of Station
        The observatories.
    clock : Clock
        The observatory's time.
    connect : callable
        Returns a client of the front desk at an address.
    retry_s : float
        Pause between attempts (machine seconds: networks know no simulated time).
    """

    def __init__(
        self,
        sessions: sessionmaker[Session],
        stations: Sequence[Station],
        clock: Clock,
        *,
        connect: Callable[[str], FrontDeskClient],
        retry_s: float,
    ) -> None:
        self._sessions = sessions
        self._stations = {station.name: station for station in stations}
        self._clock = clock
        self._connect = connect
        self._retry_s = retry_s
        self._guard = threading.Lock()
        self._sending: dict[str, threading.Lock] = {}
        self._outstanding = threading.Event()
        self._outstanding.set()  # whatever the last process left
        self._complained: set[str] = set()

    @property
    def outstanding(self) -> bool:
        """Whether some order may still have to be sent."""
        return self._outstanding.is_set()

    def send(self) -> list[Relayed]:
        """Try every order once that no telescope has answered; return what became of each.

        Observatories are served side by side, each in the order in which the alerts came, and no
        further than the first order that it does not answer: a retraction must not overtake.
        """
        self._outstanding.clear()
        try:
            with self._sessions() as session:
                names = _waiting_observatories(session)
            if not names:
                return []
            with ThreadPoolExecutor(len(names), thread_name_prefix="relay") as pool:
                outcomes = [one for served in pool.map(self._serve, names) for one in served]
        except BaseException:
            # Not knowing what is left is no reason to forget it.
            self._outstanding.set()
            raise
        if any(outcome.state == WAITING for outcome in outcomes):
            self._outstanding.set()
        return outcomes

    def run(self, stop: threading.Event) -> None:
        """Try again and again what could not be sent, until `stop` is set."""
        while not stop.is_set():
            if self._outstanding.is_set():
                self.send()
            stop.wait(self._retry_s)

    def _serve(self, observatory: str) -> list[Relayed]:
        with self._guard:
            alone = self._sending.setdefault(observatory, threading.Lock())
        outcomes: list[Relayed] = []
        with alone:
            with self._sessions() as session:
                queue = _waiting(session, observatory)
            for order in queue:
                outcomes.append(self._deliver(order))
                if outcomes[-1].state == WAITING:
                    break
        return outcomes

    def _deliver(self, order: _Order) -> Relayed:
        station = self._stations.get(order.observatory)
        if station is None:
            return self._wait(order, "it is not among the configured observatories")
        client = self._connect(station.telescope_url)
        try:
            reply = client.send(
                order.request,
                id=order.work_order,
                wait=0,
                priority=_ALERT_PRIORITY,
                **order.fields,
            )
        except PeerError as error:
            # A Fault among them: nothing was read, and access or load may mend.
            return self._wait(order, str(error))
        if reply.status in _TAKEN:
            return self._answered(order, taken=True, message=reply.message)
        return self._answered(order, taken=False, message=f"{reply.message} (code {reply.code})")

    def _wait(self, order: _Order, why: str) -> Relayed:
        message = f"{order.observatory} could not be given {order.work_order}: {why}; tried again."
        # Said once at ERROR, which mails the admins, and not at every attempt.
        fresh = order.work_order not in self._complained
        self._complained.add(order.work_order)
        log.log(logging.ERROR if fresh else logging.INFO, "%s", message)
        if fresh:
            with self._sessions.begin() as session:
                records.note(
                    session, self._clock.now(), "relay", message, level="error", code=PeerError.code
                )
        return self._outcome(order, WAITING, why)

    def _answered(self, order: _Order, *, taken: bool, message: str) -> Relayed:
        retraction = order.request == "retract_alert"
        # A telescope that will not retract has nothing of the event: it is done either way.
        after = records.RETRACTED if retraction else records.RELAYED if taken else records.REFUSED
        said = f"{order.observatory} took {order.work_order}: {message}"
        if not taken:
            said = f"{order.observatory} refused {order.work_order}: {message}"
            log.error("%s", said)
        with self._sessions.begin() as session:
            query = select(Target).where(Target.id.in_(order.targets))
            for target in session.scalars(query):
                # A retraction may have come while the telescope was answering.
                if target.work_order == order.work_order:
                    target.state = after
            records.note(
                session,
                self._clock.now(),
                "relay",
                said,
                level="info" if taken else "error",
                event=order.event,
                work_order=order.work_order,
            )
        self._complained.discard(order.work_order)
        return self._outcome(order, after, message)

    @staticmethod
    def _outcome(order: _Order, state: str, message: str) -> Relayed:
        return Relayed(
            observatory=order.observatory,
            work_order=order.work_order,
            request=order.request,
            event=order.event,
            targets=len(order.targets),
            state=state,
            message=message,
        )


_UNSENT = Target.state.in_((records.SELECTED, records.RETRACTING))


def _waiting_observatories(session: Session) -> list[str]:
    return [*session.scalars(select(Target.observatory).where(_UNSENT).distinct())]


def _waiting(session: Session, observatory: str) -> list[_Order]:
    """Return the orders to send to one observatory, in the order in which the alerts came."""
    query = (
        select(Target, Alert)
        .join(Alert, Alert.id == Target.alert_id)
        .where(_UNSENT, Target.observatory == observatory)
        .order_by(Target.alert_id, Target.work_order, Target.rank)
    )
    rows = [(target, alert) for target, alert in session.execute(query)]
    orders: dict[str, _Order] = {}
    for work_order, group in groupby(rows, key=lambda row: str(row[0].work_order)):
        order = _order(work_order, [*group])
        # Targets of several revisions may wait for one retraction.
        if work_order in orders:
            order = replace(order, targets=orders[work_order].targets + order.targets)
        orders[work_order] = order
    return [*orders.values()]


def _order(work_order: str, rows: list[tuple[Target, Alert]]) -> _Order:
    target, alert = rows[0]
    ids = tuple(row.id for row, _ in rows)
    if target.state == records.RETRACTING:
        fields: dict[str, Any] = {"alert": alert.event}
        return _Order(target.observatory, work_order, "retract_alert", alert.event, ids, fields)
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
            }
            for row, _ in rows
        ],
    }
    return _Order(target.observatory, work_order, "targets", alert.event, ids, fields)
