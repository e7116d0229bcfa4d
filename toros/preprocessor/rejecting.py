"""A master that a person rejects: what was made with it is listed, and made again without it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session, sessionmaker

from toros.archive import queries
from toros.archive.models import Combination, Event, FileBatch
from toros.common.errors import InvalidField
from toros.preprocessor.report import Document

KINDS = ("master_bias", "master_dark", "master_flat", "bad_pixel_mask")


@dataclass(frozen=True)
class Rejection:
    """What the rejection of a master means.

    Parameters
    ----------
    master : str
        Its path.
    products : tuple of str
        Everything that was made with it, directly or through other masters.
    file_batches : tuple of (int, str)
        Id and name of the batches that have to be resumed: their units are requeued.
    """

    master: str
    why: str
    products: tuple[str, ...]
    file_batches: tuple[tuple[int, str], ...]

    def document(self) -> Document:
        """Return it as a reply shows it."""
        return {
            "master": self.master,
            "why": self.why,
            "products": list(self.products),
            "file_batches": [
                {"file_batch": number, "name": name} for number, name in self.file_batches
            ],
        }


def reject_master(sessions: sessionmaker[Session], name: str, why: str, now: datetime) -> Rejection:
    """Reject a master and requeue every unit that used it.

    The files stay where they are until they are made again; a rejected master is never offered
    again, in no batch, and not made anew by a restart of its own.

    Parameters
    ----------
    name : str
        The name of its file, or its path.
    why : str
        For those who ask later.
    now : datetime.datetime
        When.

    Raises
    ------
    InvalidField
        When no master has the name, or several have it.
    """
    with sessions.begin() as session:
        master = _master(session, name)
        master.rejected = why or "rejected"
        products = queries.products_made_with(session, master.id)
        batches: dict[int, FileBatch] = {}
        for product in products:
            for unit in queries.step_runs_of(session, product.id):
                unit.state = "requeued"
                batches[unit.file_batch_id] = session.get_one(FileBatch, unit.file_batch_id)
        for batch in batches.values():
            batch.state, batch.message = "stopped", f"{name} was rejected: to be resumed."
        session.add(_event(master, why, len(products), batches, now))
        return Rejection(
            master.path,
            master.rejected,
            tuple(product.path for product in products),
            tuple((number, batch.name) for number, batch in sorted(batches.items())),
        )


def _master(session: Session, name: str) -> Combination:
    found = [one for one in queries.products_named(session, name) if one.kind in KINDS]
    if not found:
        raise InvalidField(f"There is no master {name!r} in the archive.")
    if len(found) > 1:
        paths = ", ".join(one.path for one in found)
        raise InvalidField(f"Several masters are called {name!r}; give the path: {paths}.")
    return found[0]


def _event(
    master: Combination, why: str, count: int, batches: dict[int, FileBatch], now: datetime
) -> Event:
    return Event(
        time=now,
        module="preprocessor",
        kind="state",
        level="warning",
        message=f"{master.path} is rejected ({why}); {count} product(s) are to be made again.",
        code=0,
        data={"combination": master.id, "file_batches": sorted(batches)},
    )
