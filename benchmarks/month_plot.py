"""A simulated month in one picture: each night's hours, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.month_figures import Record, Span, excused, figures

COLOURS = {
    "exposing": "#2a6f97",
    "moving, computing": "#a9d6e5",
    "unsafe": "#6c757d",
    "device failing": "#e09f3e",
    "telescope dead": "#9e2a2b",
    "until it resumes": "#d9d9d9",
    "lost": "#540b0e",
}


def plot(records: Sequence[Record], target: Path) -> Path:
    """Draw the nights one under the other, from dusk to dawn, and write the picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    ordered = sorted(records, key=lambda record: record.day)
    figure = Figure(figsize=(10, 0.22 * len(ordered) + 1.9), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[6, 1])
    for row, record in enumerate(ordered):
        midnight = datetime.fromisoformat(record.day).replace(tzinfo=UTC).timestamp() + 86400.0
        _row(left, row, record, midnight)
        share = figures(record).used_at(record.rate)
        right.barh(row, 100 * share, color=COLOURS["exposing"], height=0.8)
    left.set_yticks(range(len(ordered)), [record.day for record in ordered], fontsize=7)
    left.invert_yaxis()
    left.set_xlabel("hours from midnight, UTC")
    left.set_title("What the dark hours were spent on", fontsize=10)
    right.set_xlim(0, 100)
    right.axvline(95, color="black", linewidth=0.8, linestyle="--")
    right.set_xlabel("used, % of usable")
    right.set_title("wanted: 95 %", fontsize=9)
    handles: list[Any] = [Patch(color=colour, label=name) for name, colour in COLOURS.items()]
    star = Line2D([], [], marker="*", color="gold", linewidth=0, label="alert")
    handles.append(star)
    figure.legend(handles=handles, loc="outside lower center", ncols=8, fontsize=7, frameon=False)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=130)
    return target


def _row(axes: Any, row: int, record: Record, midnight: float) -> None:
    """Draw one night; what is drawn later lies above."""

    def bars(spans: Sequence[Span], name: str, height: float = 0.8) -> None:
        pieces = [
            ((max(a, record.dark[0]) - midnight) / 3600, (b - max(a, record.dark[0])) / 3600)
            for a, b in ((a, min(b, record.dark[1])) for a, b in spans)
            if b > max(a, record.dark[0])
        ]
        axes.broken_barh(pieces, (row - height / 2, height), color=COLOURS[name], linewidth=0)

    bars([record.dark], "moving, computing")
    bars(figures(record).lost, "lost")
    bars(excused(record), "until it resumes")
    bars([(start, start + length) for start, length, *_ in record.lights], "exposing")
    bars(record.unsafe, "unsafe")
    bars(record.faults, "device failing", 0.5)
    bars(record.deaths, "telescope dead", 0.5)
    for moment in record.alerts:
        axes.plot((moment - midnight) / 3600, row, "*", color="gold", markersize=5)
