"""Orders that are not lost when the archive is away for a moment."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionLeft

from toros.common.errors import Cancelled
from toros.common.requests import Fields, Task
from toros.common.work_order import Json
from toros.telescope.desk import TelescopeDesk

log = logging.getLogger(__name__)

RETRY_S = 1.0  # of the machine
AWAY = (OperationalError, InterfaceError, NoConnectionLeft)

F = TypeVar("F", bound=Fields)
Handler = Callable[[TelescopeDesk, F, Task], Json]


def persistent(handler: Handler[F]) -> Handler[F]:
    """Do an order again and again while the archive is away.

    The alert robot was told that it is accepted, and will not send it again: as a failure it would
    be lost. Only for handlers that can be repeated.
    """

    @wraps(handler)
    def until_it_is_done(desk: TelescopeDesk, fields: F, task: Task) -> Json:
        told = False
        while True:
            try:
                return handler(desk, fields, task)
            except AWAY as error:
                if not told:
                    log.error("Order %s waits for the archive: %s", task.id, error)  # noqa: TRY400
                told = True
            if task.cancelled.wait(RETRY_S):
                raise Cancelled(f"Work order {task.id} waited for the archive.")

    return until_it_is_done
