"""What the alert daemon does with a notice: keep, read, rank, record, relay."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from toros.archive.models import Alert
from toros.common.client import FrontDeskClient
from toros.common.errors import AlertError, UnknownEvent, UnusableSkyMap
from toros.common.module import Context, Loop
from toros.common.work_order import Json
from toros.lvcgcn import catalogue_sources as catalogues
from toros.lvcgcn import records
from toros.lvcgcn.catalogue import Weight
from toros.lvcgcn.herald import Herald
from toros.lvcgcn.history import summary
from toros.lvcgcn.inbox import Arrival, Inbox
from toros.lvcgcn.keep import Keep
from toros.lvcgcn.lanes import lane_of
from toros.lvcgcn.late_maps import LateMaps
from toros.lvcgcn.maps import read_file
from toros.lvcgcn.processing import Processor, Taken
from toros.lvcgcn.ranking import rank, require_weight
from toros.lvcgcn.relay import Relay, Relayed
from toros.lvcgcn.skymap_fits import read_sky_map
from toros.lvcgcn.sources.source import RawNotice, Source
from toros.lvcgcn.stations import stations_of

log = logging.getLogger(__name__)

#: A reply does not wait longer for telescopes to answer (machine seconds); their orders go on.
_PATIENCE_S = 3.0


class AlertDesk:
    """The daemon's state: settings, catalogue, archive, relay, inbox.

    Parameters
    ----------
    context : Context
        Configuration, clock and archive.
    sources : sequence of Source
        Where notices come from by themselves.

    Raises
    ------
    ConfigurationError, UnusableCatalogue
        If the folder of the alerts cannot be made, or the catalogue not be had.
    """

    def __init__(self, context: Context, sources: Sequence[Source] = ()) -> None:
        self._settings = context.config.lvcgcn
        self._clock = context.clock
        self._sessions = context.sessions
        self._stations = stations_of(context.config)
        self._keep = Keep(self._settings.folder)
        # Loaded now: a broken catalogue must show at the start, not at the first alert.
        self._galaxies = catalogues.load(self._settings.catalog, self._settings.catalog_folder)
        require_weight(self._galaxies, Weight(self._settings.weight))
        self.relay = Relay(
            context.sessions,
            self._stations,
            context.clock,
            connect=partial(
                FrontDeskClient.to, context.config, timeout_s=self._settings.relay_timeout_s
            ),
            retry_s=self._settings.relay_retry_s,
        )
        self._herald = Herald(context, self._settings.folder / "outbox")
        self._processor = Processor(
            context, self._stations, self._galaxies, self._keep, self._herald.announce
        )
        self._sources = sources
        self.inbox = Inbox(
            self._settings.folder / "inbox",
            self._keep,
            self._process_arrival,
            lambda arrival, text: self._processor.record_problem(text, arrival),
            lane=lambda arrival: lane_of(arrival.path, self._settings),
        )
        self._late_maps = LateMaps(context, self._keep, self._put_on_record)

    def loops(self) -> list[Loop]:
        """Return the background threads."""
        bodies = [*self.relay.loops(), *self.inbox.loops(self._sources), *self._herald.loops()]
        bodies.append(("late-maps", self._late_maps.run))
        return [Loop(f"lvcgcn-{name}", body) for name, body in bodies]

    def process(self, content: bytes, transport: str, sky_map: Path | None = None) -> Json:
        """Take in a notice that a work order brings: from its bytes to the telescopes.

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
        AlertError
            If the archive is away: it waits in the inbox, and comes to the telescopes all the same.
        """
        arrival = Arrival(self._keep.notice(content), transport, "", self._clock.now())
        try:
            taken = self._processor.take(content, arrival, sky_map)
        except SQLAlchemyError as error:
            if sky_map is not None:
                raise  # which the inbox knows nothing of
            self.inbox.put(RawNotice(content, transport, "", arrival.received))
            raise AlertError(
                "The archive does not take it now; it waits in the inbox and is tried again."
            ) from error
        self._herald.wake()
        relayed = [] if taken.repeated else self._relay(taken.alert)
        return self._answer(taken, relayed)

    def _process_arrival(self, arrival: Arrival) -> None:
        """Take in a notice of the inbox. Nobody waits for an answer, so no telescope is either."""
        self._put_on_record(arrival.path.read_bytes(), arrival)

    def _put_on_record(self, content: bytes, arrival: Arrival, sky_map: Path | None = None) -> None:
        taken = self._processor.take(content, arrival, sky_map)
        # A process that died after the commit has not sent it.
        self.relay.wake()
        self._herald.wake()
        log.info("%s, revision %d, is on record.", taken.alert.event, taken.alert.revision)

    def _relay(self, alert: Alert) -> list[Relayed]:
        if not (alert.triggered or alert.notice.get("told")):
            return []
        return self.relay.hand_over(alert.event, _PATIENCE_S)

    def list_alerts(self, limit: int, event: str | None) -> list[Json]:
        """Return the newest alerts, the newest first."""
        with self._sessions() as session:
            return [summary(alert) for alert in records.latest(session, limit, event)]

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
        # One that was out of date when it came is recorded last, and may be all that there is.
        alert = max(mapped, key=lambda one: (not one.notice.get("outdated"), one.revision))
        limit = self._settings.max_map_bytes
        sky_map = read_sky_map(read_file(Path(str(alert.skymap)), limit), max_bytes=limit)
        count = self._settings.hosts if top is None else top
        ranking = rank(sky_map, self._galaxies, count, Weight(self._settings.weight))
        return {
            "event": event,
            "revision": alert.revision,
            "hosts": ranking.hosts(count),
            "dimensions": ranking.dimensions,
            "weight": ranking.weight.value,
            "completeness": ranking.completeness,
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
        relayed = self.relay.hand_over(event, _PATIENCE_S) if told else []
        return {
            "event": event,
            "revision": known[-1].revision,
            "observatories": [*told],
            "relayed": [one.as_json() for one in relayed],
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
            "inbox": len(self.inbox),
            "maps_awaited": len(self._late_maps),
            "announcements_waiting": self._herald.waiting,
            "sources": {source.name: source.describe() for source in self._sources},
            "last_alert": summary(newest[0]) if newest else None,
        }

    def _answer(self, taken: Taken, relayed: list[Relayed]) -> dict[str, Any]:
        alert = taken.alert
        document = dict(alert.notice)
        document["hosts"] = document.get("hosts", [])[: self._settings.hosts]
        return {
            **document,
            "revision": alert.revision,
            "triggered": alert.triggered,
            "why": alert.why,
            "path": alert.path,
            "relayed": [one.as_json() for one in relayed],
            "repeated": taken.repeated,
        }
