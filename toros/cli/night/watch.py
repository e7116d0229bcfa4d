"""What a night looks like from outside: a snapshot of modules and archive."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session, sessionmaker

from toros.archive import nights
from toros.archive.models import Alert, Event, Exposure, FileBatch, Observation
from toros.common.client import FrontDeskClient
from toros.common.config import Config
from toros.common.errors import PeerError

STATUS_TIMEOUT_S = 2.0
FOLLOWED = ("lvcgcn", "telescope", "dome", "preprocessor")
BATCH_ENDS = ("done", "failed")


@dataclass(frozen=True)
class Snapshot:
    """A night at one moment."""

    time: datetime
    modules: dict[str, dict[str, Any] | None]
    since: datetime
    alert: Alert | None = None
    events: list[Event] = field(default_factory=list)
    frames: list[Exposure] = field(default_factory=list)
    queue: list[Observation] = field(default_factory=list)
    batches: list[FileBatch] = field(default_factory=list)
    steps: dict[str, Counter[str]] = field(default_factory=dict)

    @property
    def night_state(self) -> str:
        """The state of the telescope's night, as its last transition has it."""
        states = [
            e.data["to"] for e in self.events if e.module == "telescope" and e.kind == "state"
        ]
        return str(states[-1]) if states else "not begun"

    @property
    def over(self) -> bool:
        """Whether the night is closed and all its frames are reduced."""
        reduced = all(batch.state in BATCH_ENDS for batch in self.batches)
        return self.night_state == "closed" and reduced


class Watch:
    """Takes snapshots of a night.

    Parameters
    ----------
    config : Config
        Where the modules are.
    sessions : sessionmaker
        Of the archive.
    since : datetime.datetime
        When the night began to be followed; what is older belongs to other nights.
    """

    def __init__(self, config: Config, sessions: sessionmaker[Session], since: datetime) -> None:
        self._clock = config.make_clock()
        self._sessions = sessions
        self._since = since
        self._clients = {
            name: FrontDeskClient.of(config, name, STATUS_TIMEOUT_S) for name in FOLLOWED
        }

    def look(self) -> Snapshot:
        """Return the night as it stands."""
        modules = {name: _status(client) for name, client in self._clients.items()}
        since = self._since
        with self._sessions() as session:
            batches = list(nights.batches_since(session, since))
            steps: dict[str, Counter[str]] = {}
            for unit in nights.units_of(session, batches):
                steps.setdefault(unit.step, Counter())[unit.state] += 1
            return Snapshot(
                time=self._clock.now(),
                modules=modules,
                since=since,
                alert=nights.latest_alert(session, since),
                events=list(nights.events_since(session, since)),
                frames=list(nights.frames_since(session, since)),
                queue=list(nights.observations_since(session, since)),
                batches=batches,
                steps=steps,
            )


def _status(client: FrontDeskClient) -> dict[str, Any] | None:
    try:
        answer = client.ask("status", wait=0)
    except PeerError:
        return None
    return answer if isinstance(answer, dict) else None
