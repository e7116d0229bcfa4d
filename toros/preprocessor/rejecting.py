"""A master that a person rejects, and may accept again: what was made with it is made again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session, sessionmaker

from toros.archive import queries
from toros.archive.models import Combination, Event, FileBatch, StepRun
from toros.common.errors import InvalidField
from toros.preprocessor.report import Document

KINDS = ("master_bias", "master_dark", "master_flat", "bad_pixel_mask")

_REJECTED = "is rejected"


@dataclass(frozen=True)
class Judgement:
    """What the rejection or the acceptance of a master means.

    Parameters
    ----------
    master : str
        Its path.
    products : tuple of str
        What is to be made again: everything that was made with it, directly or through other
        masters; or, once it is accepted again, what was made without it in the meantime.
    file_batches : tuple of (int, str)
        Id and name of the batches that have to be resumed: their units are requeued.
    """

    master: str
    why: str
    user: str | None
    products: tuple[str, ...]
    file_batches: tuple[tuple[int, str], ...]

    def document(self) -> Document:
        """Return it as a reply shows it."""
        return {
            "master": self.master,
            "why": self.why,
            "user": self.user,
            "products": list(self.products),
            "file_batches": [
                {"file_batch": number, "name": name} for number, name in self.file_batches
            ],
        }


def reject_master(
    sessions: sessionmaker[Session], name: str, why: str, now: datetime, user: str | None = None
) -> Judgement:
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
    user : str, optional
        Who rejects it.

    Raises
    ------
    InvalidField
        When no master has the name, or several have it.
    """
    with sessions.begin() as session:
        master = _master(session, name)
        master.rejected = why or "rejected"
        products = queries.products_made_with(session, master.id)
        units = [unit for product in products for unit in queries.step_runs_of(session, product.id)]
        for unit in units:
            unit.state = "requeued"
        batches = _requeue(session, units, f"{name} was rejected: to be resumed.")
        count = f"{len(products)} product(s) are to be made again"
        event = _event(master, _REJECTED, user, why, count, now)
        event.data["units"] = [[unit.file_batch_id, unit.step, unit.key] for unit in units]
        session.add(event)
        return _judgement(master, why or "rejected", user, products, batches)


def accept_master(
    sessions: sessionmaker[Session], name: str, why: str, now: datetime, user: str | None = None
) -> Judgement:
    """Accept a rejected master again.

    What was not made again in the meantime stands as it was; what was made without it is requeued.

    Parameters
    ----------
    name, why, now, user
        As for `reject_master`.

    Raises
    ------
    InvalidField
        When no master has the name, several have it, or it is not rejected.
    """
    with sessions.begin() as session:
        master = _master(session, name)
        if master.rejected is None:
            raise InvalidField(f"{master.path} is not rejected.")
        master.rejected = None
        session.flush()
        again: list[StepRun] = []
        untouched: list[StepRun] = []
        for unit in _units_of_rejection(session, master):
            if unit.state == "requeued":
                if _is_sound(session, unit):
                    unit.state = "failed" if unit.combination_id is None else "done"
                    untouched.append(unit)
            elif unit.state in ("done", "failed"):
                unit.state = "requeued"
                again.append(unit)
        session.flush()
        batches = _requeue(session, again, f"{name} was accepted again: to be resumed.")
        _release(session, untouched)
        products = [
            session.get_one(Combination, unit.combination_id)
            for unit in again
            if unit.combination_id is not None
        ]
        count = f"{len(products)} product(s) are to be made again"
        session.add(_event(master, "is accepted again", user, why, count, now))
        return _judgement(master, why, user, products, batches)


def _judgement(
    master: Combination,
    why: str,
    user: str | None,
    products: Iterable[Combination],
    batches: Sequence[FileBatch],
) -> Judgement:
    return Judgement(
        master.path,
        why,
        user,
        tuple(product.path for product in products),
        tuple((batch.id, batch.name) for batch in batches),
    )


def _requeue(session: Session, units: Iterable[StepRun], message: str) -> list[FileBatch]:
    """Mark the batches of some units as to be resumed; one that runs is when it ends."""
    numbers = sorted({unit.file_batch_id for unit in units})
    batches = [session.get_one(FileBatch, number) for number in numbers]
    for batch in batches:
        if batch.state != "running":
            batch.state, batch.message = "requeued", message
    return batches


def _release(session: Session, units: Iterable[StepRun]) -> None:
    """Take back the requeueing of batches that have nothing left to make again."""
    for number in {unit.file_batch_id for unit in units}:
        batch = session.get_one(FileBatch, number)
        if batch.state == "requeued" and not queries.requeued(session, batch):
            batch.state, batch.message = "done", ""


def _is_sound(session: Session, unit: StepRun) -> bool:
    """Return whether nothing that its product was made with is rejected."""
    if unit.combination_id is None:
        return True
    return not queries.has_rejected_ancestor(session, unit.combination_id)


def _units_of_rejection(session: Session, master: Combination) -> list[StepRun]:
    """Return the units that the last rejection of a master requeued, as they are now."""
    event = queries.last_event(session, "preprocessor", f"{master.path} {_REJECTED}")
    found = []
    for number, step, key in event.data.get("units", ()) if event else ():
        batch = session.get(FileBatch, number)
        if batch is None:
            continue
        unit = queries.step_run(session, batch.id, batch.generation, step, key)
        if unit is not None:
            found.append(unit)
    return found


def _master(session: Session, name: str) -> Combination:
    found = [one for one in queries.products_named(session, name) if one.kind in KINDS]
    if not found:
        raise InvalidField(f"There is no master {name!r} in the archive.")
    if len(found) > 1:
        paths = ", ".join(one.path for one in found)
        raise InvalidField(f"Several masters are called {name!r}; give the path: {paths}.")
    return found[0]


def _event(
    master: Combination, what: str, user: str | None, why: str, count: str, now: datetime
) -> Event:
    by = f" by {user}" if user else ""
    return Event(
        time=now,
        module="preprocessor",
        kind="state",
        level="warning",
        message=f"{master.path} {what}{by} ({why}); {count}.",
        code=0,
        data={"combination": master.id, "user": user, "why": why},
    )
