"""The stages of an alert, as the telescope records them; `toros.archive.stages` reads them."""

from __future__ import annotations

from toros.archive.models import Observation
from toros.archive.stages import STAGE
from toros.telescope.state import Telescope


def record_stage(telescope: Telescope, row: Observation, stage: str) -> None:
    """Record how long after its order a target of an alert got so far, before its first frame."""
    if row.alert is None or row.taken > 0:
        return
    since_s = (telescope.clock.now() - row.received).total_seconds()
    telescope.record(
        STAGE,
        f"{row.alert}: {stage} {row.name}, {since_s:.1f} s after the order.",
        data={"alert": row.alert, "target": row.name, "stage": stage, "since_order_s": since_s},
    )
