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

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from toros.archive.models import Alert, Event, Target
from toros.lvcgcn.notice import AlertType, Notice
from toros.lvcgcn.process import Assessment
from toros.lvcgcn.ranking import Ranking

SELECTED, RELAYED, REFUSED = "selected", "relayed", "refused"
RETRACTING, RETRACTED, SUPERSEDED = "retracting", "retracted", "superseded"

#: Hosts that the archive keeps of every alert, so that it can be asked without ranking again.
_KEPT_HOSTS = 100


@dataclass(frozen=True)
class Received:
    """How a notice came."""

    time: datetime
    transport: str
    path: Path
    map_path: Path | None


def find_same(session: Session, notice: Notice) -> Alert | None:
    """Return the alert that says the same, whatever format it came in."""
    return session.scalars(select(Alert).where(Alert.digest == notice.digest)).one_or_none()


def of_event(session: Session, event: str) -> Sequence[Alert]:
    """Return the revisions of an event, the first first."""
    query = select(Alert).where(Alert.event == event).order_by(Alert.revision)
    return session.scalars(query).all()


def latest(session: Session, limit: int, event: str | None) -> Sequence[Alert]:
    """Return the newest alerts, of one event or of all."""
    query = select(Alert).order_by(Alert.id.desc()).limit(limit)
    if event is not None:
        query = query.where(Alert.event == event)
    return session.scalars(query).all()


def newer_than(notice: Notice, known: Sequence[Alert]) -> Alert | None:
    """Return a revision that makes this notice out of date, if there is one.

    VOEvents are numbered. For the others the time of creation decides, but for an update after a
    retraction, which is legal and whose clock may be behind.
    """
    for alert in known:
        serial = alert.notice.get("serial")
        if serial is not None and notice.serial is not None:
            if serial > notice.serial:
                return alert
        elif (alert.time_created or notice.time_created) > notice.time_created and not (
            notice.alert_type is AlertType.UPDATE and alert.alert_type == AlertType.RETRACTION
        ):
            return alert
    return None


def add_alert(session: Session, assessment: Assessment, received: Received) -> Alert:
    """Record a new revision of an event and return its row."""
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
            **assessment.as_json(hosts=_KEPT_HOSTS),
            "format": notice.format.value,
            "sha256": notice.sha256,
            "serial": notice.serial,
            "ivorn": notice.ivorn,
        },
        triggered=assessment.decision.triggered,
        why=assessment.decision.why,
    )
    session.add(alert)
    session.flush()
    return alert


def add_targets(
    session: Session, alert: Alert, observatory: str, chosen: Ranking, ranks: Sequence[int]
) -> None:
    """Record the hosts that one observatory is to be given.

    Parameters
    ----------
    session : Session
        The caller's.
    alert : Alert
        The revision they belong to.
    observatory : str
        Its name.
    chosen : Ranking
        The hosts, the likeliest first.
    ranks : sequence of int
        Their ranks among all galaxies, counted from 1.
    """
    work_order = targets_order_id(alert, observatory)
    for host, rank in zip(chosen.hosts(len(chosen)), ranks, strict=True):
        session.add(
            Target(
                alert_id=alert.id,
                observatory=observatory,
                name=host["name"],
                ra=host["ra"],
                dec=host["dec"],
                rank=rank,
                score=host["score"],
                probability=host["probability"],
                distance_mpc=host["distance_mpc"],
                state=SELECTED,
                work_order=work_order,
            )
        )


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
    for target in _targets_of(session, alert.event, (SELECTED, RELAYED)):
        if target.alert_id == alert.id:
            continue
        if target.observatory not in observatories:
            target.state = RETRACTING
            target.work_order = retraction_order_id(alert, target.observatory)
        elif target.state == SELECTED:
            target.state = SUPERSEDED


def retract(session: Session, alert: Alert) -> list[str]:
    """Take back all targets of an event; return the observatories that must be told.

    A target that is only selected may have been given to a telescope whose answer was lost, so
    its telescope is told too.
    """
    told = set()
    for target in _targets_of(session, alert.event, (SELECTED, RELAYED)):
        target.state = RETRACTING
        target.work_order = retraction_order_id(alert, target.observatory)
        told.add(target.observatory)
    return sorted(told)


def _targets_of(session: Session, event: str, states: tuple[str, ...]) -> Sequence[Target]:
    query = (
        select(Target)
        .join(Alert, Alert.id == Target.alert_id)
        .where(Alert.event == event, Target.state.in_(states))
        .order_by(Target.id)
    )
    return session.scalars(query).all()


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
            message=message,
            code=about.pop("code", 0),
            data=about,
        )
    )
