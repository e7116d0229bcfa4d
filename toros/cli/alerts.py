"""`toros alert` and `toros catalog`: notices, sky maps and galaxies, with no daemons."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from toros.cli.options import ConfigOption, JsonOption, config_or_defaults
from toros.cli.output import err, out, print_json

alert_app = typer.Typer(no_args_is_help=True, help="Read a notice, or rank hosts on a sky map.")
catalog_app = typer.Typer(no_args_is_help=True, help="The catalogues of galaxies.")

SHOWN_HOSTS = 20


@alert_app.command()
def process(
    file: Annotated[Path, typer.Argument(help="VOEvent XML, gwalert JSON or Avro.")],
    skymap: Annotated[Path | None, typer.Option(help="A sky map to use instead.")] = None,
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
    out.print(_hosts(document["hosts"][:SHOWN_HOSTS]))
    for problem in document["problems"]:
        err.print(f"Note: {problem}", markup=False)


@alert_app.command()
def rank(
    skymap: Annotated[Path, typer.Argument(help="A sky map, FITS.")],
    top: Annotated[int, typer.Option(min=1, help="How many hosts.")] = SHOWN_HOSTS,
    catalog: Annotated[str | None, typer.Option(help="Which catalogue.")] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Rank the host galaxies of a sky map."""
    from toros.lvcgcn.process import rank_file

    document = rank_file(skymap, config_or_defaults(config).lvcgcn, top=top, catalog=catalog)
    if as_json:
        print_json(document)
        return
    area, distance = document["area_90_deg2"], document["distance_mpc"]
    far = "" if distance is None else f", {distance:.1f} ± {document['distance_sigma_mpc']:.1f} Mpc"
    out.print(f"90 % area {area:.1f} deg²{far}")
    out.print(_hosts(document["hosts"]))


@catalog_app.command("list")
def list_catalogs(as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """List the catalogues that there are."""
    from toros.lvcgcn.process import catalog_list

    found = catalog_list(config_or_defaults(config).lvcgcn)
    if as_json:
        print_json(found)
        return
    for document in found:
        out.print("  ".join(str(value) for value in document.values()), markup=False)


@catalog_app.command()
def info(
    name: Annotated[str, typer.Argument(help="Which catalogue.")],
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show what is known of a catalogue."""
    from toros.lvcgcn.process import catalog_info

    _show(catalog_info(name, config_or_defaults(config).lvcgcn), as_json)


@catalog_app.command()
def build(
    name: Annotated[str, typer.Argument(help="Which catalogue.")],
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Build a catalogue anew."""
    from toros.lvcgcn.process import catalog_build

    _show(catalog_build(name, config_or_defaults(config).lvcgcn), as_json)


def _show(document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(document)
        return
    for key, value in document.items():
        out.print(f"{key}: {value}", markup=False)


def _hosts(hosts: list[dict[str, Any]]) -> Table:
    table = Table("rank", "name", "ra", "dec", "Mpc", "probability", box=None)
    for host in hosts:
        distance = host["distance_mpc"]
        table.add_row(
            str(host["rank"]),
            host["name"],
            f"{host['ra']:.4f}",
            f"{host['dec']:+.4f}",
            "" if distance is None else f"{distance:.1f}",
            f"{host['probability']:.4f}",
        )
    return table
