"""Goes on by itself with file batches whose products are to be made again."""

from __future__ import annotations

import hashlib
import threading
from typing import Any

from sqlalchemy.orm import Session

from toros.archive import queries
from toros.archive.models import FileBatch
from toros.common.journal import Journal
from toros.common.module import Context
from toros.common.requests import Request
from toros.common.work_order import WorkOrder

POLL_S = 2.0  # machine seconds: a master may be rejected on the command line too

MODULE = "preprocessor"


class Requeueing:
    """Orders the resumption of batches that a rejected or re-accepted master left to be resumed.

    It is an order like any other, in the journal, so that it waits its turn, survives a restart and
    can be cancelled; each cause is ordered once.

    Parameters
    ----------
    context : Context
        Of the module.
    resume : Request
        The request that resumes a batch.
    """

    def __init__(self, context: Context, resume: Request[Any, Any]) -> None:
        self._context = context
        self._resume = resume
        node = context.config.node
        self._journal = Journal(context.sessions, MODULE, node, MODULE, context.clock)

    def run(self, stop: threading.Event) -> None:
        """Look again and again until the module stops."""
        while not stop.wait(POLL_S):
            self.look()

    def look(self) -> list[str]:
        """Order what is to be resumed; return the ids of the orders."""
        with self._context.sessions.begin() as session:
            orders = [
                WorkOrder(
                    id=f"requeued-{batch.id}-{_digest(session, batch)}",
                    request=self._resume.name,
                    user=MODULE,
                    fields={"file_batch": batch.id},
                )
                for batch in queries.requeued_batches(session, self._context.config.node)
            ]
        return [self._journal.accept(order, self._resume).id for order in orders]


def _digest(session: Session, batch: FileBatch) -> str:
    """Return a word that is another one whenever something else is to be made again."""
    units = [f"{unit.id}:{unit.attempts}" for unit in queries.requeued(session, batch)]
    return hashlib.sha256(",".join(units).encode()).hexdigest()[:12]
