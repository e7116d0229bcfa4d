"""Sending targets and retractions to telescopes, until each has answered."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from toros.archive.models import Target
from toros.common.client import FrontDeskClient
from toros.common.clock import Clock
from toros.common.errors import PeerError
from toros.common.work_order import OrderStatus
from toros.lvcgcn import records
from toros.lvcgcn.relay_queue import (
    UNSENT,
    Order,
    Waiting,
    waiting,
    waiting_observatories,
    waiting_of,
)
from toros.lvcgcn.stations import Station

log = logging.getLogger(__name__)

_ALERT_PRIORITY = 10
WAITING = "waiting"
#: How often a waiting thread looks if it must stop (machine seconds).
_LOOK_S = 0.25
_TAKEN = (OrderStatus.ACCEPTED, OrderStatus.COMPLETED)


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
    """Sends what the archive says is still to be sent: a thread for each observatory.

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
        # Set at first: whatever the last process left is sent at once.
        self._wake = {name: threading.Event() for name in self._stations}
        for event in self._wake.values():
            event.set()
        self._news = threading.Condition()
        self._listeners: list[list[Relayed]] = []
        self._complained: set[str] = set()

    def loops(self) -> list[tuple[str, Callable[[threading.Event], None]]]:
        """Return the name and the body of each thread."""
        served = [(f"relay-{name}", partial(self._serve_on, name)) for name in self._stations]
        return [*served, ("relay-strays", self._complain_on)]

    @property
    def outstanding(self) -> bool:
        """Whether some telescope has not answered an order yet."""
        with self._sessions() as session:
            return bool(waiting_observatories(session))

    def wake(self) -> None:
        """Let every observatory's thread look for orders now."""
        for event in self._wake.values():
            event.set()

    def hand_over(self, event: str, patience_s: float) -> list[Relayed]:
        """Have an event's orders sent, and return what became of each so far.

        An observatory that does not answer within `patience_s` (machine seconds) is not waited
        for: its thread goes on.
        """
        answers: list[Relayed] = []
        # Before the question what is to be sent: an answer that comes at once is not missed.
        with self._news:
            self._listeners.append(answers)
        try:
            with self._sessions() as session:
                orders = waiting_of(session, event)
            ids = {order.work_order for order in orders}
            self.wake()
            with self._news:
                self._news.wait_for(
                    lambda: ids <= {answer.work_order for answer in answers}, patience_s
                )
        finally:
            with self._news:
                self._listeners = [other for other in self._listeners if other is not answers]
        mine = {answer.work_order: answer for answer in answers if answer.event == event}
        for order in orders:
            late = self._outcome(order, WAITING, "it has not answered yet")
            mine.setdefault(order.work_order, late)
        return [*mine.values()]

    def _serve_on(self, observatory: str, stop: threading.Event) -> None:
        """Send one observatory's orders, and again what it does not answer, until `stop`."""
        wake = self._wake[observatory]
        while not stop.is_set():
            wake.clear()
            self._serve(observatory)
            deadline = time.monotonic() + self._retry_s
            while not stop.is_set() and time.monotonic() < deadline and not wake.wait(_LOOK_S):
                pass

    def _complain_on(self, stop: threading.Event) -> None:
        """Say of orders for observatories that are no longer configured that they wait."""
        while not stop.is_set():
            with self._sessions() as session:
                names = waiting_observatories(session)
            for name in set(names).difference(self._stations):
                self._serve(name)
            stop.wait(self._retry_s)

    def _serve(self, observatory: str) -> None:
        """Send orders in the order in which the alerts came, until one is not answered.

        No further than that: a retraction must not overtake.
        """
        with self._sessions() as session:
            queue = waiting(session, observatory)
        for order in queue:
            outcome = self._deliver(order)
            with self._news:
                for answers in self._listeners:
                    answers.append(outcome)
                self._news.notify_all()
            if outcome.state == WAITING:
                break

    def _deliver(self, order: Order) -> Relayed:
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

    def _wait(self, order: Order, why: str) -> Relayed:
        why = why.rstrip(".")
        message = f"{order.observatory} could not be given {order.work_order}: {why}; tried again."
        # Said once at ERROR, which mails the admins, and not at every attempt nor every order.
        fresh = order.observatory not in self._complained
        self._complained.add(order.observatory)
        log.log(logging.ERROR if fresh else logging.INFO, "%s", message)
        if fresh:
            with self._sessions.begin() as session:
                records.note(
                    session, self._clock.now(), "relay", message, level="error", code=PeerError.code
                )
        return self._outcome(order, WAITING, why)

    def _answered(self, order: Order, *, taken: bool, message: str) -> Relayed:
        retraction = order.request == "retract_alert"
        # A telescope that will not retract has nothing of the event: it is done either way.
        after = records.RETRACTED if retraction else records.RELAYED if taken else records.REFUSED
        said = f"{order.observatory} took {order.work_order}: {message}"
        if not taken:
            said = f"{order.observatory} refused {order.work_order}: {message}"
            log.error("%s", said)
        with self._sessions.begin() as session:
            # A retraction may have come while the telescope was answering: it has another id.
            session.execute(
                update(Target)
                .where(UNSENT, Target.work_order == order.work_order)
                .values(state=after)
            )
            records.note(
                session,
                self._clock.now(),
                "relay",
                said,
                level="info" if taken else "error",
                event=order.event,
                work_order=order.work_order,
            )
        self._complained.discard(order.observatory)
        return self._outcome(order, after, message)

    @staticmethod
    def _outcome(order: Order | Waiting, state: str, message: str) -> Relayed:
        return Relayed(
            observatory=order.observatory,
            work_order=order.work_order,
            request=order.request,
            event=order.event,
            targets=order.targets,
            state=state,
            message=message,
        )
