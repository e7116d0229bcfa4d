"""The way of an alert through the observatory, by its records: from the notice to its images."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from toros.archive.models import (
    Alert,
    Combination,
    CombinationInput,
    Event,
    Exposure,
    Observation,
)
from toros.common.clock import iso

# What the telescope's events of the kind "stage" say, and how the report calls it.
STAGE = "stage"
SLEWING, ON_TARGET = "slewing to", "on target at"


@dataclass(frozen=True)
class Stage:
    """One stage, and when it was reached first; None where it was not.

    Attributes
    ----------
    since_previous_s : float or None
        Since the last stage before it that was reached.
    """

    name: str
    time: datetime | None
    what: str = ""
    since_previous_s: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as the report has it."""
        return {
            "stage": self.name,
            "time": iso(self.time) if self.time else None,
            "what": self.what,
            "since_previous_s": self.since_previous_s,
        }


def alerts_since(session: Session, since: datetime) -> list[str]:
    """Return the alerts that came, or were queued, from `since` on, in their order."""
    named = select(Alert.event).where(Alert.received >= since).order_by(Alert.id)
    queued = select(Observation.alert).where(
        Observation.alert.is_not(None), Observation.received >= since
    )
    both = [*session.scalars(named), *session.scalars(queued.order_by(Observation.id))]
    return list(dict.fromkeys(str(name) for name in both))


def stages_of(session: Session, alert: str, since: datetime) -> list[Stage]:
    """Return the stages of one alert from `since` on."""
    reached = [
        ("notice received", *_notice(session, alert, since)),
        ("order received", *_order(session, alert, since)),
        ("slew commanded", *_told(session, alert, since, SLEWING)),
        ("on target", *_told(session, alert, since, ON_TARGET)),
        ("first frame exposed", *_exposed(session, alert, since)),
        ("frames calibrated", *_calibrated(session, alert, since)),
    ]
    stages: list[Stage] = []
    before: datetime | None = None
    for name, time, what in reached:
        took = (time - before).total_seconds() if time and before else None
        stages.append(Stage(name, time, what, None if took is None else round(took, 3)))
        before = time or before
    return stages


def _notice(session: Session, alert: str, since: datetime) -> tuple[datetime | None, str]:
    query = select(Alert).where(Alert.event == alert, Alert.received >= since)
    row = session.scalars(query.order_by(Alert.id).limit(1)).one_or_none()
    return (row.received, f"{row.alert_type}, by {row.transport}") if row else (None, "")


def _order(session: Session, alert: str, since: datetime) -> tuple[datetime | None, str]:
    query = select(Observation.received).where(
        Observation.alert == alert, Observation.received >= since
    )
    times = session.scalars(query.order_by(Observation.received)).all()
    return (times[0], f"{len(times)} targets") if times else (None, "")


def _told(session: Session, alert: str, since: datetime, what: str) -> tuple[datetime | None, str]:
    query = select(Event).where(Event.kind == STAGE, Event.time >= since).order_by(Event.id)
    for event in session.scalars(query):
        if event.data.get("alert") == alert and event.data.get("stage") == what:
            return event.time, str(event.data.get("target", ""))
    return None, ""


def _exposed(session: Session, alert: str, since: datetime) -> tuple[datetime | None, str]:
    query = select(Exposure).where(
        Exposure.alert == alert, Exposure.image_type == "light", Exposure.date_obs >= since
    )
    row = session.scalars(query.order_by(Exposure.date_obs).limit(1)).one_or_none()
    if row is None or row.date_obs is None:
        return None, ""
    return row.date_obs + timedelta(seconds=row.exptime or 0.0), row.object or ""


def _calibrated(session: Session, alert: str, since: datetime) -> tuple[datetime | None, str]:
    query = (
        select(Combination.created)
        .join(CombinationInput, CombinationInput.combination_id == Combination.id)
        .join(Exposure, Exposure.id == CombinationInput.exposure_id)
        .where(
            Exposure.alert == alert,
            CombinationInput.role == "light",
            Combination.created >= since,
        )
        .order_by(Combination.created)
    )
    times = session.scalars(query).all()
    return (times[-1], f"{len(times)} images") if times else (None, "")
