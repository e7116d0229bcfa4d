"""`toros config` and `toros db`: what an admin does before the modules start."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from toros.archive import schema
from toros.cli.options import ConfigOption
from toros.cli.output import out
from toros.common.config import Config, config_path, load_config
from toros.common.config.source import without_password
from toros.common.config.template import render
from toros.common.database import make_engine
from toros.common.door import require_closed_door, rules_of
from toros.common.errors import ConfigurationError

config_app = typer.Typer(no_args_is_help=True, help="Check or show the configuration.")
db_app = typer.Typer(no_args_is_help=True, help="Bring the database up to date.")

# Addresses at which a module listens on every network of its machine.
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - to refuse them

FileArgument = Annotated[Path | None, typer.Argument(help="The file.", show_default=False)]


@config_app.command()
def check(file: FileArgument = None, config: ConfigOption = None) -> None:
    """Read the configuration and say whether it can be used."""
    path = _one_of(file, config)
    settings = load_config(path)
    try:
        _require_usable(settings)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error.message}") from error
    modules = ", ".join(settings.services) or "no modules"
    out.print(f"{path}: good. Node {settings.node}, site {settings.site.name}: {modules}.")


def _one_of(file: Path | None, config: Path | None) -> Path:
    """Return which file is meant, by argument or by option."""
    if file and config and file.absolute() != config.absolute():
        raise ConfigurationError(
            f"Two configurations are named, {file} and {config}: give one of them."
        )
    return config_path(file or config)


def _require_usable(settings: Config) -> None:
    """Refuse what is well written, and with what a module of this node would refuse to start."""
    make_engine(settings.database.url).dispose()
    rules = rules_of(settings)
    for name in settings.services:
        # Any other address may be another machine's, to which this one only sends orders.
        if settings.service(name).host in EVERYWHERE:
            require_closed_door(settings.service(name).host, rules)


@config_app.command()
def show(file: FileArgument = None, config: ConfigOption = None) -> None:
    """Print the configuration as it is understood, defaults included and secrets hidden."""
    out.print(as_yaml(load_config(_one_of(file, config))), markup=False, end="")


@config_app.command()
def template() -> None:
    """Print the shipped configuration: every key with its default and what it means."""
    typer.echo(render(), nl=False)


def as_yaml(settings: Config) -> str:
    """Return `settings` as YAML, without its secrets."""
    data = _shown(settings.model_dump(mode="json"))
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def _shown(value: Any) -> Any:
    """Return a part of a configuration; any address may hold a password."""
    if isinstance(value, dict):
        return {key: _shown(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_shown(each) for each in value]
    return without_password(value) if isinstance(value, str) else value


@db_app.command()
def upgrade(config: ConfigOption = None) -> None:
    """Bring the schema of the database to the current revision."""
    engine = make_engine(load_config(config).database.url)
    schema.upgrade(engine)
    out.print(f"The database is at revision {schema.current(engine)}.")
    engine.dispose()


@db_app.command()
def current(config: ConfigOption = None) -> None:
    """Say which revision the database is at."""
    engine = make_engine(load_config(config).database.url)
    found, wanted = schema.current(engine), schema.newest()
    verdict = "current" if found == wanted else f"this version of TOROS works with {wanted}"
    out.print(f"Revision {found or 'none'}: {verdict}.")
    engine.dispose()
