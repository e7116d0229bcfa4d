"""The weather as frames record it. Whether it is safe is the dome's business."""

from __future__ import annotations

from dataclasses import dataclass

OLDEST_S = 300.0  # an older measurement says nothing of a frame


@dataclass(frozen=True)
class Air:
    """What a weather station said, by names with units, and when."""

    unix: float
    values: dict[str, float]

    def at(self, unix: float) -> dict[str, float]:
        """Return the measurements if they are of about that time, else none."""
        return self.values if abs(unix - self.unix) <= OLDEST_S else {}
