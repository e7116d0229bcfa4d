"""`toros access`: tokens of users and certificates of nodes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from toros.cli.options import ConfigOption, config_or_defaults
from toros.cli.output import out
from toros.common.access import EVERYTHING, hash_of, new_token
from toros.common.atomic import atomic_path
from toros.common.certificates import issue
from toros.common.errors import InvalidField
from toros.common.nearest import nearest
from toros.common.request_names import canonical, known_requests

access_app = typer.Typer(no_args_is_help=True, help="Tokens of users, certificates of nodes.")

TOKENS = Path("/etc/toros/tokens")
CERTIFICATES = Path("/etc/toros/tls")


@access_app.command()
def add(
    name: Annotated[str, typer.Argument(help="Name of the user.")],
    may: Annotated[
        list[str] | None, typer.Option(help="A request that the user may send; '*' for all.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where the token's hash is kept.")] = TOKENS,
    config: ConfigOption = None,
) -> None:
    """Make a token for a user and show it, once; what is kept is its hash."""
    config_or_defaults(config)
    if not re.fullmatch(r"[\w.@-]+", name):
        raise InvalidField(f"{name!r} is no name for a user: letters, digits and . _ @ - only.")
    for request in may or []:
        _check_request(request)
    path = folder.absolute() / name
    if path.exists():
        raise InvalidField(f"{path} exists: remove it to give {name} a new token.")
    token = new_token()
    with atomic_path(path, mode=0o600) as temporary:
        temporary.write_text(hash_of(token) + "\n", encoding="utf-8")
    requests = ", ".join(f'"{request}"' for request in may or ["status"])
    out.print(f"The token of {name}, which is not shown again:\n\n  {token}\n", markup=False)
    out.print("For the configuration:\n\naccess:", markup=False)
    out.print(f"  - {{user: {name}, token_file: {path}, may: [{requests}]}}", markup=False)
    if EVERYTHING in (may or []):
        out.print("\nThis user may send every work order.")


def _check_request(name: str) -> None:
    known = known_requests()
    if name != EVERYTHING and canonical(name) not in map(canonical, known):
        raise InvalidField(f"--may: there is no request {name!r}{nearest(name, known)}.")


@access_app.command()
def certificate(
    names: Annotated[list[str], typer.Argument(help="Host names and addresses of the node.")],
    folder: Annotated[Path, typer.Option(help="Where the authority's files are.")] = CERTIFICATES,
    config: ConfigOption = None,
) -> None:
    """Make a TLS certificate for a node, and a private authority if there is none yet."""
    folder = folder.absolute()  # for the configuration, which is read elsewhere
    issued = issue(folder, names, config_or_defaults(config).make_clock().now())
    out.print("For the configuration of the node:\n\ntls:", markup=False)
    out.print(f"  certificate: {issued.certificate}", markup=False)
    out.print(f"  key: {issued.key}", markup=False)
    out.print(f"  ca: {issued.authority}", markup=False)
    out.print(
        f"\nClients need {issued.authority}. Keep {folder / 'ca.key'} to yourself.", markup=False
    )
