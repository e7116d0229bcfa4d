"""The threads that do accepted orders: one per lane."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar
from uuid import uuid4

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from toros.common.errors import Cancelled, Interrupted, LostOwnership, TorosError
from toros.common.journal import POLL_S, Journal, WorkOrderRow
from toros.common.order_context import working_on
from toros.common.pulse import Pulse
from toros.common.requests import RequestTable, Task
from toros.common.work_order import Json, OrderStatus

log = logging.getLogger(__name__)

S = TypeVar("S")
T = TypeVar("T")

# Longer than the database may take for one statement, its time-outs included (machine seconds).
LANE_PATIENCE_S = 90.0


def run_guarded(what: str, work: Callable[[], T]) -> T:
    """Return what `work` returns; turn what it did not foresee into a `TorosError`.

    Raises
    ------
    TorosError
        As raised by `work`, or with code 1 and a reference under which the log has the traceback.
    """
    try:
        return work()
    except TorosError:
        raise
    except Exception as error:
        reference = uuid4().hex[:8]
        log.exception("%s failed unexpectedly (reference %s).", what, reference)
        raise TorosError(
            f"{what} failed unexpectedly: {type(error).__name__}; the log has it under {reference}."
        ) from error


class Workers(Generic[S]):
    """Claims orders from the journal and does them.

    Parameters
    ----------
    journal : Journal
        Where the orders are.
    table : RequestTable
        What can be done.
    state : object
        The module's state, passed to each handler.
    """

    def __init__(self, journal: Journal, table: RequestTable[S], state: S) -> None:
        self._journal = journal
        self._table = table
        self._state = state
        self._repeated = [request.name for request in table if request.restart == "repeat"]
        self._anywhere = [request.name for request in table if request.anywhere]
        self._stop = threading.Event()
        self._tasks: dict[str, Task] = {}
        self._lock = threading.Lock()
        lanes = {lane: Pulse(f"lane {lane}", LANE_PATIENCE_S) for lane in table.lanes()}
        keeper = Pulse("the keeper of leases", LANE_PATIENCE_S)
        self.pulses = [*lanes.values(), keeper]
        self._threads = [
            threading.Thread(target=self._work, args=item, name=f"lane-{item[0]}", daemon=True)
            for item in lanes.items()
        ]
        self._keeper = threading.Thread(
            target=self._keep, args=(keeper,), name="keeper", daemon=True
        )

    def start(self) -> None:
        """Take up what a dead process left, then begin."""
        self._take_over()
        for thread in (*self._threads, self._keeper):
            thread.start()

    def stop(self, deadline: float) -> None:
        """Ask every running task to stop, and wait for them until `deadline` (monotonic)."""
        self._stop.set()
        with self._lock:
            for task in self._tasks.values():
                task.cancelled.set()
        self._journal.news.wake_lanes()
        for thread in (*self._threads, self._keeper):
            thread.join(max(deadline - time.monotonic(), 0.0))

    def cancel(self, key: str) -> None:
        """Tell the task that does order `key`, if one does, to stop."""
        with self._lock:
            task = self._tasks.get(key)
        if task is not None:
            task.cancelled.set()

    def doing(self) -> list[str]:
        """Return what is being done now."""
        with self._lock:
            tasks = list(self._tasks.values())
        return [f"{task.order.request} (order {task.id})" for task in tasks]

    def _keep(self, pulse: Pulse) -> None:
        """Renew our leases, and take over what others let go, until the module stops.

        It goes on while the lanes end their tasks: until then the orders are ours.
        """
        while not self._stop.is_set() or any(thread.is_alive() for thread in self._threads):
            pulse.beat()
            try:
                self._renew()
                if not self._stop.is_set():
                    self._take_over()
            except SQLAlchemyError:
                log.exception("The leases cannot be renewed; it is tried again.")
            every = self._journal.leases.renew_every_s
            pulse.beat(every)
            self._stop.wait(every if not self._stop.is_set() else POLL_S)
            if self._stop.is_set():
                self._join_lanes()

    def _join_lanes(self) -> None:
        for thread in self._threads:
            thread.join(POLL_S / len(self._threads))

    def _renew(self) -> None:
        with self._lock:
            tasks = dict(self._tasks)
        held = self._journal.leases.renew(tasks.keys())
        for key in held.lost | held.cancelled:
            with self._lock:
                current = self._tasks.get(key) is tasks[key]
            if current and not tasks[key].completed:
                tasks[key].lost = key in held.lost
                tasks[key].cancelled.set()

    def _take_over(self) -> None:
        taken = self._journal.leases.take_over(self._repeated)
        for key in taken.again:
            log.warning("Work order %s was left unfinished; it is done again.", key)
        for key in taken.interrupted:
            log.warning("Work order %s was left unfinished; it is marked interrupted.", key)
            self._journal.news.ended(key)
        if taken.again:
            self._journal.news.wake_lanes()

    def _work(self, lane: str, pulse: Pulse) -> None:
        while not self._stop.is_set():
            pulse.beat(POLL_S)
            seen = self._journal.news.arrivals(lane)
            try:
                row = self._journal.claim(lane, self._anywhere)
                if row is None:
                    self._journal.news.wait_for_arrival(lane, seen, POLL_S)
                else:
                    pulse.rest()
                    self._do(row)
            except LostOwnership as error:
                log.warning("%s", error)
            except SQLAlchemyError:
                log.exception("Lane %s cannot reach the journal; it tries again.", lane)
                self._stop.wait(POLL_S)
        pulse.rest()

    def _do(self, row: WorkOrderRow) -> None:
        taken = self._journal.moments.of(row.id)
        task = Task(
            row.order(), _complete=self._completion(row.id), taken=taken, inherited=taken is None
        )
        with self._lock:
            self._tasks[row.id] = task
            if self._stop.is_set():
                task.cancelled.set()
        try:
            with working_on(row.id, row.request, row.user):
                log.info("Begins.")
                self._run(row, task)
        finally:
            with self._lock:
                del self._tasks[row.id]

    def _run(self, row: WorkOrderRow, task: Task) -> None:
        request = self._table.find(row.request)
        what = f"Order {row.id} ({row.request})"
        try:
            fields = request.read_fields(task.order)
            result = run_guarded(what, lambda: request.handler(self._state, fields, task))
        except LostOwnership:
            raise
        except Cancelled as error:
            self._record(row, partial(self._stopped, row, task, error))
        except TorosError as error:
            log.error(  # noqa: TRY400 - foreseen: the message says it all
                "Failed with code %d: %s", error.code, error, extra={"code": error.code}
            )
            end = partial(self._journal.end, row.id, OrderStatus.FAILED, error=error)
            self._record(row, end)
        else:
            if task.completed:
                self._journal.news.ended(row.id)
            else:
                end = partial(self._journal.end, row.id, OrderStatus.COMPLETED, result=result)
                self._record(row, end)
            log.info("Completed.", extra={"code": 0})

    def _record(self, row: WorkOrderRow, end: Callable[[], None]) -> None:
        """Record the end of an order, however long the database is away: its client must learn it.

        Meanwhile the order is among our tasks, so that its lease is renewed as soon as it can be.
        """
        while True:
            try:
                end()
            except SQLAlchemyError:
                log.exception("The end of order %s cannot be recorded; it is tried again.", row.id)
                if self._stop.wait(POLL_S):
                    raise
            else:
                return

    def _stopped(self, row: WorkOrderRow, task: Task, error: Cancelled) -> None:
        """Record a task that obeyed `cancelled`: because of its client, or because we stop."""
        if task.lost:
            raise LostOwnership(f"Work order {row.id} was taken over by another worker.")
        if not self._stop.is_set() or self._journal.get(row.id).cancel_requested:
            self._journal.end(row.id, OrderStatus.CANCELLED, error=error)
        elif row.request in self._repeated:
            self._journal.leases.give_back(row.id)
            log.info("Order %s is taken up again at the next start.", row.id)
        else:
            cause = Interrupted("The module was stopped while it worked on this order.")
            self._journal.end(row.id, OrderStatus.INTERRUPTED, error=cause)

    def _completion(self, key: str) -> Callable[[Session, Json], None]:
        def complete(session: Session, result: Json) -> None:
            self._journal.finish(session, key, OrderStatus.COMPLETED, result=result)

        return complete
