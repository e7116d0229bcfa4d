"""`toros calibrate` and `toros masters`: frames on disk, reduced with no daemons."""

from __future__ import annotations

import gc
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from toros.cli.archives import opened_archive
from toros.cli.folders import require_writable
from toros.cli.interrupting import interrupted_safely
from toros.cli.judging import accept, reject
from toros.cli.options import ConfigOption, JsonOption, config_or_defaults
from toros.cli.output import err, out, print_json, progress_bar
from toros.common.digests import DigestsAhead
from toros.common.folder_lock import folder_lock

if TYPE_CHECKING:
    from toros.common.config import Config
    from toros.preprocessor.reduce import BatchReport

FoldersArgument = Annotated[
    list[Path],
    typer.Argument(
        help="A folder of FITS files; several (nights, cameras) are reduced together.",
        metavar="DIR",
        readable=False,  # what cannot be read is said as what is missing
    ),
]
# How long a thread may keep the interpreter's lock; Python's own is 5 ms.
_TURN_S = 0.0005


def calibrate(
    folders: FoldersArgument,
    target: Annotated[Path | None, typer.Option("--out", help="Where products go.")] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Make the masters of a folder, or of several together, and calibrate the lights."""
    names = [folder.name for folder in dict.fromkeys(folder.resolve() for folder in folders)]
    more = f"+{len(names) - 1}" if len(names) > 1 else ""
    target = target or Path("toros-calibrated") / f"{names[0]}{more}"
    require_writable(target, "--out")
    _reduce(folders, target, config, as_json)


class _FolderOrCommand(TyperGroup):
    """Takes ``masters DIR`` for ``masters make DIR``."""

    default_command = "make"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = [self.default_command, *args]
        return super().parse_args(ctx, args)


masters_app = typer.Typer(
    cls=_FolderOrCommand,
    no_args_is_help=True,
    help="Make the masters of a folder (toros masters DIR --out DIR); reject or accept one.",
)


@masters_app.command("make")
def masters(
    folders: FoldersArgument,
    target: Annotated[Path, typer.Option("--out", help="Where the masters go.")],
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Make only the masters of a folder, or of several together."""
    require_writable(target, "--out")
    _reduce(folders, target, config, as_json, masters_only=True)


masters_app.command("reject")(reject)
masters_app.command("accept")(accept)


def _reduce(
    folders: list[Path],
    target: Path,
    config: Path | None,
    as_json: bool,
    *,
    masters_only: bool = False,
) -> None:
    # Digests, headers and imports take turns with the interpreter's lock: shorter turns than usual.
    sys.setswitchinterval(_TURN_S)
    with interrupted_safely(), DigestsAhead(folders, leave_out=target) as digests:
        with _no_garbage():
            # First: it looks through all modules that are loaded, and there are few.
            import_module("astropy.io.fits")
            # numba and the kernels take a while to load: that happens while headers are read.
            threading.Thread(target=_load_ahead, name="load").start()
            import_module("toros.preprocessor.reduce")
            settings = config_or_defaults(config)
        report = _reduced(folders, target, config, settings, digests.of, masters_only=masters_only)
    if as_json:
        print_json(report.document)
    else:
        _show(report.document, target)
    if report.failed:
        raise typer.Exit(1)


def _reduced(
    folders: list[Path],
    target: Path,
    config: Path | None,
    settings: Config,
    digest_of: Callable[[Path], str],
    *,
    masters_only: bool,
) -> BatchReport:
    from toros.common.database import make_sessions
    from toros.preprocessor.reduce import reduce_folder, require_frames

    # One that names no database wants other settings, not the archive of an observatory.
    archive = config if config and "database" in settings.model_fields_set else None
    require_frames(folders, target)  # before anything is made: no archive is left of a wrong name
    with (
        folder_lock(target),
        opened_archive(settings, archive, target) as engine,
        progress_bar() as progress,
    ):
        return reduce_folder(
            folders,
            target,
            make_sessions(engine),
            settings,
            settings.make_clock(),
            progress,
            masters_only=masters_only,
            digest_of=digest_of,
            tell=lambda text: err.print(text, style="dim", markup=False),
        )


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Do not look for garbage meanwhile, nor later among what was made: imports make none."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _load_ahead() -> None:
    """Load what is needed soon; who needs it imports it anyway, and is told what is wrong with it.

    Ctrl-C takes modules away that another thread has half imported.
    """
    with suppress(Exception):
        _load_kernels()


def _load_kernels() -> None:
    from toros.imaging.kernels.compiled import when_compiling

    when_compiling(lambda text: err.print(text, style="dim"))
    import numpy as np

    # The first call of any kernel makes numba ready.
    from toros.imaging.kernels.encoding import sum_bytes

    sum_bytes(np.zeros(4, np.uint8), 0)
    # What the end wants last: by then the kernels are at work, and leave the interpreter alone.
    for name in ("toros.imaging.masters", "toros.preprocessor.page", "jinja2", "PIL.Image"):
        import_module(name)


def _show(document: dict[str, Any], target: Path) -> None:
    counts = Counter(product["kind"] for product in document["products"])
    for kind, count in counts.items():
        out.print(f"{count:5d}  {kind.replace('_', ' ')}")
    for product in document["products"]:
        out.print(f"       {product['path']}", markup=False)
    if not document["products"]:
        kinds = Counter(row["image_type"] or "unknown" for row in document["exposures"])
        given = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        err.print(f"Nothing was made. Frames found: {given}.", style="yellow", markup=False)
    if document["problems"]:
        err.print("Problems:", style="yellow")
    for problem in document["problems"]:
        where = f"{problem['step'].replace('_', ' ')}: " if problem.get("step") else ""
        units = f" ({len(problem['units'])} times)" if len(problem.get("units") or ()) > 1 else ""
        err.print(f"  {where}{problem['message']} (code {problem['code']}){units}", markup=False)
    out.print(f"Products are in {target}.", markup=False)
    if (report := target / "report.html").exists():
        out.print(f"The report is {report}.", markup=False)
