"""The notices that were received and are not processed yet.

A notice is on the disk, flushed, before its source is told so; it leaves the inbox when it is in
the archive. A daemon that dies in between finds it at its next start. Processing is idempotent, so
that it does not matter if it died just before or just after the archive's commit.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from sqlalchemy.exc import DataError, SQLAlchemyError

from toros.common.clock import iso
from toros.common.errors import TorosError
from toros.lvcgcn.keep import Keep
from toros.lvcgcn.lanes import Lane
from toros.lvcgcn.panic import panics_are_errors
from toros.lvcgcn.sources.source import RawNotice, Source
from toros.lvcgcn.spool import Spool

log = logging.getLogger(__name__)

#: Of a thread: its name, and what it runs.
Body = tuple[str, Callable[[threading.Event], None]]

_LOOK_S = 0.25
_RETRY_S = 5.0


@dataclass(frozen=True)
class Arrival:
    """How a notice came, and where its bytes are."""

    path: Path
    transport: str
    position: str
    received: datetime


class Inbox:
    """Journals what sources yield, and has it processed in the order in which it came.

    Parameters
    ----------
    folder : pathlib.Path
        Where entries are kept.
    keep : Keep
        Where bytes are kept.
    process : callable
        Processes one notice. A `TorosError` means that it is on record why it cannot be.
    fail : callable
        Puts on record that processing broke down, with the error's text.
    lane : callable, optional
        Returns which lane a notice is processed in; by default all are in the quick one.
    """

    def __init__(
        self,
        folder: Path,
        keep: Keep,
        process: Callable[[Arrival], None],
        fail: Callable[[Arrival, str], None],
        lane: Callable[[Arrival], Lane] = lambda _: Lane.QUICK,
    ) -> None:
        self._spool = Spool(folder)
        self._keep = keep
        self._process = process
        self._fail = fail
        self._lane = lane
        #: Of what another lane is to process: it is not read again and again meanwhile.
        self._lanes: dict[str, Lane] = {}
        self._complained: set[str] = set()
        # None takes the notices of all lanes.
        self._filled = {each: threading.Event() for each in (*Lane, None)}
        for event in self._filled.values():
            event.set()  # whatever the last process left

    def __len__(self) -> int:
        return len(self._spool)

    def loops(self, sources: Sequence[Source]) -> list[Body]:
        """Return the name and the body of each thread: one for each lane and each source."""
        receivers = [(source.name, partial(self.receive, source)) for source in sources]
        return [*((lane.value, partial(self.run, lane=lane)) for lane in Lane), *receivers]

    def receive(self, source: Source, stop: threading.Event) -> None:
        """Journal what a source yields, and only then acknowledge it."""
        for raw in source.stream(stop):
            self.put(raw)
            source.ack(raw)

    def put(self, raw: RawNotice) -> None:
        """Journal a notice; it is on disk when this returns."""
        path = self._keep.notice(raw.content)
        moment = int(raw.received.timestamp() * 1e6)
        self._spool.put(
            f"{moment:017d}-{path.name[:12]}",
            {
                "path": str(path),
                "transport": raw.transport,
                "position": raw.position,
                "received": iso(raw.received),
            },
        )
        log.info("%s, %s: a notice of %d bytes.", raw.transport, raw.position, len(raw.content))
        for event in self._filled.values():
            event.set()

    def run(self, stop: threading.Event, lane: Lane | None = None) -> None:
        """Process what is there and what comes, until `stop` is set.

        Parameters
        ----------
        stop : threading.Event
            When to end.
        lane : Lane, optional
            Only the notices of this lane; by default all.
        """
        filled = self._filled[lane]
        while not stop.is_set():
            if not filled.wait(_LOOK_S):
                continue
            filled.clear()
            if not self._work(stop, lane):
                filled.set()
                stop.wait(_RETRY_S)

    def _work(self, stop: threading.Event, lane: Lane | None) -> bool:
        """Process all there is; return False where the archive cannot take some of it now."""
        whole = True
        for name in self._spool.names():
            if stop.is_set():
                return True
            document = self._spool.read(name)
            if document is None:
                continue
            arrival = Arrival(
                Path(document["path"]),
                document["transport"],
                document["position"],
                datetime.fromisoformat(document["received"]),
            )
            try:
                if lane is not None and self._lane_of(name, arrival) is not lane:
                    continue
                self._one(arrival)
            except (SQLAlchemyError, OSError) as error:
                # The others may be luckier: none must wait for one that never can be.
                self._complain(name, error)
                whole = False
                continue
            self._complained.discard(name)
            self._spool.done(name)
            self._lanes.pop(name, None)
        return whole

    def _lane_of(self, name: str, arrival: Arrival) -> Lane:
        """Return a notice's lane; what breaks even this question is processed at once."""
        found = self._lanes.get(name)
        if found is not None:
            return found
        try:
            with panics_are_errors():
                found = self._lane(arrival)
        except OSError:
            raise
        except Exception:
            log.exception("The notice %s cannot be looked into.", arrival.path)
            return Lane.QUICK
        self._lanes[name] = found
        return found

    def _complain(self, name: str, error: Exception) -> None:
        """Say once, and not every few seconds, that a notice waits for the archive."""
        if name not in self._complained:
            log.error(
                "The notice %s cannot be put on record now; it is tried again.",
                name,
                exc_info=error,
            )
        self._complained.add(name)

    def _one(self, arrival: Arrival) -> None:
        """Process one notice. What cannot be processed must not hold up what comes after it."""
        if not arrival.path.exists():
            self._fail(arrival, f"Its bytes are no longer at {arrival.path}.")
            return
        try:
            self._process(arrival)
        except TorosError as error:
            log.error("%s, %s: %s", arrival.transport, arrival.position, error)  # noqa: TRY400
        except DataError as error:
            # The archive will not take it, however often it is asked: a NUL in a text of it.
            log.exception("The archive does not take the notice %s.", arrival.path)
            self._fail(arrival, f"The archive does not take it: {error.orig}")
        except (SQLAlchemyError, OSError):
            raise
        except Exception as error:
            log.exception("The notice %s broke its processing.", arrival.path)
            self._fail(arrival, f"{type(error).__name__}: {error}")
