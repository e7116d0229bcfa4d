"""The threads that do accepted orders: one per lane."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar
from uuid import uuid4

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from toros.common.errors import Cancelled, Interrupted, LostOwnership, TorosError
from toros.common.journal import POLL_S, Journal, WorkOrderRow
from toros.common.requests import RequestTable, Task
from toros.common.work_order import Json, OrderStatus

log = logging.getLogger(__name__)

S = TypeVar("S")


def run_guarded(what: str, work: Callable[[], Json]) -> Json:
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
        self._stop = threading.Event()
        self._tasks: dict[str, Task] = {}
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._work, args=(lane,), name=f"lane-{lane}", daemon=True)
            for lane in table.lanes()
        ]

    def start(self) -> None:
        """Take up what a dead process left, then begin."""
        repeated = [request.name for request in self._table if request.restart == "repeat"]
        again, lost = self._journal.take_up(repeated)
        for key in again:
            log.warning("Work order %s was left unfinished; it is done again.", key)
        for key in lost:
            log.warning("Work order %s was left unfinished; it is marked interrupted.", key)
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float) -> None:
        """Ask every running task to stop, and wait at most `seconds` of the machine for each."""
        self._stop.set()
        with self._lock:
            for task in self._tasks.values():
                task.cancelled.set()
        self._journal.notify()
        for thread in self._threads:
            thread.join(seconds)

    def cancel(self, key: str) -> None:
        """Tell the task that does order `key`, if one does, to stop."""
        with self._lock:
            task = self._tasks.get(key)
        if task is not None:
            task.cancelled.set()

    def _work(self, lane: str) -> None:
        while not self._stop.is_set():
            seen = self._journal.news
            try:
                row = self._journal.claim(lane)
                if row is None:
                    self._journal.wait_for_news(seen, POLL_S)
                else:
                    self._do(row)
            except LostOwnership as error:
                log.warning("%s", error)
            except SQLAlchemyError:
                log.exception("Lane %s cannot reach the journal; it tries again.", lane)
                self._stop.wait(POLL_S)

    def _do(self, row: WorkOrderRow) -> None:
        task = Task(row.order(), _complete=self._completion(row.id))
        with self._lock:
            self._tasks[row.id] = task
        log.info("Order %s (%s) of %s begins.", row.id, row.request, row.user or "nobody")
        try:
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
            self._stopped(row, error)
        except TorosError as error:
            log.error("%s failed with code %d: %s", what, error.code, error)  # noqa: TRY400
            self._journal.end(row.id, OrderStatus.FAILED, error=error)
        else:
            if task.completed:
                self._journal.notify()
            else:
                self._journal.end(row.id, OrderStatus.COMPLETED, result=result)
            log.info("%s is completed.", what)

    def _stopped(self, row: WorkOrderRow, error: Cancelled) -> None:
        """Record a task that obeyed `cancelled`: because of its client, or because we stop."""
        if not self._stop.is_set() or self._journal.get(row.id).cancel_requested:
            self._journal.end(row.id, OrderStatus.CANCELLED, error=error)
        elif self._table.find(row.request).restart == "repeat":
            log.info("Order %s is taken up again at the next start.", row.id)
        else:
            cause = Interrupted("The module was stopped while it worked on this order.")
            self._journal.end(row.id, OrderStatus.INTERRUPTED, error=cause)

    def _completion(self, key: str) -> Callable[[Session, Json], None]:
        def complete(session: Session, result: Json) -> None:
            self._journal.finish(session, key, OrderStatus.COMPLETED, result=result)

        return complete
