"""Telling the preprocessor of the night's files: once, however often it takes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import func, select

from toros.archive.models import Event, Exposure, Observation
from toros.common.client import FrontDeskClient
from toros.common.errors import PeerError
from toros.common.work_order import Json, OrderStatus
from toros.telescope.frames import LEFT_OUT, night_span
from toros.telescope.state import MODULE, Telescope

log = logging.getLogger(__name__)

KIND = "batch"
PENDING, TAKEN, REFUSED, GIVEN_UP = "pending", "taken", "refused", "given up"
POLL_S = 0.5  # of the machine
LEAST_RETRY_S = 1.0  # of the machine


def announce_alerts(telescope: Telescope, planned: Collection[int]) -> None:
    """Announce the alerts of which tonight has frames and nothing more is planned.

    Parameters
    ----------
    telescope : Telescope
    planned : collection of int
        The entries of the queue that are still in tonight's plan.
    """
    first, last = night_span(telescope, telescope.tonight())
    frames = (
        select(Exposure.alert, func.count())
        .where(
            Exposure.alert.is_not(None),
            Exposure.state != LEFT_OUT,
            Exposure.date_obs >= first,
            Exposure.date_obs < last,
            Exposure.path.startswith(str(telescope.config.data.raw.absolute()), autoescape=True),
        )
        .group_by(Exposure.alert)
    )
    waiting = select(Observation.alert).where(Observation.id.in_(planned))
    with telescope.sessions() as session:
        unfinished = set(session.scalars(waiting.distinct()))
        found = [(alert, number) for alert, number in session.execute(frames)]
    for alert, number in found:
        if alert not in unfinished:
            announce(telescope, telescope.tonight(), number, alert=alert)


def announce(telescope: Telescope, night: date, frames: int, *, alert: str | None = None) -> None:
    """Record that the preprocessor must be told of the `frames` files of `night`.

    Of an alert the folder is the night's: what is there already is reduced, the rest with the
    night.

    The record makes the promise outlive this process; its order id makes the order one, however
    often it is sent. A night that is closed again without new frames is not announced again.
    """
    told = [
        row.data
        for row in _events(telescope)
        if row.data["night"] == str(night) and row.data.get("alert") == alert
    ]
    if told and told[-1]["frames"] == frames:
        return
    folder = telescope.config.data.raw.absolute() / f"{night:%Y%m%d}"
    parts = [telescope.observatory, f"{night:%Y%m%d}", alert]
    parts.append(f"{telescope.clock.now():%Y%m%dT%H%M%S%f}")
    order = "-".join(part for part in parts if part)
    of = f"alert {alert}" if alert else f"night {night}"
    telescope.record(
        KIND,
        f"The files of {of} are ready: {folder}",
        data={
            "state": PENDING,
            "order": order,
            "url": str(folder),
            "night": str(night),
            "frames": frames,
            "alert": alert,
        },
    )


def _events(telescope: Telescope) -> Sequence[Event]:
    """Return what is recorded of nights that were announced, oldest first."""
    query = select(Event).where(Event.module == MODULE, Event.kind == KIND)
    with telescope.sessions() as session:
        return session.scalars(query.order_by(Event.id)).all()


@dataclass
class Handover:
    """Sends `calibrate_file_batch` for each night that was announced.

    Attributes
    ----------
    state, message : str
        How the last one stands, for `status`.
    attempts : int
        How often it was sent.
    """

    telescope: Telescope
    state: str = "none"
    order: str | None = None
    url: str | None = None
    message: str = ""
    attempts: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, stop: threading.Event) -> None:
        """Deliver what is pending until the daemon stops: a module's loop."""
        settings, clock = self.telescope.settings, self.telescope.clock
        retry_s = max(clock.machine_seconds(settings.batch_retry_s), LEAST_RETRY_S)
        while not stop.is_set():
            stop.wait(POLL_S if self.tell() else retry_s)

    def tell(self) -> bool:
        """Send what is pending, each once; return whether nothing is pending any more."""
        with self._lock:
            pending = self._pending()
            while pending is not None:
                if not self._deliver(pending):
                    return False
                pending = self._pending()
            return True

    def _pending(self) -> dict[str, Any] | None:
        """Return the oldest announced night that nothing has become of."""
        rows = _events(self.telescope)
        settled = {row.data["order"] for row in rows if row.data["state"] != PENDING}
        return next((row.data for row in rows if row.data["order"] not in settled), None)

    def _deliver(self, pending: dict[str, Any]) -> bool:
        """Send one order; return whether its fate is settled."""
        if self.order != pending["order"]:
            self.order, self.url, self.attempts = pending["order"], pending["url"], 0
        self.state = PENDING
        self.attempts += 1
        client = FrontDeskClient.of(self.telescope.config, "preprocessor")
        try:
            reply = client.send("calibrate_file_batch", id=self.order, wait=0, url=self.url)
        except PeerError as error:
            return self._not_delivered(pending, error)
        taken = reply.status in (OrderStatus.ACCEPTED, OrderStatus.COMPLETED)
        self._settle(pending, TAKEN if taken else REFUSED, reply.message, reply.code)
        return True

    def _not_delivered(self, pending: dict[str, Any], error: PeerError) -> bool:
        self.message = f"attempt {self.attempts}: {error.message}"
        log.warning("The preprocessor does not know of %s yet: %s", self.url, self.message)
        if self.attempts < self.telescope.settings.batch_attempts:
            return False
        self._settle(pending, GIVEN_UP, self.message, error.code)
        return True

    def _settle(self, pending: dict[str, Any], state: str, message: str, code: int) -> None:
        self.state, self.message = state, message
        self.telescope.record(
            KIND,
            f"Order {self.order} to the preprocessor: {state}. {message}",
            level="info" if state == TAKEN else "error",
            code=code,
            data={**pending, "state": state, "attempts": self.attempts},
        )

    def describe(self) -> dict[str, Json]:
        """Return what `status` says of it."""
        return {
            "state": self.state,
            "order": self.order,
            "url": self.url,
            "attempts": self.attempts,
            "message": self.message,
        }
