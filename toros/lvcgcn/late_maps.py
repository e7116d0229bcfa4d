"""Sky maps that could not be had when their notice came: asked for again, for hours.

After an alert all the world asks the host of its map, which may break down for a while. That must
not cost the event.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from toros.archive.models import Alert
from toros.common.errors import UnreadableNotice, UnusableSkyMap
from toros.common.module import Context
from toros.lvcgcn import records
from toros.lvcgcn.formats import read_notice
from toros.lvcgcn.inbox import Arrival
from toros.lvcgcn.keep import Keep
from toros.lvcgcn.maps import may_download, obtain_map

log = logging.getLogger(__name__)

_AWAITED = (
    "%s would be followed, but its sky map cannot be had: %s It is asked for again every %g s, "
    "until %g hours after the notice. Who has it: "
    "toros send lvcgcn process_alert path=%s skymap=FILE"
)

Take = Callable[[bytes, Arrival, Path], object]


class LateMaps:
    """Looks for alerts that would be followed if they had their map, and gets it.

    What is awaited stands in the archive: a robot that starts anew goes on.

    Parameters
    ----------
    context : Context
        Configuration, clock and archive.
    keep : Keep
        Where sky maps are kept.
    take : callable
        Called with a notice's bytes, how it came, and the path of its map.
    """

    def __init__(self, context: Context, keep: Keep, take: Take) -> None:
        self._settings = context.config.lvcgcn
        self._clock = context.clock
        self._sessions = context.sessions
        self._keep = keep
        self._take = take
        self._awaited: set[int] = set()

    def __len__(self) -> int:
        return len(self._awaited)

    def run(self, stop: threading.Event) -> None:
        """Look again and again, until `stop` is set."""
        # By the machine's time: networks know no simulated one.
        while not stop.wait(self._settings.late_map_pause_s):
            try:
                wanted = self._wanted()
            except SQLAlchemyError as error:
                log.warning("Maps that are still to come cannot be looked for now: %s", error)
                continue
            self._awaited &= {alert.id for alert in wanted}
            for alert in wanted:
                if not stop.is_set():
                    self._try(alert)

    def _wanted(self) -> list[Alert]:
        since = self._clock.now() - timedelta(hours=self._settings.late_map_hours)
        with self._sessions() as session:
            return records.waiting_for_map(session, since)

    def _try(self, alert: Alert) -> None:
        try:
            self._seek(alert)
        except UnreadableNotice:
            return  # which its processing put on record
        except (UnusableSkyMap, SQLAlchemyError, OSError) as error:
            # None must wait for one that never can be. Said once, not every minute.
            if alert.id not in self._awaited:
                pause_s, hours = self._settings.late_map_pause_s, self._settings.late_map_hours
                log.error(_AWAITED, alert.event, error, pause_s, hours, alert.path)  # noqa: TRY400
            self._awaited.add(alert.id)
        else:
            self._awaited.discard(alert.id)

    def _seek(self, alert: Alert) -> None:
        """Ask for the map of an alert; what comes of it is a revision of the event."""
        path = Path(alert.path)
        content = path.read_bytes()
        notice = read_notice(content)
        if not may_download(notice, self._settings):
            return
        found = obtain_map(notice, self._settings)
        if found is None:
            return
        log.info("The sky map of %s came late, from %s.", alert.event, found.origin)
        # When the notice came, not the map: what came in between is newer.
        position = str(alert.notice.get("position_in_transport", ""))
        arrival = Arrival(path, alert.transport, position, alert.received)
        self._take(content, arrival, self._keep.sky_map(found.content))
