"""What the reduction was to reach, beside what a run of the benchmark saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


class Measured(Protocol):
    """One row of a table."""

    @property
    def wall_s(self) -> float:
        """Seconds."""

    @property
    def peak_mb(self) -> float:
        """Most memory held."""


class Rows(Protocol):
    """One table: its title, and what each contender took."""

    @property
    def title(self) -> str:
        """What it is of."""

    @property
    def rows(self) -> Mapping[str, Measured]:
        """By contender."""


@dataclass(frozen=True)
class Target:
    """A bound on a ratio of two rows of one table, or on the memory of one.

    Parameters
    ----------
    table : str
        How its title begins.
    above, below : str
        How the names of the two rows begin; without `below` the memory of the row is bounded.
    bound : float
        At least so much, where `least`; at most otherwise.
    """

    said: str
    table: str
    above: str
    below: str
    bound: float
    least: bool

    def line(self, tables: Sequence[Rows]) -> str | None:
        """Return its row in Markdown, None where it was not measured."""
        table = next((one for one in tables if one.title.startswith(self.table)), None)
        above = _row(table, self.above)
        below = _row(table, self.below) if self.below else None
        if above is None or (self.below and below is None):
            return None
        seen = above.peak_mb if below is None else above.wall_s / below.wall_s
        unit = "MB" if below is None else "×"
        shown = f"{seen:.0f} {unit}" if below is None or seen >= 20 else f"{seen:.2f} {unit}"
        reached = seen >= self.bound if self.least else seen <= self.bound
        sign = "≥" if self.least else "≤"
        verdict = "reached" if reached else "**not reached**"
        return f"| {self.said} | {sign} {self.bound:g} {unit} | {shown} | {verdict} |"


def _row(table: Rows | None, begins: str) -> Measured | None:
    if table is None:
        return None
    return next((row for name, row in table.rows.items() if name.startswith(begins)), None)


def _targets(side: int, count: int) -> list[Target]:
    stack, light = f"{count} × {side}²", f"A calibrated light of {side}²"
    master, night = f"A master of {count} × {side}²", "3 masters of 5 frames"
    clip = f"{stack}, sigma clip"
    return [
        Target(f"sigma clip of {stack}, against ccdproc", clip, "ccdproc", "TOROS", 60, True),
        Target("against Siril", clip, "Siril", "TOROS", 10, True),
        Target("against the floor", clip, "TOROS", "floor", 6, False),
        Target("peak memory", clip, "TOROS", "", 350, False),
        Target("median, against the floor", f"{stack}, median", "TOROS", "floor", 4, False),
        Target("mean, against the floor", f"{stack}, mean", "TOROS", "floor", 4, False),
        Target("a light, against `ccd_process`", light, "ccdproc", "TOROS", 30, True),
        Target("a light, against its floor", light, "TOROS", "floor", 1.5, False),
        Target(
            "cosmic rays, against astroscrappy", "Cosmic rays", "astroscrappy", "TOROS", 25, True
        ),
        Target("`toros masters` against Siril", master, "Siril", "toros masters", 2, True),
        Target("`toros masters` against ccdproc", master, "ccdproc", "toros masters", 12, True),
        Target("`toros calibrate` against Siril", night, "Siril", "toros calibrate", 2, True),
        Target("`toros calibrate` against ccdproc", night, "ccdproc", "toros calibrate", 12, True),
    ]


def against_targets(tables: Sequence[Rows], side: int, count: int) -> list[str]:
    """Return the table of the targets that `tables` tell, in Markdown."""
    lines = [target.line(tables) for target in _targets(side, count)]
    head = ["## Against the targets", "", "| | target | seen | |", "|---|---|---|---|"]
    return [*head, *(line for line in lines if line is not None), ""]
