"""The questions that modules ask of the archive, by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import Session

from toros.archive.models import (
    Combination,
    CombinationInput,
    Event,
    Exposure,
    FileBatch,
    FileBatchExposure,
    StepRun,
    WorkOrderRow,
)

_INTEGER_DIGITS = 18  # what a database takes as an integer


def file_batch(session: Session, key: int | str) -> FileBatch | None:
    """Return the file batch of this id or name."""
    text = str(key)
    if text.isdecimal() and len(text) <= _INTEGER_DIGITS:
        found = session.get(FileBatch, int(text))
        if found is not None:
            return found
    return file_batch_named(session, text)


def file_batch_named(session: Session, name: str) -> FileBatch | None:
    """Return the file batch of this name."""
    query = select(FileBatch).where(FileBatch.name == name).order_by(FileBatch.id.desc())
    return session.scalars(query.limit(1)).one_or_none()


def file_batches(session: Session, limit: int) -> Sequence[FileBatch]:
    """Return the newest file batches, at most `limit`."""
    return session.scalars(select(FileBatch).order_by(FileBatch.id.desc()).limit(limit)).all()


def file_batches_of(session: Session, url: str) -> Sequence[FileBatch]:
    """Return the file batches of one source, the newest first."""
    query = select(FileBatch).where(FileBatch.url == url).order_by(FileBatch.id.desc())
    return session.scalars(query).all()


def exposures(
    session: Session, file_batch_id: int, *, image_type: str | None = None, usable: bool = False
) -> Sequence[Exposure]:
    """Return the exposures of a file batch by path.

    `usable` leaves out those that cannot be read and those that were left out.
    """
    query = (
        select(Exposure)
        .join(FileBatchExposure, FileBatchExposure.exposure_id == Exposure.id)
        .where(FileBatchExposure.file_batch_id == file_batch_id)
        .order_by(Exposure.path)
    )
    if image_type is not None:
        query = query.where(Exposure.image_type == image_type)
    if usable:
        query = query.where(Exposure.state != "left_out", Exposure.sha256.is_not(None))
    return session.scalars(query).all()


def exposure_at(session: Session, path: Path) -> Exposure | None:
    """Return the exposure whose raw file is `path`."""
    return session.scalars(select(Exposure).where(Exposure.path == str(path))).one_or_none()


def step_runs(session: Session, batch: FileBatch) -> Sequence[StepRun]:
    """Return the units of the current generation of a file batch, in the order they began."""
    query = select(StepRun).where(
        StepRun.file_batch_id == batch.id, StepRun.generation == batch.generation
    )
    return session.scalars(query.order_by(StepRun.id)).all()


def problem_units(session: Session, batch: FileBatch) -> list[StepRun]:
    """Return those of the current generation in which something was wrong or missing.

    What has others in its place is none any more.
    """
    units = step_runs(session, batch)
    return [unit for unit in units if unit.code and unit.state != "superseded"]


def copies(session: Session, batch: FileBatch) -> Sequence[StepRun]:
    """Return the units that brought files here, of the last generation that had any."""
    of_batch = (StepRun.file_batch_id == batch.id) & (StepRun.step == "copy")
    last = select(func.max(StepRun.generation)).where(of_batch).scalar_subquery()
    return session.scalars(select(StepRun).where(of_batch, StepRun.generation == last)).all()


def has_begun(session: Session, batch: FileBatch, generation: int, step: str) -> bool:
    """Return whether any unit of a step of a generation of a file batch has begun."""
    query = select(StepRun.id).where(
        StepRun.file_batch_id == batch.id,
        StepRun.generation == generation,
        StepRun.step == step,
    )
    return session.scalars(query.limit(1)).first() is not None


def requeued(session: Session, batch: FileBatch) -> Sequence[StepRun]:
    """Return the units of a file batch that are to be done again."""
    query = select(StepRun).where(
        StepRun.file_batch_id == batch.id,
        StepRun.generation == batch.generation,
        StepRun.state == "requeued",
    )
    return session.scalars(query.order_by(StepRun.id)).all()


def requeued_batches(session: Session, node: str) -> Sequence[FileBatch]:
    """Return the file batches that are to be resumed and that an order to this node began."""
    query = (
        select(FileBatch)
        .join(WorkOrderRow, WorkOrderRow.id == FileBatch.work_order)
        .where(
            FileBatch.state == "requeued",
            WorkOrderRow.module == "preprocessor",
            WorkOrderRow.node == node,
        )
    )
    return session.scalars(query.order_by(FileBatch.id)).all()


def made_with_rejected(session: Session, batch: FileBatch) -> Sequence[StepRun]:
    """Return the units of a file batch whose product has a rejected master in it."""
    query = (
        select(StepRun)
        .join(CombinationInput, CombinationInput.combination_id == StepRun.combination_id)
        .join(Combination, Combination.id == CombinationInput.input_combination_id)
        .where(
            StepRun.file_batch_id == batch.id,
            StepRun.generation == batch.generation,
            StepRun.state == "done",
            Combination.rejected.is_not(None),
        )
    )
    return session.scalars(query.distinct()).all()


def has_rejected_ancestor(session: Session, combination_id: int) -> bool:
    """Return whether a product was made with a rejected one, directly or through others."""
    pending, seen = [combination_id], {combination_id}
    while pending:
        for _role, product in input_products(session, pending.pop()):
            if product.rejected is not None:
                return True
            if product.id not in seen:
                seen.add(product.id)
                pending.append(product.id)
    return False


def last_event(session: Session, module: str, beginning: str) -> Event | None:
    """Return the newest event of a module whose message begins so."""
    query = select(Event).where(
        Event.module == module, Event.message.startswith(beginning, autoescape=True)
    )
    return session.scalars(query.order_by(Event.id.desc()).limit(1)).one_or_none()


def step_run(
    session: Session, file_batch_id: int, generation: int, step: str, key: str
) -> StepRun | None:
    """Return one unit of a step."""
    query = select(StepRun).where(
        StepRun.file_batch_id == file_batch_id,
        StepRun.generation == generation,
        StepRun.step == step,
        StepRun.key == key,
    )
    return session.scalars(query).one_or_none()


def step_runs_in(
    session: Session, file_batch_id: int, generation: int, step: str
) -> Sequence[StepRun]:
    """Return all units of a step."""
    query = select(StepRun).where(
        StepRun.file_batch_id == file_batch_id,
        StepRun.generation == generation,
        StepRun.step == step,
    )
    return session.scalars(query).all()


def has_same_problem(session: Session, row: StepRun) -> bool:
    """Return whether another unit of the same step of the batch had the same problem."""
    query = select(StepRun.id).where(
        StepRun.file_batch_id == row.file_batch_id,
        StepRun.generation == row.generation,
        StepRun.step == row.step,
        StepRun.id != row.id,
        StepRun.code == row.code,
        StepRun.message == row.message,
    )
    return session.scalars(query.limit(1)).first() is not None


def step_counts(session: Session, batch: FileBatch) -> dict[str, dict[str, int]]:
    """Return, for each step of a file batch, how many units are in each state."""
    query = (
        select(StepRun.step, StepRun.state, func.count(), func.min(StepRun.id).label("first"))
        .where(StepRun.file_batch_id == batch.id, StepRun.generation == batch.generation)
        .group_by(StepRun.step, StepRun.state)
        .order_by("first")
    )
    counts: dict[str, dict[str, int]] = {}
    for step, state, number, _first in session.execute(query):
        counts.setdefault(step, {})[state] = number
    return counts


def product_at(session: Session, path: Path) -> Combination | None:
    """Return the product whose file is `path`."""
    return session.scalars(select(Combination).where(Combination.path == str(path))).one_or_none()


def calibrated_beside(session: Session, file_batch_id: int, products: Path) -> dict[str, Exposure]:
    """Return the light of each calibrated image that other file batches have in a folder."""
    query = (
        select(Combination.path, Exposure)
        .join(FileBatch, FileBatch.id == Combination.file_batch_id)
        .join(CombinationInput, CombinationInput.combination_id == Combination.id)
        .join(Exposure, Exposure.id == CombinationInput.exposure_id)
        .where(
            FileBatch.products == str(products),
            FileBatch.id != file_batch_id,
            Combination.kind == "calibrated",
            CombinationInput.role == "light",
        )
    )
    return {row[0]: row[1] for row in session.execute(query)}


def products(
    session: Session, batch: FileBatch, kinds: Iterable[str] = ()
) -> Sequence[Combination]:
    """Return what the current generation of a file batch made, of some kinds or of all.

    Masters come before what was made with them.
    """
    query = _made_by(batch.id, batch.generation)
    wanted = tuple(kinds)
    if wanted:
        query = query.where(Combination.kind.in_(wanted))
    return session.scalars(query.order_by(StepRun.id)).all()


def masters_of_run(
    session: Session, kind: str, file_batch_id: int, generation: int
) -> Sequence[Combination]:
    """Return the masters of one kind that one generation of a file batch made, none rejected."""
    query = _made_by(file_batch_id, generation).where(
        Combination.kind == kind, Combination.rejected.is_(None)
    )
    return session.scalars(query.order_by(Combination.id)).all()


def rejected_of_run(
    session: Session, kind: str, file_batch_id: int, generation: int
) -> Sequence[Combination]:
    """Return the masters that `masters_of_run` leaves out."""
    query = _made_by(file_batch_id, generation).where(
        Combination.kind == kind, Combination.rejected.is_not(None)
    )
    return session.scalars(query.order_by(Combination.id)).all()


def _made_by(file_batch_id: int, generation: int) -> Select[Any]:
    return (
        select(Combination)
        .join(StepRun, StepRun.combination_id == Combination.id)
        .where(
            StepRun.file_batch_id == file_batch_id,
            StepRun.generation == generation,
            StepRun.state == "done",
        )
    )


def masters_of_others(
    session: Session, kind: str, like: Exposure, file_batch_id: int, max_age: timedelta
) -> Sequence[Combination]:
    """Return the masters of one kind that other file batches made with the camera of `like`.

    Only those taken within `max_age` of it and not rejected; none where its date is unknown. Of a
    file batch that was reduced again, those of the newest generation, once it is whole; of one
    that has grown, those of all its frames.
    """
    if like.date_obs is None:
        return []
    query = select(Combination).where(
        Combination.kind == kind,
        Combination.rejected.is_(None),
        Combination.file_batch_id != file_batch_id,
        Combination.instrument == like.instrument,
        Combination.naxis1 == like.naxis1,
        Combination.naxis2 == like.naxis2,
        Combination.date_obs.between(like.date_obs - max_age, like.date_obs + max_age),
        ~_superseded(kind),
    )
    return session.scalars(query.order_by(Combination.id)).all()


def _superseded(kind: str) -> ColumnElement[bool]:
    """Say of a master that its file batch has others in its place.

    So it is where more frames have come, and where the batch, whole again after a restart, has
    none like it.
    """
    of_now = (
        (StepRun.file_batch_id == FileBatch.id)
        & (StepRun.generation == FileBatch.generation)
        & (StepRun.step == kind)
    )
    made = select(StepRun.id).where(of_now, StepRun.combination_id == Combination.id)
    replaced = select(FileBatch.id).where(
        FileBatch.id == Combination.file_batch_id,
        made.where(StepRun.state == "superseded").correlate(FileBatch, Combination).exists(),
    )
    failed = select(StepRun.id).where(of_now, StepRun.state == "failed")
    whole_again = select(FileBatch.id).where(
        FileBatch.id == Combination.file_batch_id,
        FileBatch.generation > 1,
        FileBatch.state == "done",
        ~made.correlate(FileBatch, Combination).exists(),
        ~failed.correlate(FileBatch).exists(),
    )
    return or_(
        replaced.correlate(Combination).exists(), whole_again.correlate(Combination).exists()
    )


def input_exposures(session: Session, combination_id: int) -> Sequence[tuple[str, Exposure]]:
    """Return the exposures that went into a product, each with its role."""
    query = (
        select(CombinationInput.role, Exposure)
        .join(Exposure, Exposure.id == CombinationInput.exposure_id)
        .where(CombinationInput.combination_id == combination_id)
        .order_by(CombinationInput.id)
    )
    return [(role, exposure) for role, exposure in session.execute(query)]


def input_products(session: Session, combination_id: int) -> Sequence[tuple[str, Combination]]:
    """Return the products that went into a product, each with its role."""
    query = (
        select(CombinationInput.role, Combination)
        .join(Combination, Combination.id == CombinationInput.input_combination_id)
        .where(CombinationInput.combination_id == combination_id)
        .order_by(CombinationInput.id)
    )
    return [(role, product) for role, product in session.execute(query)]


def products_named(session: Session, name: str) -> Sequence[Combination]:
    """Return the products whose file has this path or name."""
    query = select(Combination).where(
        (Combination.path == name) | Combination.path.endswith(f"/{name}", autoescape=True)
    )
    return session.scalars(query.order_by(Combination.id)).all()


def products_made_with(session: Session, combination_id: int) -> Sequence[Combination]:
    """Return every product that a product went into, directly or through others."""
    found: dict[int, Combination] = {}
    pending = [combination_id]
    while pending:
        query = (
            select(Combination)
            .join(CombinationInput, CombinationInput.combination_id == Combination.id)
            .where(CombinationInput.input_combination_id == pending.pop())
        )
        for product in session.scalars(query):
            if product.id not in found:
                found[product.id] = product
                pending.append(product.id)
    return [found[key] for key in sorted(found)]


def step_runs_of(session: Session, combination_id: int) -> Sequence[StepRun]:
    """Return the units of the current generation of any file batch that made a product."""
    query = (
        select(StepRun)
        .join(FileBatch, FileBatch.id == StepRun.file_batch_id)
        .where(StepRun.combination_id == combination_id, StepRun.generation == FileBatch.generation)
    )
    return session.scalars(query.order_by(StepRun.id)).all()
