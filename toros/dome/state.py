"""The dome module's parts, put together."""

from __future__ import annotations

from toros import __version__
from toros.alpaca import SafetyMonitor, open_dome, open_safety_monitor
from toros.common.config import Device
from toros.common.errors import ShutterStuck
from toros.common.module import Context
from toros.common.work_order import Json
from toros.dome.aperture import Aperture
from toros.dome.events import EventBook
from toros.dome.pace import age_s, pause_s
from toros.dome.reading import Reader
from toros.dome.safety import Safety, Source
from toros.dome.shutter import Shutter
from toros.dome.watch import Heartbeat, Watch


class DomeModule:
    """Everything that the requests of the dome act on."""

    def __init__(self, context: Context) -> None:
        settings, clock = context.config.dome, context.clock
        self._context = context
        self._hardware = open_dome(context.config.devices.dome, clock)
        # With none configured, the only one that answers to discovery.
        addresses: list[Device | None] = [*context.config.devices.safety_monitor] or [None]
        self._monitors = [open_safety_monitor(address, clock) for address in addresses]
        self.events = EventBook(context)
        self.reader = Reader(self._hardware.state, pause_s(clock, settings.status_poll_s))
        self.safety = Safety([self._source(n, m) for n, m in enumerate(self._monitors)])
        self.shutter = Shutter(context, self._hardware, self.reader, self.safety)
        self.aperture = Aperture(context, self._hardware, self.reader)
        self.heartbeat = Heartbeat(context)
        self.watch = Watch(
            context, self.safety, self.reader, self.shutter, self.events, self.heartbeat
        )

    def _source(self, number: int, monitor: SafetyMonitor) -> Source:
        settings, clock = self._context.config.dome, self._context.clock
        return Source(
            f"safety monitor {number}",
            monitor.is_safe,
            pause_s(clock, settings.safety_poll_s),
            age_s(clock, settings.safety_max_age_s),
        )

    def status(self) -> dict[str, Json]:
        """Return the answer to `dome_status`."""
        state = self.reader.latest().state
        verdict = self.safety.verdict()
        return {
            "azim": 0.0 if state is None or state.azim_deg is None else state.azim_deg,
            "open": state is not None and state.shutter == "open",
            "park": state is not None and state.at_park,
            "connected": state is not None,
            "time": self._context.clock.unix(),
            "version": f"v{__version__}",
            "shutter": "unknown" if state is None else state.shutter,
            "moving": state is not None
            and (state.slewing or state.shutter in ("opening", "closing")),
            "following": self.aperture.target is not None,
            "safe": verdict.safe,
            "unsafe_because": "; ".join(verdict.because),
        }

    def describe(self) -> dict[str, Json]:
        """Return the module's own keys of the answer to `status`."""
        verdict = self.safety.verdict()
        return {"safe": verdict.safe, "unsafe_because": "; ".join(verdict.because)}

    def close(self) -> None:
        """Leave the dome closed, and let go of the devices."""
        try:
            if self._context.config.dome.close_on_exit:
                self._close_unwatched()
        finally:
            self.events.flush()
            self._hardware.close()
            for monitor in self._monitors:
                monitor.close()

    def _close_unwatched(self) -> None:
        reading = self.reader.refresh()
        if reading.closed:
            return
        if reading.state is None:
            self.events.record(
                "problem",
                f"The dome module stops and cannot see whether it is closed: {reading.trouble}",
                level="error",
                code=ShutterStuck.code,
            )
            return
        self.events.record("shutter", "The dome module stops, and closes the dome.")
        try:
            self.shutter.close()
        except ShutterStuck as error:
            self.events.record("problem", error.message, level="error", code=error.code)
