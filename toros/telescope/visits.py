"""When a target was last observed, as the archive's frames have it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from toros.archive.models import Exposure, Observation
from toros.telescope.frames import LEFT_OUT


def last_visits(session: Session, rows: Sequence[Observation]) -> list[datetime | None]:
    """Return for each entry when another entry of the same target last got a frame.

    Targets are the same if they have the same observatory, name and filter. An entry's own frames
    are no visit to come back from: an observation that was interrupted is still the same one. One
    query, whatever the number of entries.
    """
    if not rows:
        return []
    frames = (
        select(
            Observation.id,
            Observation.observatory,
            Observation.name,
            Observation.filter,
            func.max(Exposure.date_obs),
        )
        .join(Exposure, Exposure.observation_id == Observation.id)
        .where(
            Observation.name.in_({row.name for row in rows}),
            Exposure.state != LEFT_OUT,
        )
        .group_by(Observation.id, Observation.observatory, Observation.name, Observation.filter)
    )
    visits: dict[tuple[str, str, str | None], list[tuple[int, datetime]]] = {}
    for number, observatory, name, band, moment in session.execute(frames):
        if moment is not None:
            visits.setdefault((observatory, name, band), []).append((number, moment))
    return [
        max(
            (
                moment
                for number, moment in visits.get((row.observatory, row.name, row.filter), ())
                if number != row.id
            ),
            default=None,
        )
        for row in rows
    ]
