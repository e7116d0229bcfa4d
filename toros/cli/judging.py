"""`toros masters reject` and `toros masters accept`."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from toros.cli.archives import opened_archive
from toros.cli.options import ConfigOption, JsonOption, config_or_defaults
from toros.cli.output import out, print_json
from toros.common.errors import InvalidField

if TYPE_CHECKING:
    from toros.preprocessor.rejecting import Judgement

WhyOption = Annotated[str, typer.Option(help="For those who ask later.")]
NameArgument = Annotated[str, typer.Argument(help="Its file name, or its path.", metavar="NAME")]
ProductsOption = Annotated[
    Path | None,
    typer.Option("--out", help="The folder of products whose archive knows it."),
]


def reject(
    name: NameArgument,
    why: WhyOption = "",
    target: ProductsOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Never use a master again; list and requeue what was made with it."""
    from toros.preprocessor.rejecting import reject_master

    _judge(reject_master, "rejected", (name, why), target, config, as_json)


def accept(
    name: NameArgument,
    why: WhyOption = "",
    target: ProductsOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Use a rejected master again; list and requeue what was made without it."""
    from toros.preprocessor.rejecting import accept_master

    _judge(accept_master, "accepted again", (name, why), target, config, as_json)


def _judge(
    judge: Callable[..., Judgement],
    said: str,
    what: tuple[str, str],
    target: Path | None,
    config: Path | None,
    as_json: bool,
) -> None:
    settings = config_or_defaults(config)
    if target is not None and not (target / "archive.db").is_file():
        raise InvalidField(f"There is no archive.db in {target}.")
    chosen = None if target is not None else config
    if target is None and config is None:
        raise InvalidField("Which archive? Give --out DIR, where the products are, or --config.")
    from toros.common.database import make_sessions

    name, why = what
    with opened_archive(settings, chosen, target or Path()) as engine:
        now = settings.make_clock().now()
        found = judge(make_sessions(engine), name, why, now, _user())
    if as_json:
        print_json(found.document())
        return
    out.print(f"{found.master} is {said}.", markup=False)
    for path in found.products:
        out.print(f"  to be made again: {path}", markup=False)
    for number, batch in found.file_batches:
        again = (
            "the preprocessor goes on with it where it runs, else: "
            f"toros send preprocessor resume_file_batch file_batch={number}"
            if target is None
            else "go on with: toros calibrate with the same --out"
        )
        out.print(f"File batch {batch} is requeued; {again}", markup=False)


def _user() -> str:
    """Return who gives the command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, in a container
        return str(os.getuid())
