"""What the alert daemon does with a notice: keep, read, rank, record, relay."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from toros.archive.models import Alert
from toros.common.client import FrontDeskClient
from toros.common.clock import iso
from toros.common.errors import AlertError, UnknownEvent, UnreadableNotice, UnusableSkyMap
from toros.common.module import Context
from toros.common.work_order import Json
from toros.lvcgcn import catalogue as catalogues
from toros.lvcgcn import records
from toros.lvcgcn.formats import read_notice
from toros.lvcgcn.keep import Keep
from toros.lvcgcn.maps import read_file
from toros.lvcgcn.process import Assessment, assess
from toros.lvcgcn.ranking import rank
from toros.lvcgcn.relay import Relay, Relayed
from toros.lvcgcn.skymap_fits import read_sky_map
from toros.lvcgcn.stations import stations_of
from toros.lvcgcn.trigger import Decision
from toros.lvcgcn.visibility import observable

log = logging.getLogger(__name__)


class AlertDesk:
    """The daemon's state: settings, catalogue, archive, relay.

    Parameters
    ----------
    context : Context
        Configuration, clock and archive.

    Raises
    ------
    ConfigurationError, UnusableCatalogue
        If the folder of the alerts cannot be made, or the catalogue not be had.
    """

    def __init__(self, context: Context) -> None:
        self._settings = context.config.lvcgcn
        self._clock = context.clock
        self._sessions = context.sessions
        self._stations = stations_of(context.config)
        self._keep = Keep(self._settings.folder)
        # Loaded now: a broken catalogue must show at the start, not at the first alert.
        self._galaxies = catalogues.load(self._settings.catalog, self._settings.catalog_folder)
        self.relay = Relay(
            context.sessions,
            self._stations,
            context.clock,
            connect=partial(
                FrontDeskClient.to, context.config, timeout_s=self._settings.relay_timeout_s
            ),
            retry_s=self._settings.relay_retry_s,
        )

    def process(self, content: bytes, transport: str, sky_map: Path | None = None) -> Json:
        """Take in a notice: the whole way from its bytes to the telescopes.

        Parameters
        ----------
        content : bytes
            The notice.
        transport : str
            How it came.
        sky_map : pathlib.Path, optional
            A sky map to use instead of the notice's.

        Raises
        ------
        UnreadableNotice
            If it cannot be read; its bytes are kept and the failure is on record.
        """
        path = self._keep.notice(content)
        try:
            notice = read_notice(content)
        except UnreadableNotice as error:
            self._record_problem(error, path)
            raise
        with self._sessions() as session:
            same = records.find_same(session, notice)
            if same is not None:
                return self._repeated(same)
        assessment = assess(notice, self._settings, galaxies=self._galaxies, sky_map=sky_map)
        obtained = assessment.obtained
        received = records.Received(
            time=self._clock.now(),
            transport=transport,
            path=path,
            map_path=self._keep.sky_map(obtained.content) if obtained else None,
        )
        with self._sessions.begin() as session:
            alert = self._record(session, assessment, received)
        relayed = self.relay.send() if alert.triggered or notice.is_retraction else []
        return self._answer(alert, [one for one in relayed if one.event == alert.event])

    def list_alerts(self, limit: int, event: str | None) -> list[Json]:
        """Return the newest alerts, the newest first."""
        with self._sessions() as session:
            return [_summary(alert) for alert in records.latest(session, limit, event)]

    def host_galaxies(self, event: str, top: int | None) -> Json:
        """Return the hosts of an event's newest revision that has a sky map.

        Raises
        ------
        UnknownEvent
            If nothing was received of it.
        UnusableSkyMap
            If no notice of it had a sky map that can be used.
        """
        with self._sessions() as session:
            known = records.of_event(session, event)
        if not known:
            raise UnknownEvent(f"No notice of {event} was received.")
        mapped = [alert for alert in known if alert.skymap]
        if not mapped:
            raise UnusableSkyMap(f"No notice of {event} had a sky map that can be used.")
        alert = mapped[-1]
        limit = self._settings.max_map_bytes
        sky_map = read_sky_map(read_file(Path(str(alert.skymap)), limit), max_bytes=limit)
        ranking = rank(sky_map, self._galaxies)
        return {
            "event": event,
            "revision": alert.revision,
            "hosts": ranking.hosts(self._settings.hosts if top is None else top),
            "dimensions": ranking.dimensions,
            **sky_map.summary(),
        }

    def retract(self, event: str) -> Json:
        """Take back all targets of an event, by hand.

        Raises
        ------
        UnknownEvent
            If nothing was received of it.
        """
        with self._sessions.begin() as session:
            known = records.of_event(session, event)
            if not known:
                raise UnknownEvent(f"No notice of {event} was received.")
            told = records.retract(session, known[-1])
            message = f"{event} was retracted by hand."
            records.note(session, self._clock.now(), "alert", message, event=event)
        relayed = self.relay.send() if told else []
        return {
            "event": event,
            "revision": known[-1].revision,
            "observatories": [*told],
            "relayed": [one.as_json() for one in relayed if one.event == event],
        }

    def describe(self) -> dict[str, Json]:
        """Return the module's own keys of `status`."""
        with self._sessions() as session:
            newest = records.latest(session, 1, None)
        return {
            "drill_mode": self._settings.drill_mode,
            "catalog": self._galaxies.info.name,
            "galaxies": len(self._galaxies),
            "observatories": [station.name for station in self._stations],
            "relay_outstanding": self.relay.outstanding,
            "last_alert": _summary(newest[0]) if newest else None,
        }

    def _record(
        self, session: Session, assessment: Assessment, received: records.Received
    ) -> Alert:
        """Record the alert and its targets, and what becomes of those before it."""
        notice = assessment.notice
        outdated = records.newer_than(notice, records.of_event(session, notice.event))
        if outdated is not None:
            why = f"Revision {outdated.revision} ({outdated.alert_type}) is newer: recorded only."
            assessment = _overruled(assessment, why)
        alert = records.add_alert(session, assessment, received)
        if notice.is_retraction and outdated is None:
            told = records.retract(session, alert)
            alert.why = f"The event is retracted; told: {', '.join(told) or 'nobody had it'}."
        elif assessment.decision.triggered:
            # A revision that does not pass the rules leaves standing what an earlier one started.
            self._select(session, alert, assessment)
        message = f"{notice.alert_type} of {notice.event}, revision {alert.revision}: {alert.why}"
        log.info("%s", message)
        records.note(session, received.time, "alert", message, event=notice.event)
        for problem in assessment.problems:
            log.warning("%s: %s", notice.event, problem)
        return alert

    def _select(self, session: Session, alert: Alert, assessment: Assessment) -> None:
        """Choose each observatory's targets among the hosts."""
        ranking = assessment.ranking
        if ranking is None:
            return
        served = []
        for station in self._stations:
            places = observable(
                ranking,
                station.site,
                self._clock.now(),
                count=self._settings.hosts,
                min_altitude_deg=self._settings.min_altitude_deg,
                max_sun_altitude_deg=self._settings.max_sun_altitude_deg,
            )
            ranks: Sequence[int] = (places + np.intp(1)).tolist()
            records.add_targets(session, alert, station.name, ranking.chosen(places), ranks)
            if places.size:
                served.append(station.name)
        session.flush()
        records.supersede(session, alert, served)
        blind = [station.name for station in self._stations if station.name not in served]
        if not self._stations:
            alert.why += " No observatory is configured to relay it to."
        if blind:
            alert.why += f" Nothing of it rises tonight at {', '.join(blind)}."

    def _repeated(self, alert: Alert) -> Json:
        log.info("%s, revision %d, came again.", alert.event, alert.revision)
        return {**self._answer(alert, []), "repeated": True}

    def _answer(self, alert: Alert, relayed: list[Relayed]) -> dict[str, Any]:
        document = dict(alert.notice)
        document["hosts"] = document.get("hosts", [])[: self._settings.hosts]
        return {
            **document,
            "revision": alert.revision,
            "triggered": alert.triggered,
            "why": alert.why,
            "path": alert.path,
            "relayed": [one.as_json() for one in relayed],
            "repeated": False,
        }

    def _record_problem(self, error: AlertError, path: Path) -> None:
        with self._sessions.begin() as session:
            records.note(
                session,
                self._clock.now(),
                "problem",
                str(error),
                level="error",
                code=error.code,
                path=str(path),
            )


def _overruled(assessment: Assessment, why: str) -> Assessment:
    return Assessment(
        assessment.notice,
        assessment.obtained,
        assessment.ranking,
        Decision(False, why),
        assessment.problems,
    )


def _summary(alert: Alert) -> dict[str, Json]:
    return {
        "event": alert.event,
        "revision": alert.revision,
        "alert_type": alert.alert_type,
        "role": alert.role,
        "label": alert.notice.get("label"),
        "significant": alert.significant,
        "time_created": iso(alert.time_created) if alert.time_created else None,
        "received": iso(alert.received),
        "triggered": alert.triggered,
        "why": alert.why,
    }
