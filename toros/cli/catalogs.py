"""`toros catalog`: the catalogues of galaxies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from toros.cli.options import ConfigOption, JsonOption, config_or_defaults
from toros.cli.output import out, print_json, progress_bar

catalog_app = typer.Typer(no_args_is_help=True, help="The catalogues of galaxies.")

NameArgument = Annotated[str, typer.Argument(help="Which catalogue.")]


@catalog_app.command("list")
def list_catalogs(as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """List the catalogues that are built, or can be built or fetched."""
    from toros.lvcgcn.catalogue_admin import catalog_list

    found = catalog_list(config_or_defaults(config).lvcgcn)
    if as_json:
        print_json(found)
        return
    table = Table("name", "state", "title", box=None)
    for document in found:
        table.add_row(document["name"], document["state"], Text(document["title"]))
    out.print(table)


@catalog_app.command()
def info(
    name: NameArgument,
    verify: Annotated[bool, typer.Option("--verify", help="Compare every digest.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show what is known of a catalogue."""
    from toros.lvcgcn.catalogue_admin import catalog_info

    _show(catalog_info(name, config_or_defaults(config).lvcgcn, verify=verify), as_json)


@catalog_app.command()
def build(
    name: NameArgument,
    file: Annotated[
        Path | None, typer.Argument(help="FITS, CSV, ECSV, VOTable or Parquet table.")
    ] = None,
    columns: Annotated[
        str, typer.Option(help="Its columns, as ra=RAJ2000,dec=DEJ2000,distance=dL,name=Name.")
    ] = "",
    title: Annotated[str | None, typer.Option(help="For people.")] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Build a catalogue, of a table or of what is installed, and swap it in."""
    from toros.lvcgcn.catalogue_admin import catalog_build
    from toros.lvcgcn.galaxy_table import Columns

    settings = config_or_defaults(config).lvcgcn
    given = Columns.parse(columns)
    _show(catalog_build(name, settings, table=file, columns=given, title=title), as_json)


@catalog_app.command()
def fetch(name: NameArgument, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Fetch a catalogue from VizieR, as glade+; one that broke off goes on."""
    from toros.lvcgcn.catalogue_admin import catalog_fetch

    with progress_bar() as progress:
        document = catalog_fetch(name, config_or_defaults(config).lvcgcn, progress)
    _show(document, as_json)


def _show(document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(document)
        return
    for key, value in document.items():
        out.print(f"{key}: {value}", markup=False)
