"""From a notice's bytes to its record: read, rank, decide, select, and what it changes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy.orm import Session

from toros.archive.models import Alert
from toros.common.errors import AlertError, UnreadableNotice
from toros.common.module import Context
from toros.common.own_names import value_of
from toros.lvcgcn import records
from toros.lvcgcn.catalogue import Catalogue
from toros.lvcgcn.formats import read_notice
from toros.lvcgcn.inbox import Arrival
from toros.lvcgcn.keep import Keep
from toros.lvcgcn.maps import read_file
from toros.lvcgcn.notice import Notice
from toros.lvcgcn.panic import panics_are_errors
from toros.lvcgcn.pointings import Pointing
from toros.lvcgcn.process import Assessment, assess
from toros.lvcgcn.selection import observatory_pointings, position_pointing, that_fit
from toros.lvcgcn.stations import Station
from toros.lvcgcn.trigger import Decision, is_target_itself
from toros.lvcgcn.visibility import nights

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Taken:
    """What became of a notice: its row, and whether it was known already."""

    alert: Alert
    repeated: bool


class Processor:
    """Takes notices into the archive, one at a time.

    Parameters
    ----------
    context : Context
        Configuration, clock and archive.
    stations : sequence of Station
        The observatories.
    galaxies : Catalogue
        The galaxies.
    keep : Keep
        Where sky maps are kept.
    announce : callable
        Told of the notice, and whether it is followed, just before it is on record.
    """

    def __init__(
        self,
        context: Context,
        stations: Sequence[Station],
        galaxies: Catalogue,
        keep: Keep,
        announce: Callable[[Notice, bool], None],
    ) -> None:
        self._settings = context.config.lvcgcn
        self._clock = context.clock
        self._sessions = context.sessions
        self._stations = stations
        self._galaxies = galaxies
        self._keep = keep
        self._announce = announce
        # Sources and work orders come in threads of their own; revisions are counted one by one.
        self._alone = threading.Lock()

    @panics_are_errors()
    def take(self, content: bytes, arrival: Arrival, sky_map: Path | None = None) -> Taken:
        """Put a notice on record with all that follows from it; nothing is sent yet.

        Raises
        ------
        UnreadableNotice
            If it cannot be read; the failure is on record.
        """
        try:
            notice = read_notice(content)
        except UnreadableNotice as error:
            self.record_problem(str(error), arrival, error.code)
            raise
        return self._take(notice, arrival, sky_map)

    def record_problem(self, message: str, arrival: Arrival, code: int = AlertError.code) -> None:
        """Put on record that a notice could not be processed."""
        with self._sessions.begin() as session:
            records.note(
                session,
                self._clock.now(),
                "problem",
                message,
                level="error",
                code=code,
                path=str(arrival.path),
                transport=arrival.transport,
                position=arrival.position,
            )

    def _take(self, notice: Notice, arrival: Arrival, sky_map: Path | None) -> Taken:
        same, notice = self._known(notice, sky_map)
        if same is not None:
            return self._repeated(same, arrival)
        # While a map is downloaded others go on.
        assessment = assess(
            notice,
            self._settings,
            galaxies=self._galaxies,
            sky_map=sky_map,
            received=arrival.received,
        )
        with self._alone:
            # It may have come by another way meanwhile.
            same, _ = self._known(notice, None)
            if same is not None:
                return self._repeated(same, arrival)
            return self._put(assessment, arrival)

    def _known(self, notice: Notice, sky_map: Path | None) -> tuple[Alert | None, Notice]:
        """Return the alert that says the same as a notice, and the notice with its map by hand."""
        with self._sessions() as session:
            same = records.find_same(session, notice)
            if same is not None and sky_map is not None:
                # The same notice with a map that it was not ranked by is a revision of ours.
                content = read_file(sky_map, self._settings.max_map_bytes)
                if str(self._keep.sky_map(content)) != same.skymap:
                    notice = replace(notice, sky_map=content)
                    same = records.find_same(session, notice)
        return same, notice

    @staticmethod
    def _repeated(same: Alert, arrival: Arrival) -> Taken:
        log.info("%s, revision %d, came again by %s.", same.event, same.revision, arrival.transport)
        return Taken(same, repeated=True)

    def _put(self, assessment: Assessment, arrival: Arrival) -> Taken:
        """Record a notice that is new."""
        notice = assessment.notice
        obtained = assessment.obtained
        received = records.Received(
            time=arrival.received,
            transport=arrival.transport,
            position=arrival.position,
            path=arrival.path,
            map_path=self._keep.sky_map(obtained.content) if obtained else None,
        )
        with self._sessions() as session:
            alert = self._record(session, assessment, received)
            # Before the commit: one that dies in between announces it when it is taken again.
            self._announce(notice, alert.triggered or bool(alert.notice.get("concerns")))
            session.commit()
        return Taken(alert, repeated=False)

    def _record(
        self, session: Session, assessment: Assessment, received: records.Received
    ) -> Alert:
        """Record the alert and its targets, and what becomes of those before it."""
        notice = assessment.notice
        known = records.of_event(session, notice.event)
        outdated = records.newer_than(notice, received.time, known)
        if outdated is not None:
            why = f"Revision {outdated.revision} ({outdated.alert_type}) is newer: recorded only."
            if notice.label and not outdated.notice.get("label"):
                why = f"{notice.label}, though {notice.event} is a real event: recorded only."
            decision = Decision(False, why, assessment.decision.checks)
            assessment = replace(assessment, decision=decision)
        alert = records.add_alert(session, assessment, received, outdated=outdated is not None)
        if notice.is_retraction and outdated is None:
            lost = records.retract(session, alert)
            alert.why = f"The event is retracted; told: {', '.join(lost) or 'nobody had it'}."
            alert.notice = {**alert.notice, "told": [*lost], "concerns": [*lost], "changes": lost}
        elif assessment.decision.triggered:
            self._select(session, alert, assessment)
        elif outdated is None and (standing := records.standing(session, notice.event)):
            # A map that cannot be had, or a rule that is missed, is no word of the LVK to stop.
            alert.why += f" What an earlier revision started goes on at {', '.join(standing)}."
            alert.notice = {**alert.notice, "concerns": standing}
        label = f" [{notice.label}]" if notice.label else ""
        message = (
            f"{notice.alert_type} of {notice.event}{label}, revision {alert.revision}: {alert.why}"
        )
        log.info("%s", message)
        records.note(session, received.time, "alert", message, event=notice.event)
        for problem in assessment.problems:
            log.warning("%s: %s", notice.event, problem)
        return alert

    def _select(self, session: Session, alert: Alert, assessment: Assessment) -> None:
        """Choose each observatory's targets among the hosts."""
        served, changes = [], {}
        for station in self._stations:
            found = self._pointings(station, assessment)
            pointings = that_fit(found)
            if len(pointings) < len(found):
                alert.why += f" An order to {station.name} holds the {len(pointings)} likeliest."
            names = [pointing.name for pointing in pointings]
            changes[station.name] = records.changes(session, alert, station.name, names)
            records.add_targets(session, alert, station.name, pointings)
            if pointings:
                served.append(station.name)
        alert.notice = {**alert.notice, "changes": changes}
        session.flush()
        records.supersede(session, alert, served)
        blind = [station.name for station in self._stations if station.name not in served]
        if not self._stations:
            alert.why += " No observatory is configured to relay it to."
        if blind:
            alert.why += f" Nothing of it rises tonight at {', '.join(blind)}."

    def _pointings(self, station: Station, assessment: Assessment) -> list[Pointing]:
        usable = nights(station.site, self._clock.now(), self._settings)
        field_deg = value_of(self._settings.fields_of_view_deg, station.name)
        if is_target_itself(assessment.notice, self._settings, station.name):
            return position_pointing(assessment.notice, usable)
        if assessment.sky_map is None or assessment.ranking is None:
            return []
        return observatory_pointings(
            assessment.sky_map, assessment.ranking, usable, self._settings.hosts, field_deg
        )
