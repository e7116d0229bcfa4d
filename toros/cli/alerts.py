"""`toros alert`: notices and sky maps, with no daemons."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from toros.cli.folders import require_picture
from toros.cli.options import ConfigOption, JsonOption, config_or_defaults, is_configured
from toros.cli.output import err, out, print_json
from toros.common.config import Config, load_config
from toros.common.errors import UnknownEvent
from toros.lvcgcn.weight import Weight

alert_app = typer.Typer(
    no_args_is_help=True, help="Read a notice, rank hosts on a sky map, look into the record."
)

SHOWN_HOSTS = 20


@alert_app.command()
def process(
    file: Annotated[
        Path, typer.Argument(help="VOEvent XML, gwalert JSON or Avro.", readable=False)
    ],
    skymap: Annotated[
        Path | None, typer.Option(help="A sky map to use instead.", readable=False)
    ] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Process one notice by hand; nothing is sent to a telescope."""
    from toros.lvcgcn.process import process_file

    document = process_file(file, config_or_defaults(config).lvcgcn, sky_map=skymap)
    if as_json:
        print_json(document)
        return
    label = f" [{document['label']}]" if document.get("label") else ""
    kind = document["alert_type"]
    out.print(f"{document['event']} {kind}{label}: {document['why']}", markup=False)
    if document["hosts"]:
        out.print(_hosts(document["hosts"][:SHOWN_HOSTS]))
    for problem in document["problems"]:
        err.print(f"Note: {problem}", markup=False)


@alert_app.command()
def rank(
    skymap: Annotated[Path, typer.Argument(help="A sky map, FITS.", readable=False)],
    top: Annotated[int, typer.Option(min=1, help="How many hosts.")] = SHOWN_HOSTS,
    catalog: Annotated[str | None, typer.Option(help="Which catalogue.")] = None,
    weight: Annotated[Weight | None, typer.Option(help="What galaxies are weighted with.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Also draw it, as PNG.")] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Rank the host galaxies of a sky map."""
    from toros.lvcgcn.process import plot_file, rank_file

    require_picture(plot, "--plot")
    settings = config_or_defaults(config).lvcgcn
    document = rank_file(skymap, settings, top=top, catalog=catalog, weight=weight)
    if plot is not None:
        plot_file(skymap, settings, document["hosts"], plot)
    if as_json:
        print_json(document)
        return
    area, distance = document["area_90_deg2"], document["distance_mpc"]
    far = "" if distance is None else f", {distance:.1f} ± {document['distance_sigma_mpc']:.1f} Mpc"
    out.print(f"90 % area {area:.1f} deg²{far}")
    out.print(_hosts(document["hosts"]))


@alert_app.command("list")
def list_alerts(
    event: Annotated[str | None, typer.Option(help="Only this event's.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 50,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List the alerts on record, the newest first."""
    from toros.lvcgcn.history import alert_list

    # Without a configuration there is no robot, and what none received is an empty record.
    found = []
    if is_configured(config):
        found = alert_list(load_config(config), limit=limit, event=event)
    if as_json:
        print_json(found)
        return
    # Not a table: its last column would be squeezed into what the others leave of a terminal.
    rows = [("received", "event", "rev.", "type", "label", "followed", "why")]
    rows += [
        (
            one["received"][:16].replace("T", " "),
            one["event"],
            str(one["revision"]),
            one["alert_type"],
            one["label"] or "",
            "yes" if one["triggered"] else "no",
            one["why"],
        )
        for one in found
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    for *columns, why in rows:
        line = "  ".join(text.ljust(width) for text, width in zip(columns, widths, strict=True))
        out.print(f"{line}  {why}", markup=False)


@alert_app.command()
def show(
    event: Annotated[str, typer.Argument(help="Name of the event.")],
    plot: Annotated[Path | None, typer.Option(help="Also draw its newest map, as PNG.")] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show an event: its state, its revisions, what each changed, and its targets."""
    from toros.lvcgcn.history import alert_show, event_plot
    from toros.lvcgcn.letter import changes_line

    require_picture(plot, "--plot")
    settings = _with_record(config, event)
    document = alert_show(settings, event)
    if plot is not None:
        event_plot(settings, event, plot)
    if as_json:
        print_json(document)
        return
    out.print(f"{event}: {document['state']}", markup=False)
    for one in document["revisions"]:
        label = f" [{one['label']}]" if one["label"] else ""
        kind = f"{one['revision']:3d} {one['alert_type']}{label}"
        out.print(f"{kind}: {one['why']}", markup=False)
        if changed := changes_line(one["changes"]):
            out.print(f"      {changed}", markup=False)
    for target in document["targets"]:
        out.print(
            f"  {target['observatory']:12} {target['rank']:5d} {target['name']:24} "
            f"{target['state']}",
            markup=False,
        )


@alert_app.command()
def replay(
    event: Annotated[str, typer.Argument(help="Name of the event.")],
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Decide anew on an event's notices, as they were received, with today's rules.

    Nothing is sent to a telescope, and nothing is recorded.
    """
    from toros.lvcgcn.history import alert_replay

    found = alert_replay(_with_record(config, event), event)
    if as_json:
        print_json(found)
        return
    for one in found:
        now = "followed" if one["triggered"] else "not followed"
        then = "followed" if one["triggered_then"] else "not followed"
        out.print(f"{one['revision']:3d} {one['alert_type']}: {now} ({then} then)", markup=False)
        out.print(f"      {one['why']}", markup=False)
        for rule in one["rules"]:
            out.print(f"      {'+' if rule['passed'] else '-'} {rule['says']}", markup=False)


def _with_record(config: Path | None, event: str) -> Config:
    """Return the configuration whose archive has what was received.

    Raises
    ------
    UnknownEvent
        If there is none: its record would be empty.
    """
    if not is_configured(config):
        raise UnknownEvent(
            f"No notice of {event} was received: there is no configuration, and so no record; "
            "name one with --config or $TOROS_CONFIG."
        )
    return load_config(config)


def _hosts(hosts: list[dict[str, Any]]) -> Table:
    table = Table("rank", "name", "ra", "dec", "Mpc", "probability", box=None)
    for host in hosts:
        distance = host["distance_mpc"]
        table.add_row(
            str(host["rank"]),
            Text(host["name"]),  # names may have brackets: no markup
            f"{host['ra']:.4f}",
            f"{host['dec']:+.4f}",
            "" if distance is None else f"{distance:.1f}",
            f"{host['probability']:.4f}",
        )
    return table
