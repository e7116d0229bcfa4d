"""Alerts and their targets in the archive. Every function works in its caller's session.

A target's state is also the relay's to-do list: ``selected`` and ``retracting`` rows are orders
that no telescope has answered yet, so that a dead telescope or a dead daemon loses none.

::

    selected ──► relayed ──► retracting ──► retracted
        ├──────► retracting      (the telescope may have it: an answer can be lost)
        ├──────► superseded      (by a newer revision, unsent)
        └──────► refused         (by the telescope)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from toros.archive.models import Alert, Event, Target
from toros.lvcgcn.notice import AlertType, Notice
from toros.lvcgcn.pointings import Pointing
from toros.lvcgcn.process import KEPT_HOSTS, Assessment

SELECTED, RELAYED, REFUSED = "selected", "relayed", "refused"
RETRACTING, RETRACTED, SUPERSEDED = "retracting", "retracted", "superseded"


Changes = dict[str, list[str]]


@dataclass(frozen=True)
class Received:
    """How a notice came."""

    time: datetime
    transport: str
    position: str
    path: Path
    map_path: Path | None


def find_same(session: Session, notice: Notice) -> Alert | None:
    """Return the alert that says the same, whatever format it came in.

    A VOEvent and the JSON of one revision spell its map differently (an address, or embedded),
    so that their digests differ: across formats a revision is known by its kin. One that first
    brings a map is news nevertheless.
    """
    same = session.scalars(select(Alert).where(Alert.digest == notice.digest)).one_or_none()
    if same is not None or not notice.is_gravitational:
        return same
    for alert in of_event(session, notice.event):
        other = alert.notice.get("format") != notice.format.value
        brings_map = notice.sky_map is not None and alert.skymap is None
        as_real = bool(alert.notice.get("label")) == bool(notice.label)
        if other and as_real and not brings_map and alert.notice.get("kin") == notice.kin:
            return alert
    return None


def of_event(session: Session, event: str) -> Sequence[Alert]:
    """Return the revisions of an event, the first first."""
    query = select(Alert).where(Alert.event == event).order_by(Alert.revision)
    return session.scalars(query).all()


def waiting_for_map(session: Session, since: datetime) -> list[Alert]:
    """Return the newest revisions that miss nothing but a sky map, of events received since."""
    query = select(Alert).where(Alert.received >= since).order_by(Alert.id)
    counted = (alert for alert in session.scalars(query) if not alert.notice.get("outdated"))
    newest = {alert.event: alert for alert in counted}
    return [alert for alert in newest.values() if _missed(alert) == {"map"}]


def _missed(alert: Alert) -> set[str]:
    return {rule["rule"] for rule in alert.notice.get("rules", []) if not rule["passed"]}


def latest(session: Session, limit: int, event: str | None) -> Sequence[Alert]:
    """Return the newest alerts, of one event or of all."""
    query = select(Alert).order_by(Alert.id.desc()).limit(limit)
    if event is not None:
        query = query.where(Alert.event == event)
    return session.scalars(query).all()


def newer_than(notice: Notice, received: datetime, known: Sequence[Alert]) -> Alert | None:
    """Return a revision that makes this notice out of date, if there is one.

    The LVK's VOEvents are numbered through (other missions number each kind of notice for itself).
    Else the time of creation decides, but for an update that was received after a retraction, which
    is legal and whose clock may be behind: one that was received before it was overtaken while its
    map was waited for. Of what was created at once the last received counts. What is marked as a
    test never puts a real event out of date, and is always out of date beside one: it may carry the
    name of one, and even take it back.
    """
    for alert in known:
        if bool(notice.label) != bool(alert.notice.get("label")):
            if notice.label:
                return alert
            continue
        serial = alert.notice.get("serial") if notice.is_gravitational else None
        if serial is not None and notice.serial is not None:
            if serial > notice.serial:
                return alert
        elif _is_later(alert, notice, received):
            return alert
    return None


def _is_later(alert: Alert, notice: Notice, received: datetime) -> bool:
    created = alert.time_created or notice.time_created
    if notice.alert_type is AlertType.UPDATE and alert.alert_type == AlertType.RETRACTION:
        return alert.received > received and created >= notice.time_created
    return (created, alert.received) > (notice.time_created, received)


def add_alert(
    session: Session, assessment: Assessment, received: Received, *, outdated: bool
) -> Alert:
    """Record a new revision of an event and return its row.

    One that is `outdated` when it comes is counted, and changes nothing.
    """
    notice = assessment.notice
    known = select(func.max(Alert.revision)).where(Alert.event == notice.event)
    alert = Alert(
        event=notice.event,
        revision=(session.scalar(known) or 0) + 1,
        digest=notice.digest,
        alert_type=notice.alert_type.value,
        role=notice.role,
        significant=notice.significant,
        time_created=notice.time_created,
        received=received.time,
        transport=received.transport,
        path=str(received.path),
        skymap=str(received.map_path) if received.map_path else None,
        notice={
            **assessment.as_json(hosts=KEPT_HOSTS),
            "format": notice.format.value,
            "sha256": notice.sha256,
            "kin": notice.kin,
            "serial": notice.serial,
            "ivorn": notice.ivorn,
            "position_in_transport": received.position,
            "outdated": outdated,
        },
        triggered=assessment.decision.triggered,
        why=assessment.decision.why,
    )
    session.add(alert)
    session.flush()
    return alert


def add_targets(
    session: Session, alert: Alert, observatory: str, pointings: Sequence[Pointing]
) -> None:
    """Record what one observatory is to be given, the likeliest first.

    Hosts that share a pointing stand in the alert's record under the name of the likeliest.
    """
    work_order = targets_order_id(alert, observatory)
    shared = {one.name: [*one.members] for one in pointings if len(one.members) > 1}
    if shared:
        members = {**alert.notice.get("members", {}), observatory: shared}
        alert.notice = {**alert.notice, "members": members}
    rows = [
        {
            "alert_id": alert.id,
            "observatory": observatory,
            "name": one.name,
            "ra": one.ra_deg,
            "dec": one.dec_deg,
            "rank": one.rank,
            "score": one.score,
            "probability": one.probability,
            "distance_mpc": one.distance_mpc,
            "state": SELECTED,
            "work_order": work_order,
        }
        for one in pointings
    ]
    if rows:
        session.execute(insert(Target), rows)


def changes(session: Session, alert: Alert, observatory: str, names: Sequence[str]) -> Changes:
    """Return what a revision changes for one observatory, before it is recorded."""
    before = (
        select(Target.alert_id, Target.name)
        .join(Alert, Alert.id == Target.alert_id)
        .where(
            Alert.event == alert.event,
            Alert.id != alert.id,
            Target.observatory == observatory,
            Target.state.in_((SELECTED, RELAYED)),
        )
    )
    rows = session.execute(before).all()
    # What a revision in between replaced is not what the telescope has now.
    newest = max((alert_id for alert_id, _ in rows), default=None)
    standing = {name for alert_id, name in rows if alert_id == newest}
    return {
        "new": [name for name in names if name not in standing],
        "kept": [name for name in names if name in standing],
        "cancelled": sorted(standing.difference(names)),
    }


def supersede(session: Session, alert: Alert, observatories: Sequence[str]) -> None:
    """Put a new revision in the place of the earlier ones.

    What no telescope has been given yet is not sent any more. Where the new revision has no
    target, what was given is taken back: the telescope would else go on with it.

    Parameters
    ----------
    session : Session
        The caller's.
    alert : Alert
        The new revision.
    observatories : sequence of str
        Those for which it has targets; their telescopes compare the revisions themselves.
    """
    earlier = select(Alert.id).where(Alert.event == alert.event, Alert.id != alert.id)
    known = (
        select(Target.observatory)
        .where(Target.alert_id.in_(earlier), Target.state.in_((SELECTED, RELAYED)))
        .distinct()
    )
    for observatory in session.scalars(known).all():
        mine = update(Target).where(Target.alert_id.in_(earlier), Target.observatory == observatory)
        if observatory in observatories:
            unsent = mine.where(Target.state == SELECTED)
            session.execute(unsent.values(state=SUPERSEDED))
        else:
            order = retraction_order_id(alert, observatory)
            given = mine.where(Target.state.in_((SELECTED, RELAYED)))
            session.execute(given.values(state=RETRACTING, work_order=order))


def retract(session: Session, alert: Alert) -> dict[str, Changes]:
    """Take back all targets of an event; return the observatories to be told and what they lose.

    A target that is only selected may have been given to a telescope whose answer was lost, so
    its telescope is told too.
    """
    told = standing(session, alert.event)
    changed = {name: changes(session, alert, name, []) for name in told}
    for target in _targets_of(session, alert.event, (SELECTED, RELAYED)):
        target.state = RETRACTING
        target.work_order = retraction_order_id(alert, target.observatory)
    return changed


def standing(session: Session, event: str) -> list[str]:
    """Return the observatories that have, or are to be given, targets of an event."""
    targets = _targets_of(session, event, (SELECTED, RELAYED))
    return sorted({target.observatory for target in targets})


def _targets_of(session: Session, event: str, states: tuple[str, ...]) -> Sequence[Target]:
    query = (
        select(Target)
        .join(Alert, Alert.id == Target.alert_id)
        .where(Alert.event == event, Target.state.in_(states))
        .order_by(Target.id)
    )
    return session.scalars(query).all()


def targets_of_alert(session: Session, alert: Alert) -> Sequence[Target]:
    """Return a revision's targets, the likeliest of each observatory first."""
    query = select(Target).where(Target.alert_id == alert.id)
    return session.scalars(query.order_by(Target.observatory, Target.score.desc())).all()


def event_state(session: Session, event: str) -> str:
    """Return what became of an event: ``followed``, ``retracted`` or ``recorded``."""
    known = [alert for alert in of_event(session, event) if not alert.notice.get("outdated")]
    if known and known[-1].alert_type == AlertType.RETRACTION:
        return "retracted"
    return "followed" if standing(session, event) else "recorded"


def targets_order_id(alert: Alert, observatory: str) -> str:
    """Return the id of the `targets` order: the same for the same content, to be taken once."""
    return f"{alert.event}/r{alert.revision}/{alert.digest[:12]}/{observatory}"


def retraction_order_id(alert: Alert, observatory: str) -> str:
    """Return the id of the `retract_alert` order that `alert` causes."""
    return f"{alert.event}/r{alert.revision}/{alert.digest[:12]}/retract/{observatory}"


def note(session: Session, moment: datetime, kind: str, message: str, **about: Any) -> None:
    """Record that something happened.

    Parameters
    ----------
    session : Session
        The caller's.
    moment : datetime
        Now.
    kind : str
        ``alert``, ``relay`` or ``problem``.
    message : str
        One sentence.
    **about
        `level` and `code`, if they are not ``info`` and 0; the rest is kept as data.
    """
    session.add(
        Event(
            time=moment,
            module="lvcgcn",
            kind=kind,
            level=about.pop("level", "info"),
            # What a notice says may stand in it, and PostgreSQL takes neither of these.
            message=message.replace("\0", "").encode("utf-8", "replace").decode(),
            code=about.pop("code", 0),
            data=about,
        )
    )
