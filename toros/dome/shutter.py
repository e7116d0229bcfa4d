"""The shutter: opened only when it is safe, and closed whatever else goes on."""

from __future__ import annotations

import threading
from datetime import datetime

from sqlalchemy import select

from toros.alpaca import Dome
from toros.common.errors import Cancelled, DeviceError, DomeUnsafe, ShutterStuck
from toros.common.journal import WorkOrderRow
from toros.common.module import Context
from toros.common.requests import Task
from toros.dome.reading import Reader
from toros.dome.safety import Safety


class Shutter:
    """Opens and closes. A close overrides any opening that was ordered before it."""

    def __init__(self, context: Context, hardware: Dome, reader: Reader, safety: Safety) -> None:
        self._context = context
        self._hardware = hardware
        self._reader = reader
        self._safety = safety
        self._lock = threading.Lock()
        self._opening: threading.Event | None = None
        self._last_close: datetime | None = None

    def open(self, task: Task) -> bool:
        """Open, and return whether the hardware reads open.

        Raises
        ------
        DomeUnsafe
            It is not known to be safe.
        Cancelled
            A close was ordered after this opening.
        ShutterStuck
            It did not open.
        """
        received = self._received(task)  # before the lock: a close must not wait for the database
        with self._lock:
            # Under the lock: a close either sees this opening, or is seen by it.
            task.raise_if_cancelled()
            if received and self._last_close and received < self._last_close:
                raise Cancelled("The dome was ordered to close after this order to open.")
            verdict = self._safety.verdict()
            if not verdict.safe:
                raise DomeUnsafe(f"The dome stays closed: {verdict}.")
            self._opening = task.cancelled
        try:
            self._hardware.open_shutter(
                self._context.config.dome.shutter_timeout_s, cancelled=task.cancelled
            )
        except DeviceError as error:
            raise ShutterStuck(f"The shutter did not open: {error.message}") from error
        finally:
            with self._lock:
                self._opening = None
            reading = self._reader.refresh()
        return reading.state is not None and reading.state.shutter == "open"

    def close(self) -> bool:
        """Close, and return whether the hardware reads closed.

        Raises
        ------
        ShutterStuck
            It did not close.
        """
        with self._lock:
            self._last_close = self._context.clock.now()
            if self._opening is not None:
                self._opening.set()
        try:
            self._hardware.close_shutter(self._context.config.dome.shutter_timeout_s)
        except DeviceError as error:
            raise ShutterStuck(f"The shutter did not close: {error.message}") from error
        finally:
            reading = self._reader.refresh()
        return reading.closed

    def _received(self, task: Task) -> datetime | None:
        """Return when the order was journaled: it may have waited behind another since."""
        order = select(WorkOrderRow.received).where(
            WorkOrderRow.module == "dome", WorkOrderRow.id == task.id
        )
        with self._context.sessions() as session:
            return session.scalars(order).one_or_none()
