"""What the archive knows of one night: the questions of whoever follows it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from toros.archive.models import (
    Alert,
    Candidate,
    Combination,
    CombinationInput,
    Event,
    Exposure,
    FileBatch,
    Observation,
    StepRun,
    Target,
)


def events_since(session: Session, since: datetime) -> Sequence[Event]:
    """Return what happened from `since` on, in order."""
    return session.scalars(select(Event).where(Event.time >= since).order_by(Event.id)).all()


def frames_since(session: Session, since: datetime) -> Sequence[Exposure]:
    """Return the exposures taken from `since` on, in order."""
    query = select(Exposure).where(Exposure.date_obs >= since)
    return session.scalars(query.order_by(Exposure.date_obs)).all()


def observations_since(session: Session, since: datetime) -> Sequence[Observation]:
    """Return the queue's entries received from `since` on, the best first."""
    query = select(Observation).where(Observation.received >= since)
    return session.scalars(
        query.order_by(Observation.priority.desc(), Observation.weight.desc(), Observation.id)
    ).all()


def latest_alert(session: Session, since: datetime) -> Alert | None:
    """Return the newest alert received from `since` on."""
    query = select(Alert).where(Alert.received >= since).order_by(Alert.id.desc()).limit(1)
    return session.scalars(query).one_or_none()


def hosts_of(session: Session, alert: Alert) -> Sequence[Target]:
    """Return the host galaxies that an alert proposes, the best first."""
    query = select(Target).where(Target.alert_id == alert.id).order_by(Target.rank)
    return session.scalars(query).all()


def batches_since(session: Session, since: datetime) -> Sequence[FileBatch]:
    """Return the file batches made from `since` on."""
    query = select(FileBatch).where(FileBatch.created >= since).order_by(FileBatch.id)
    return session.scalars(query).all()


def units_of(session: Session, batches: Sequence[FileBatch]) -> Sequence[StepRun]:
    """Return the units of reduction of file batches, in the order they began."""
    ids = [batch.id for batch in batches]
    query = select(StepRun).where(StepRun.file_batch_id.in_(ids)).order_by(StepRun.id)
    return session.scalars(query).all()


def products_of(
    session: Session, batches: Sequence[FileBatch]
) -> list[tuple[Combination, str | None]]:
    """Return the products of file batches, each with the object of its light, if it has one.

    Masters first, then what was made of lights, in the order in which these were taken: units of a
    reduction end in any.
    """
    ids = [batch.id for batch in batches]
    light = (
        select(CombinationInput.combination_id, Exposure.object, Exposure.date_obs)
        .join(Exposure, Exposure.id == CombinationInput.exposure_id)
        .where(CombinationInput.role == "light")
        .subquery()
    )
    query = (
        select(Combination, light.c.object)
        .outerjoin(light, light.c.combination_id == Combination.id)
        .where(Combination.file_batch_id.in_(ids))
        .order_by(light.c.date_obs.nulls_first(), Combination.id)
    )
    return [(product, name) for product, name in session.execute(query)]


def candidates_of(session: Session, products: Sequence[Combination]) -> Sequence[Candidate]:
    """Return the transients found on products."""
    ids = [product.id for product in products]
    return session.scalars(select(Candidate).where(Candidate.combination_id.in_(ids))).all()
