"""The watch: looks at the dome while the telescope works, and stops it when the dome may close."""

from __future__ import annotations

import threading

from toros.telescope.night import Night
from toros.telescope.night_state import EXPOSED

# Of the machine: the shortest and longest time between two looks.
SHORTEST_S, LONGEST_S = 0.25, 30.0


class Watch:
    """Asks the dome now and then while the dome may be open.

    The dome closes by itself; the telescope only must not go on exposing under a closed dome.
    """

    def __init__(self, night: Night) -> None:
        self._night = night

    def run(self, stop: threading.Event) -> None:
        """Look until the daemon stops, and then end what is being done: a module's loop."""
        telescope = self._night.telescope
        every = telescope.clock.machine_seconds(telescope.settings.dome_poll_s)
        every = min(max(every, SHORTEST_S), LONGEST_S)
        while not stop.wait(every):
            if self._exposed():
                view = telescope.look_at_dome()
                if not view.safe and self._exposed():
                    telescope.interrupt.set(f"not safe: {view.trouble}")
        telescope.interrupt.set("the daemon stops")
        telescope.news.set()

    def _exposed(self) -> bool:
        """Return whether the dome may be open: also while a last frame ends before closing."""
        return self._night.state in EXPOSED or self._night.telescope.running is not None
