"""What the handlers of the telescope's requests work with."""

from __future__ import annotations

from dataclasses import dataclass

from toros.common.clock import iso
from toros.common.work_order import Json
from toros.telescope import target_queue
from toros.telescope.mode import mode_of
from toros.telescope.night import Night
from toros.telescope.state import Telescope


@dataclass(frozen=True)
class TelescopeDesk:
    """The telescope and its night."""

    telescope: Telescope
    night: Night

    def describe(self) -> dict[str, Json]:
        """Return the telescope's own keys of `status`."""
        telescope = self.telescope
        with telescope.sessions() as session:
            counts = target_queue.counts(session, telescope.observatory)
        view = telescope.dome_view
        return {
            "night": self.night.describe(),
            "mode": mode_of(telescope).value,
            "time": iso(telescope.clock.now()),
            "observations": dict(counts),
            "batch": self.night.handover.describe(),
            "dome": {"shutter": view.shutter, "safe": view.safe, "trouble": view.trouble},
        }
