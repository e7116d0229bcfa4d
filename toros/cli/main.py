"""The `toros` command."""

from __future__ import annotations

import codecs
import errno
import gc
import io
import logging
import os
import sys
import warnings
from typing import Annotated, Any

import typer

from toros import __version__
from toros.cli.lazy import lazy_group
from toros.cli.verdicts import DONE, FAILED, VAIN, WRONG_USE
from toros.common.errors import InvalidField, TorosError

# Each is imported when it is called.
COMMANDS = {
    "night": "toros.cli.night.command:night",
    "serve": "toros.cli.serve:serve",
    "send": "toros.cli.orders:send",
    "status": "toros.cli.orders:status",
    "up": "toros.cli.up:up",
    "calibrate": "toros.cli.reduction:calibrate",
    "inspect": "toros.cli.inspecting:inspect",
    "plan": "toros.cli.plan:plan",
    "alert": "toros.cli.alerts:alert_app",
    "catalog": "toros.cli.catalogs:catalog_app",
    "masters": "toros.cli.reduction:masters_app",
    "config": "toros.cli.settings:config_app",
    "db": "toros.cli.settings:db_app",
    "access": "toros.cli.access:access_app",
}

# What Typer raises where the command was written wrongly; it has no public name of its own.
UsageError: Any = typer.BadParameter.__base__

app = typer.Typer(
    name="toros",
    cls=lazy_group(COMMANDS),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="A robotic observatory that hunts the light of gravitational-wave events.",
)


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
    # Importing a thousand modules makes no garbage: to look for it is a seventh of the time.
    gc.set_threshold(100_000, 20, 100)
    _write_any_letter()
    # Kernels have threads of their own; those of the BLAS would only spin beside them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # A user is shown our own messages; what libraries warn of is for our tests.
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    # A command reports its problems itself; a daemon sets up its own log.
    logging.getLogger().addHandler(logging.NullHandler())
    code = run()
    # Nor is there any use in looking for it on the way out: a third of a second.
    gc.freeze()
    sys.exit(code)


def _write_any_letter() -> None:
    """Have standard output take what its encoding has no letter for, as standard error does.

    Names of files that are not in UTF-8 come out as they are; in an ASCII or Latin-1 terminal a
    letter that is not there is a question mark.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        is_utf_8 = codecs.lookup(sys.stdout.encoding).name == "utf-8"
        sys.stdout.reconfigure(errors="surrogateescape" if is_utf_8 else "replace")


def run(arguments: list[str] | None = None) -> int:
    """Run the command on `arguments` and return its exit status."""
    try:
        code = app(args=arguments, prog_name="toros", standalone_mode=False)
    except UsageError as error:
        return _wrong_use(error)
    except (*VAIN, InvalidField) as error:
        return _say(error.message, WRONG_USE)
    except (TorosError, OSError, typer.Abort) as error:
        return _say(_failure(error), FAILED)
    except SystemExit as end:  # how Typer ends when nobody reads what we write
        return end.code if isinstance(end.code, int) else FAILED
    return code if isinstance(code, int) else DONE  # Ctrl-C (130) included


def _failure(error: TorosError | OSError | typer.Abort) -> str:
    """Say in one line what failed; what the system refused, with the file."""
    if isinstance(error, TorosError):
        return f"{error.message} (code {error.code})"
    if not isinstance(error, OSError):
        return "Stopped."
    if isinstance(error.filename, str | bytes):
        what = os.fsencode(error.filename).decode("utf-8", "backslashreplace")
    elif error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
        what = "What the command writes cannot be written"
    else:  # of the network, say
        what = type(error).__name__
    return f"{what}: {error.strerror or error}."


def _wrong_use(error: Any) -> int:
    """Say in one line what is wrong with the command; help that was asked for is shown whole."""
    text = error.format_message().replace("Value error, ", "")
    if "\n" in text:
        error.show()
        return WRONG_USE
    command = error.ctx.command_path if error.ctx else app.info.name
    sentence = text if text.endswith((".", "?")) else f"{text}."
    return _say(f"{sentence} See '{command} --help'.", WRONG_USE)


def _say(text: str, code: int) -> int:
    from toros.cli.output import err

    err.print(f"toros: {text}", markup=False, style="red")
    return code
