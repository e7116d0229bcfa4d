"""A picture of the night's plan: altitudes, blocks, twilights and the Moon."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toros.common.atomic import atomic_path
from toros.sky.night import local_mean_noon
from toros.sky.visibility import altaz, moon_altitude, sun_altitude
from toros.telescope.plan import DAY_S, Plan
from toros.telescope.scheduler import Floats, PlanTarget

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STEP_S = 240.0
MAX_CURVES = 40  # more curves than this hide one another
NAMED_BLOCKS = 12
TWILIGHT_SHADES = ((0.0, "#ffffff"), (-6.0, "#dbe4f0"), (-12.0, "#b3c3dd"), (-18.0, "#8399c2"))
NIGHT_SHADE = "#5d76a8"


def plot_plan(
    plan: Plan,
    path: Path,
    *,
    min_altitude_deg: float = 30.0,
    others: Sequence[PlanTarget] | None = None,
) -> Path:
    """Draw `plan` as a PNG at `path` and return the path.

    Parameters
    ----------
    plan : Plan
    path : pathlib.Path
        Written whole or not at all; the suffix says the format (PNG, PDF, SVG).
    min_altitude_deg : float
        Drawn as a line.
    others : sequence of PlanTarget, optional
        Targets drawn in grey beside the blocks'; those left out if not given.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    unix = _night_times(plan)
    _shade(axes, plan, unix)
    grey = [left.target for left in plan.left_out] if others is None else list(others)
    _curves(axes, plan, unix, grey[:MAX_CURVES])
    _blocks(axes, plan)
    moon = moon_altitude(plan.site, unix)
    axes.plot(_times(unix), moon, color="#f5e663", linestyle="--", linewidth=1.5, label="Moon")
    axes.axhline(min_altitude_deg, color="#b03030", linewidth=0.8, linestyle=":")
    _frame(axes, plan, unix)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format=path.suffix.lower().lstrip(".") or "png")
    return path


def _night_times(plan: Plan) -> Floats:
    """Return times from an hour before sunset to an hour after sunrise, or the whole day."""
    noon = local_mean_noon(plan.site, plan.night).timestamp()
    unix = np.arange(noon, noon + DAY_S, STEP_S)
    down = unix[sun_altitude(plan.site, unix) < 0]
    if down.size == 0:
        return unix
    chosen: Floats = unix[(unix > down[0] - 3600) & (unix < down[-1] + 3600)]
    return chosen


def _times(unix: Floats) -> Floats:
    """Return matplotlib's dates: days since 1970, which is its epoch by default."""
    return unix / DAY_S


def _shade(axes: Axes, plan: Plan, unix: Floats) -> None:
    """Shade the background by the Sun's altitude: day, three twilights, night."""
    sun = sun_altitude(plan.site, unix)
    bounds = [edge for edge, _ in TWILIGHT_SHADES]
    # 0: day, then one more for each altitude that the Sun is below.
    depth = np.sum([sun < edge for edge in bounds], axis=0)
    shades = [*(shade for _, shade in TWILIGHT_SHADES), NIGHT_SHADE]
    moments = _times(unix)
    edges = np.flatnonzero(np.diff(depth)) + 1
    for first, last in zip([0, *edges], [*edges, unix.size - 1], strict=True):
        axes.axvspan(
            moments[first], moments[last], color=shades[int(depth[first])], linewidth=0, zorder=0
        )


def _curves(axes: Axes, plan: Plan, unix: Floats, grey: Sequence[PlanTarget]) -> None:
    moments = _times(unix)
    planned = [block.target for block in plan.blocks][:MAX_CURVES]
    for targets, colour in ((grey, "#9a9a9a"), (planned, "#222222")):
        if not targets:
            continue
        altitude, _ = altaz(
            plan.site,
            unix,
            np.array([target.ra_deg for target in targets]),
            np.array([target.dec_deg for target in targets]),
        )
        for row in altitude:
            axes.plot(moments, row, color=colour, linewidth=0.6, alpha=0.7)


def _blocks(axes: Axes, plan: Plan) -> None:
    """Draw each block as a thick piece of its target's curve; name the first few."""
    from matplotlib import colormaps

    colours = colormaps["autumn"](np.linspace(0, 1, max(len(plan.blocks), 1)))
    for number, (block, colour) in enumerate(zip(plan.blocks, colours, strict=False)):
        unix = np.linspace(block.start.timestamp(), block.end.timestamp(), 8)
        altitude, _ = altaz(
            plan.site, unix, np.array([block.target.ra_deg]), np.array([block.target.dec_deg])
        )
        label = block.target.name if number < NAMED_BLOCKS else None
        axes.plot(
            _times(unix), altitude[0], color=colour, linewidth=5, solid_capstyle="butt", label=label
        )


def _frame(axes: Axes, plan: Plan, unix: Floats) -> None:
    from matplotlib.dates import DateFormatter

    first, last = _times(unix[[0, -1]])
    axes.set_xlim(first, last)
    axes.set_ylim(0, 90)
    axes.set_xlabel("UTC")
    axes.set_ylabel("altitude (degrees)")
    axes.set_title(
        f"{plan.site.name}, night of {plan.night.isoformat()}: "
        f"{len(plan.blocks)} blocks, {len(plan.left_out)} left out"
    )
    axes.xaxis_date(tz=UTC)
    axes.xaxis.set_major_formatter(DateFormatter("%H:%M", tz=UTC))  # type: ignore[no-untyped-call]
    axes.legend(loc="upper right", fontsize=8, ncols=2)
