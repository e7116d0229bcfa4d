"""An alert daemon with its archive, a telescope that takes its orders, and what came of both."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.ports import free_port
from toros.archive.models import Alert, Event, Target
from toros.archive.schema import upgrade
from toros.common.clock import Clock
from toros.common.config import Config
from toros.common.daemon import Daemon
from toros.common.database import make_engine, make_sessions
from toros.common.module import Context, Module
from toros.common.requests import Fields, Request, RequestTable, Task
from toros.common.work_order import Json
from toros.lvcgcn.daemon import build
from toros.simulator.replay import make_gw170817

ALERTS = Path(__file__).parents[2].parent / "shared" / "data" / "alerts"
EVENING = datetime(2017, 8, 17, 22, 0, tzinfo=UTC)
MACON = {"lon": -67.3218, "lat": -24.6226, "height": 4650.0}
REPLAY = make_gw170817()
_RECORD = json.loads(REPLAY.notice)


def notice(name: str = "GW170817", **changes: Any) -> bytes:
    """GW170817's notice under another name or with other values."""
    return json.dumps(_RECORD | {"superevent_id": name} | changes).encode()


def voevent(kind: str, role: str, minute: int, sky_map: str = "", event: str = "S1a") -> str:
    """A VOEvent of the LVK, which names its map by address."""
    params = {"GraceID": event, "AlertType": kind, "Significant": "1", "skymap_fits": sky_map}
    listed = "".join(f'<Param name="{name}" value="{said}"/>' for name, said in params.items())
    return f"""<VOEvent version="2.0" role="{role}" ivorn="ivo://gwnet/LVC#{event}-{minute}">
<Who><Date>2017-08-18T18:{minute:02d}:00</Date></Who><What>{listed}</What></VOEvent>"""


class TargetsFields(Fields):
    alert: str
    revision: int
    targets: list[dict[str, Any]]


class AlertFields(Fields):
    alert: str


@dataclass
class Telescope:
    """What a telescope did, in order: a journaling one, which does the same order once."""

    done: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def take(self, fields: Fields, task: Task) -> Json:
        self.done.append((task.order.request, task.id, fields.model_dump()))
        return None

    @property
    def events(self) -> list[str]:
        return [fields["alert"] for request, _, fields in self.done if request == "targets"]


_TABLE = RequestTable(
    [
        Request(
            name=name,
            fields=fields,
            handler=Telescope.take,
            summary="Write it down.",
            journaled=True,
        )
        for name, fields in (("targets", TargetsFields), ("retract_alert", AlertFields))
    ]
)


@dataclass
class AlertHouse:
    """An archive and a telescope; daemons come and go."""

    folder: Path
    sessions: sessionmaker[Session]
    telescope: Telescope
    telescope_port: int
    clock: Clock = field(default_factory=lambda: Clock.simulated(EVENING, 1.0))

    def config(self, **lvcgcn: Any) -> Config:
        return Config.model_validate(self.document(**lvcgcn))

    def document(self, **lvcgcn: Any) -> dict[str, Any]:
        return {
            "lvcgcn": {
                "folder": str(self.folder / "alerts"),
                "catalog_folder": str(self.folder / "catalogues"),
                "hosts": 5,
                "relay_retry_s": 0.2,
                "relay_timeout_s": 5,
                **lvcgcn,
            },
            "observatories": [
                {
                    "name": "MACON",
                    "telescope": f"http://127.0.0.1:{self.telescope_port}",
                    "location": MACON,
                }
            ],
        }

    @contextmanager
    def robot(self, config: Config | None = None, **lvcgcn: Any) -> Iterator[Daemon]:
        """An alert daemon in this process."""
        context = Context(config or self.config(**lvcgcn), self.clock, self.sessions)
        daemon = Daemon(build(context), context, ("127.0.0.1", 0))
        daemon.start()
        try:
            yield daemon
        finally:
            daemon.stop()

    def alerts(self) -> list[Alert]:
        with self.sessions() as session:
            return [*session.scalars(select(Alert).order_by(Alert.id))]

    def events(self) -> list[str]:
        """The events on record, one for each revision."""
        return [alert.event for alert in self.alerts()]

    def problems(self) -> list[Event]:
        with self.sessions() as session:
            query = select(Event).where(Event.kind == "problem").order_by(Event.id)
            return [*session.scalars(query)]

    def states(self) -> dict[tuple[str, int], set[str]]:
        """The states of the targets by event and revision."""
        found: dict[tuple[str, int], set[str]] = {}
        query = select(Alert, Target).join(Target, Target.alert_id == Alert.id)
        with self.sessions() as session:
            for alert, target in session.execute(query):
                found.setdefault((alert.event, alert.revision), set()).add(target.state)
        return found


@contextmanager
def alert_house(folder: Path, sessions: sessionmaker[Session]) -> Iterator[AlertHouse]:
    """A house whose telescope is served on loopback."""
    telescope, port = Telescope(), free_port()
    engine = make_engine(f"sqlite:///{folder / 'telescope.db'}")
    upgrade(engine)
    clock = Clock.simulated(EVENING, 1.0)
    context = Context(Config(), clock, make_sessions(engine))
    module = Module("telescope", telescope, _TABLE, close=engine.dispose)
    daemon = Daemon(module, context, ("127.0.0.1", port))
    daemon.start()
    try:
        yield AlertHouse(folder, sessions, telescope, port, clock)
    finally:
        daemon.stop()
