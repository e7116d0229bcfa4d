"""What the archive knows of alerts: what `toros alert list`, `show` and `replay` print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from toros.archive.models import Alert, Target
from toros.archive.schema import check_current
from toros.common.atomic import write_bytes
from toros.common.clock import iso
from toros.common.config import Config
from toros.common.database import make_engine, make_sessions
from toros.common.errors import UnknownEvent, UnusableSkyMap
from toros.lvcgcn import catalogue_sources as catalogues
from toros.lvcgcn import records
from toros.lvcgcn.formats import read_notice
from toros.lvcgcn.letter import Letter
from toros.lvcgcn.process import assess, read_notice_file


@contextmanager
def _archive(config: Config) -> Iterator[Session]:
    engine = make_engine(config.database.url)
    try:
        check_current(engine)
        with make_sessions(engine)() as session:
            yield session
    finally:
        engine.dispose()


def summary(alert: Alert) -> dict[str, Any]:
    """Return one line's worth of an alert."""
    return {
        "event": alert.event,
        "revision": alert.revision,
        "alert_type": alert.alert_type,
        "role": alert.role,
        "label": alert.notice.get("label"),
        "significant": alert.significant,
        "time_created": iso(alert.time_created) if alert.time_created else None,
        "received": iso(alert.received),
        "transport": alert.transport,
        "triggered": alert.triggered,
        "why": alert.why,
    }


def alert_list(config: Config, *, limit: int, event: str | None) -> list[dict[str, Any]]:
    """Return the newest alerts on record, the newest first."""
    with _archive(config) as session:
        return [summary(alert) for alert in records.latest(session, limit, event)]


def alert_show(config: Config, event: str) -> dict[str, Any]:
    """Return an event's state, its revisions, and the targets of the newest that has some.

    Raises
    ------
    UnknownEvent
        If nothing was received of it.
    """
    with _archive(config) as session:
        known = _known(session, event)
        return {
            "event": event,
            "state": records.event_state(session, event),
            "revisions": [
                {
                    **summary(alert),
                    "path": alert.path,
                    "skymap": alert.skymap,
                    "rules": alert.notice.get("rules", []),
                    "changes": alert.notice.get("changes", {}),
                    "external": alert.notice.get("external"),
                }
                for alert in known
            ],
            "targets": [_target(target) for target in _newest_targets(session, known)],
        }


def event_plot(config: Config, event: str, picture: Path) -> None:
    """Draw an event's newest sky map, or error circle, with its targets as a PNG.

    Raises
    ------
    UnknownEvent, UnusableSkyMap
        If there is no such event, or it has no map.
    """
    with _archive(config) as session:
        known = reversed(_known(session, event))
        plots = (Letter(one, records.targets_of_alert(session, one)).plot() for one in known)
        plot = next((found for found in plots if found is not None), None)
    if plot is None:
        raise UnusableSkyMap(f"No notice of {event} had a sky map that can be used.")
    write_bytes(picture, plot)


def alert_replay(config: Config, event: str) -> list[dict[str, Any]]:
    """Decide anew on an event's notices with the rules of `config`; nothing is sent or recorded.

    Raises
    ------
    UnknownEvent, UnreadableNotice
        If nothing was received of it, or its journaled bytes are gone.
    """
    settings = config.lvcgcn
    galaxies = catalogues.load(settings.catalog, settings.catalog_folder)
    with _archive(config) as session:
        known = _known(session, event)
    found = []
    for alert in known:
        notice = read_notice(read_notice_file(Path(alert.path)))
        assessment = assess(
            notice,
            settings,
            galaxies=galaxies,
            # What was used then: a map may have been downloaded, or given by hand.
            sky_map=Path(alert.skymap) if alert.skymap else None,
            received=alert.received,
        )
        document = assessment.as_json(hosts=settings.hosts)
        found.append({**document, "revision": alert.revision, "triggered_then": alert.triggered})
    return found


def _known(session: Session, event: str) -> Sequence[Alert]:
    known = records.of_event(session, event)
    if not known:
        raise UnknownEvent(f"No notice of {event} was received.")
    return known


def _newest_targets(session: Session, known: Sequence[Alert]) -> Sequence[Target]:
    for alert in reversed(known):
        targets = records.targets_of_alert(session, alert)
        if targets:
            return targets
    return []


def _target(target: Target) -> dict[str, Any]:
    columns = ("observatory", "rank", "name", "ra", "dec", "distance_mpc", "probability", "state")
    return {column: getattr(target, column) for column in columns}
