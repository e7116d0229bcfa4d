"""What happens to a work order behind the door: read, find, journal, answer."""

from __future__ import annotations

import logging
import threading
import time
from typing import Annotated, Any, Literal

from pydantic import Field

from toros import __version__
from toros.common.access import Caller
from toros.common.clock import Clock, iso
from toros.common.errors import Forbidden, TorosError
from toros.common.journal import Journal
from toros.common.module import Module
from toros.common.requests import Fields, NoFields, Request, RequestTable, Task
from toros.common.work_order import Json, OrderId, OrderStatus, Reply, WorkOrder
from toros.common.workers import Workers, run_guarded

log = logging.getLogger(__name__)

GAUGE_S = 1.0
# Questions are answered at once: nobody can cancel them.
_NEVER = threading.Event()
# That the journal knows; what is rejected is in no journal.
OrderState = Literal["accepted", "running", "completed", "failed", "interrupted", "cancelled"]


class OrderKey(Fields):
    """Names one work order."""

    work_order: OrderId


class OrderList(Fields):
    """Which work orders to list."""

    state: OrderState | None = None
    # SQLite takes a negative limit for none at all, and PostgreSQL for an error.
    limit: Annotated[int, Field(ge=1, le=10_000)] = 100


class QueueGauge:
    """The length of a queue, asked of the database only when it may have changed.

    Status orders come many times a second; the orders of other nodes show within a second.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._seen: tuple[int, float] = (-1, 0.0)
        self._length = 0

    def length(self) -> int:
        """Return how many orders wait or are being done."""
        news, now = self._journal.news.count, time.monotonic()
        if self._seen[0] != news or now - self._seen[1] > GAUGE_S:
            self._length = self._journal.queue_length()
            self._seen = (news, now)
        return self._length


class Desk:
    """Takes a client's struct and returns the struct of the reply.

    Parameters
    ----------
    module : Module
        Whose desk it is.
    journal : Journal
        Where accepted orders go.
    workers : Workers
        Who does them.
    clock : Clock
        The observatory's time.
    """

    def __init__(
        self, module: Module[Any], journal: Journal, workers: Workers[Any], clock: Clock
    ) -> None:
        self._module = module
        self._journal = journal
        self._workers = workers
        self._clock = clock
        self._since = iso(clock.now())
        self._queue = QueueGauge(journal)
        self._table: RequestTable[Any] = RequestTable([*self._common_requests(), *module.table])

    def handle(self, struct: object, caller: Caller) -> dict[str, Any]:
        """Return the reply to one work order.

        Raises
        ------
        Forbidden
            When the caller may not send it.
        """
        order: WorkOrder | None = None
        try:
            order = WorkOrder.read(struct).sent_by(caller.name)
            request = self._table.find(order.request)
            caller.require(*request.names)
            fields = request.read_fields(order)
            if request.journaled:
                reply = self._journaled(order, request)
            else:
                reply = self._at_once(order, request, fields)
        except Forbidden:
            raise
        except TorosError as error:
            reply = Reply.refusal(self._module.name, order, error, self._clock.now())
        log.log(
            # Questions are asked every second; what was ordered or went wrong is kept.
            logging.DEBUG if reply.status is OrderStatus.COMPLETED else logging.INFO,
            "Order %s: request %s by %s: %s, code %d.",
            reply.id,
            reply.request,
            order.user if order else None,
            reply.status.value,
            reply.code,
            extra={"code": reply.code},
        )
        return reply.as_struct()

    def _journaled(self, order: WorkOrder, request: Request[Any, Any]) -> Reply:
        row = self._journal.accept(order, request)
        wait = request.wait_s if order.wait is None else order.wait
        if wait > 0:
            row = self._journal.wait_for_end(row.id, wait)
        return row.reply(self._clock.now()).model_copy(update={"id": order.id})

    def _at_once(self, order: WorkOrder, request: Request[Any, Any], fields: Fields) -> Reply:
        status, result, code, message = OrderStatus.COMPLETED, None, 0, ""
        try:
            result = run_guarded(
                f"Request {request.name}",
                lambda: request.handler(self._module.state, fields, Task(order, _NEVER)),
            )
        except TorosError as error:
            status, code, message = OrderStatus.FAILED, error.code, error.message
        return Reply(
            id=order.id,
            module=self._module.name,
            request=request.name,
            status=status,
            code=code,
            message=message,
            result=result,
            datetime=iso(self._clock.now()),
        )

    def _common_requests(self) -> list[Request[Any, Any]]:
        return [
            Request(
                name="status",
                fields=NoFields,
                handler=lambda _state, _fields, _task: self._status(),
                summary="What the module is and does.",
            ),
            Request(
                name="work_order_status",
                fields=OrderKey,
                handler=lambda _state, fields, _task: self._journal.get(
                    str(fields.work_order)
                ).summary(),
                summary="What became of a work order.",
            ),
            Request(
                name="list_work_orders",
                fields=OrderList,
                handler=lambda _state, fields, _task: [
                    row.summary() for row in self._journal.list(fields.state, fields.limit)
                ],
                summary="The newest work orders.",
            ),
            Request(
                name="cancel",
                fields=OrderKey,
                handler=lambda _state, fields, _task: self._cancel(str(fields.work_order)),
                summary="Cancel a work order that waits, or stop one that runs.",
            ),
        ]

    def _status(self) -> Json:
        return {
            "module": self._module.name,
            "status": "running",
            "version": __version__,
            "since": self._since,
            "queue": self._queue.length(),
            **self._module.describe(),
        }

    def _cancel(self, key: str) -> Json:
        row = self._journal.request_cancel(key)
        self._workers.cancel(key)
        return row.summary()
