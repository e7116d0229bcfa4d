"""`toros plan`: what could be observed in a night."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from toros.cli.folders import require_picture
from toros.cli.options import ConfigOption, JsonOption, config_or_defaults
from toros.cli.output import out, print_json
from toros.common.errors import InvalidField


def plan(
    night: Annotated[
        str | None, typer.Option(help="Date of the evening, YYYY-MM-DD; tonight by default.")
    ] = None,
    targets: Annotated[
        Path | None,
        typer.Option(help="CSV or ECSV with name, ra, dec and optional columns.", readable=False),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the plan to this file: PNG, PDF or SVG.")
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Plan a night for a table of targets."""
    from toros.sky.night import night_of
    from toros.sky.site import Site
    from toros.telescope.plan import make_plan
    from toros.telescope.plan_plot import plot_plan
    from toros.telescope.target_table import read_targets

    require_picture(plot, "--plot", (".png", ".pdf", ".svg"))
    settings = config_or_defaults(config)
    where = settings.site
    site = Site(where.name, where.latitude, where.longitude, where.elevation)
    day = night_of(site, settings.make_clock().now()) if night is None else _date(night)
    wanted = read_targets(targets, settings.telescope) if targets else []
    made = make_plan(site, day, wanted, settings.telescope)
    if plot is not None:
        limit = settings.telescope.limits.min_altitude_deg
        plot_plan(made, plot, min_altitude_deg=limit, others=wanted)
    if as_json:
        print_json(made.as_json())
    else:
        _show(made.as_json())


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidField(f"--night: {text!r} is not a date; write YYYY-MM-DD.") from error


def _show(document: dict[str, Any]) -> None:
    out.print(f"Night of {document['night']} at {document['site']['name']}", markup=False)
    table = Table("start (UTC)", "end", "target", "filter", "airmass", box=None)
    for block in document["blocks"]:
        table.add_row(
            block["start"][11:19],
            block["end"][11:19],
            Text(block["target"]),  # names of targets may have brackets: no markup
            block["filter"] or "",
            f"{block['airmass_start']:.2f}-{block['airmass_end']:.2f}",
        )
    if document["blocks"]:
        out.print(table)
    for left in document["left_out"]:
        out.print(f"Left out: {left['target']}: {left['reason']}", markup=False)
    if not document["blocks"] and not document["left_out"]:
        out.print("There is no target: give a table of them with --targets FILE.")
    elif not document["blocks"]:
        out.print("Nothing can be observed.")
