"""What is said of an alert: subject, text, a table of targets, a plot, a document."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toros.archive.models import Alert, Target
from toros.common.clock import iso
from toros.common.errors import UnusableSkyMap
from toros.lvcgcn.maps import read_file
from toros.lvcgcn.notice import AlertType, ExternalCoincidence, Position
from toros.lvcgcn.plot import plot_sky_map
from toros.lvcgcn.skymap import SkyMap
from toros.lvcgcn.skymap_disc import around
from toros.lvcgcn.skymap_fits import DEFAULT_MAX_BYTES, read_sky_map
from toros.lvcgcn.trigger import area_text

log = logging.getLogger(__name__)

_COLUMNS = ("observatory", "rank", "name", "ra", "dec", "distance_mpc", "probability", "state")
_SHOWN = 10


@dataclass(frozen=True)
class Letter:
    """An alert as people and programs are told of it.

    Parameters
    ----------
    alert : Alert
        Its row.
    targets : sequence of Target
        Of this revision, the likeliest of each observatory first.
    """

    alert: Alert
    targets: Sequence[Target]

    @property
    def label(self) -> str:
        """``MOCK``, ``TEST``, ``INJECTION`` or nothing."""
        return str(self.alert.notice.get("label") or "")

    def subject(self) -> str:
        """Return one line; what is no real event says so first."""
        label = f"[{self.label}] " if self.label else ""
        alert = self.alert
        kind = "" if alert.alert_type == AlertType.OTHER else f" {alert.alert_type}"
        return f"{label}{alert.event}{kind}, revision {alert.revision}"

    def text(self) -> str:
        """Return some lines."""
        alert, notice = self.alert, self.alert.notice
        lines = [alert.why, ""]
        if self.label:
            lines = [f"THIS IS NO REAL EVENT: {self.label}.", "", *lines]
        rows = {
            "Event": notice.get("event_time"),
            "Notice": iso(alert.time_created) if alert.time_created else None,
            "Received": f"{iso(alert.received)} by {alert.transport}",
            "False-alarm rate": _with_unit(notice.get("far_hz"), "Hz"),
            "Detectors": ", ".join(notice.get("instruments", [])),
            "Classes": _probabilities(notice.get("classification", {})),
            "Properties": _probabilities(notice.get("properties", {})),
            "Coincidence": _coincidence(notice.get("external")),
            "Sky map": _map_line(notice.get("sky_map") or {}),
            "Page": (notice.get("urls") or {}).get("gracedb"),
            "Changes": changes_line(notice.get("changes") or {}),
        }
        lines += [f"{key + ':':18}{value}" for key, value in rows.items() if value]
        lines += _cancelled_lines(notice.get("changes") or {})
        for observatory in sorted({target.observatory for target in self.targets}):
            mine = [target for target in self.targets if target.observatory == observatory]
            lines += ["", f"{observatory}: {len(mine)} target{'s' if len(mine) > 1 else ''}"]
            lines += [_target_line(target) for target in mine[:_SHOWN]]
        return "\n".join(lines) + "\n"

    def targets_csv(self) -> str:
        """Return the targets of all observatories as a table."""
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for target in self.targets:
            writer.writerow([getattr(target, column) for column in _COLUMNS])
        return table.getvalue()

    def document(self) -> dict[str, Any]:
        """Return the alert with all its targets as data."""
        alert = self.alert
        return {
            **alert.notice,
            "revision": alert.revision,
            "received": iso(alert.received),
            "transport": alert.transport,
            "triggered": alert.triggered,
            "why": alert.why,
            "targets": [
                {column: getattr(target, column) for column in _COLUMNS} for target in self.targets
            ],
        }

    def plot(self) -> bytes | None:
        """Return a PNG of the sky map with the targets; ``None`` where there is no map."""
        sky_map = self._sky_map()
        if sky_map is None:
            return None
        # Several observatories are given the same ones.
        places = {(target.name, target.ra, target.dec): None for target in self.targets}
        return plot_sky_map(sky_map, self.subject(), [*places])

    def _sky_map(self) -> SkyMap | None:
        """Return the map; that of the error circle where the notice had a position only."""
        position = self.alert.notice.get("position")
        if self.alert.skymap is None:
            return around(Position(**position)) if position else None
        try:
            return read_sky_map(read_file(Path(self.alert.skymap), DEFAULT_MAX_BYTES))
        except UnusableSkyMap as error:
            log.warning("No plot of %s: %s", self.alert.event, error)
            return None


def _with_unit(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.3g} {unit}"


def _probabilities(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in values.items())


def _map_line(summary: dict[str, Any]) -> str:
    if not summary:
        return ""
    far = summary.get("distance_mpc")
    distance = f", {far:.0f} ± {summary['distance_sigma_mpc'] or 0:.0f} Mpc" if far else ""
    return f"{area_text(summary['area_90_deg2'])} at 90 %{distance}"


def _coincidence(external: dict[str, Any] | None) -> str:
    return "" if external is None else str(ExternalCoincidence(**external))


def changes_line(changes: dict[str, dict[str, list[str]]]) -> str:
    """Return what a revision changed, in one line; observatories without any are left out."""
    return "; ".join(
        f"{name}: " + ", ".join(f"{len(names)} {what}" for what, names in one.items() if names)
        for name, one in changes.items()
        if any(one.values())
    )


def _cancelled_lines(changes: dict[str, dict[str, list[str]]]) -> list[str]:
    lines = []
    for name, one in changes.items():
        if one["cancelled"]:
            more = len(one["cancelled"]) - _SHOWN
            names = [*one["cancelled"][:_SHOWN], *([f"and {more} more"] if more > 0 else [])]
            lines += ["", f"{name}: cancelled {', '.join(names)}"]
    return lines


def _target_line(target: Target) -> str:
    far = "" if target.distance_mpc is None else f"{target.distance_mpc:8.1f} Mpc"
    place = f"{target.ra:9.4f} {target.dec:+9.4f}"
    return f"  {target.rank:5d}  {target.name:24} {place} {far}  p = {target.probability:.2g}"
