"""`toros inspect`: what is known of FITS files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from toros.cli.options import ConfigOption, JsonOption, config_or_defaults
from toros.cli.output import err, out, print_json
from toros.common.errors import UnreadableFile

if TYPE_CHECKING:
    from rich.table import Table


def inspect(
    files: Annotated[
        list[Path], typer.Argument(help="FITS files.", metavar="FILE...", readable=False)
    ],
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show what the archive would record of FITS files, and the card that decided each value."""
    from toros.imaging.headers import inspect_json, read_exposure

    config_or_defaults(config)
    found: list[dict[str, Any]] = []
    failed: list[str] = []
    for file in files:
        try:
            found.append(inspect_json(read_exposure(file)))
        except UnreadableFile as error:
            failed.append(error.message)
    if as_json:
        print_json(found)
    else:
        for document in found:
            out.print(_inspected(document))
    for message in failed:
        err.print(f"toros: {message}", style="red", markup=False)
    if failed:
        raise typer.Exit(1)


def _inspected(document: dict[str, Any]) -> Table:
    from rich.table import Table
    from rich.text import Text

    # As text, not as markup: a name or a header may have brackets in it.
    title = Text(str(document["path"]))
    table = Table(title=title, title_justify="left", box=None, show_header=False)
    decided = document["decided_by"]
    for key, value in document.items():
        if key not in ("path", "decided_by", "notes", "header"):
            shown = "" if value is None else str(value)
            table.add_row(key, Text(shown), Text(str(decided.get(key, ""))))
    for note in document["notes"]:
        table.add_row("note", Text(str(note)), "")
    return table
