"""Options that every command takes alike."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from toros.common.config import Config

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="Configuration file; else $TOROS_CONFIG, else /etc/toros/toros.conf.yaml.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def is_configured(given: Path | None) -> bool:
    """Return whether a configuration is named, or stands where it is looked for."""
    from toros.common.config.loader import DEFAULT_PATH, VARIABLE

    return given is not None or VARIABLE in os.environ or DEFAULT_PATH.exists()


def config_or_defaults(given: Path | None) -> Config:
    """Return the configuration, or the shipped defaults where none is named and none is there.

    For the commands that need no observatory: an astronomer's laptop has no ``/etc/toros``.
    """
    from toros.common.config import Config, load_config

    return load_config(given) if is_configured(given) else Config()
