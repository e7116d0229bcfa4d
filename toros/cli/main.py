"""The `toros` command."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Annotated

import typer

from toros import __version__
from toros.cli.access import access_app
from toros.cli.alerts import alert_app
from toros.cli.catalogs import catalog_app
from toros.cli.night.command import night
from toros.cli.orders import send, status
from toros.cli.output import err
from toros.cli.plan import plan
from toros.cli.reduction import calibrate, inspect, masters_app
from toros.cli.serve import VAIN, serve
from toros.cli.settings import config_app, db_app
from toros.cli.up import up
from toros.common.errors import InvalidField, TorosError

DONE, FAILED, WRONG_USE = 0, 1, 2

app = typer.Typer(
    name="toros",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="A robotic observatory that hunts the light of gravitational-wave events.",
)
app.command()(night)
app.command()(serve)
app.command()(send)
app.command()(status)
app.command()(up)
app.command()(calibrate)
app.command()(inspect)
app.command()(plan)
app.add_typer(alert_app, name="alert")
app.add_typer(catalog_app, name="catalog")
app.add_typer(masters_app, name="masters")
app.add_typer(config_app, name="config")
app.add_typer(db_app, name="db")
app.add_typer(access_app, name="access")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"toros {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Run a robotic observatory."""


def main() -> None:
    """Run the command and exit with its status."""
    # A user is shown our own messages; what libraries warn of is for our tests.
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    # A command reports its problems itself; a daemon sets up its own log.
    logging.getLogger().addHandler(logging.NullHandler())
    sys.exit(run())


def run(arguments: list[str] | None = None) -> int:
    """Run the command on `arguments` and return its exit status."""
    try:
        app(args=arguments)
    except (*VAIN, InvalidField) as error:
        return _say(error.message, WRONG_USE)
    except TorosError as error:
        return _say(f"{error.message} (code {error.code})", FAILED)
    except SystemExit as end:  # how Typer ends, wrong usage (2) and Ctrl-C (130) included
        return end.code if isinstance(end.code, int) else FAILED
    return DONE


def _say(text: str, code: int) -> int:
    err.print(f"toros: {text}", markup=False, style="red")
    return code
