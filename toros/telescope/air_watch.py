"""Measures the weather for the headers beside the work, so that no station holds a frame up."""

from __future__ import annotations

import logging
import threading

from toros.alpaca import open_weather
from toros.common.errors import DeviceError
from toros.telescope.air import Air
from toros.telescope.night import Night
from toros.telescope.night_state import EXPOSED

log = logging.getLogger(__name__)

EVERY_S = 60.0
LEAST_S = 1.0  # of the machine
LOOK_S = 0.5  # of the machine


class AirWatch:
    """Asks the first weather station now and then while frames are taken."""

    def __init__(self, night: Night) -> None:
        self._night = night
        self._said = ""

    def run(self, stop: threading.Event) -> None:
        """Ask until the daemon stops: a module's loop."""
        telescope = self._night.telescope
        addresses = telescope.config.devices.weather
        if not addresses:
            stop.wait()
            return
        station = open_weather(addresses[0], telescope.clock)
        every_s = max(telescope.clock.machine_seconds(EVERY_S), LEAST_S)
        try:
            while not stop.is_set():
                if self._night.state not in EXPOSED:
                    stop.wait(LOOK_S)
                    continue
                try:
                    telescope.air = Air(telescope.clock.unix(), station.read())
                    self._said = ""
                except DeviceError as error:
                    if error.message != self._said:
                        log.warning("The weather is not in the headers: %s", error.message)
                    self._said = error.message
                stop.wait(every_s)
        finally:
            station.close()
