"""`toros serve`: one daemon in the foreground."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Annotated

import typer

from toros.archive.schema import check_current
from toros.cli.modules import SIMULATOR, build, check_name
from toros.cli.options import ConfigOption, config_or_defaults
from toros.cli.verdicts import VAIN, status_of
from toros.common.config import Config, load_config
from toros.common.daemon import Daemon
from toros.common.database import make_engine, make_sessions
from toros.common.errors import DatabaseNotReady, TorosError
from toros.common.logs import set_up_logging
from toros.common.module import Context
from toros.common.sd_notify import Notifier

log = logging.getLogger(__name__)


def serve(
    module: Annotated[str, typer.Argument(help="telescope, dome, preprocessor, lvcgcn, simulator")],
    config: ConfigOption = None,
) -> None:
    """Run one daemon in the foreground, as systemd does."""
    logged = False
    try:
        name = check_name(module)
        settings = simulator_settings(config) if name == SIMULATOR else load_config(config)
        mail = set_up_logging(settings, name, settings.make_clock())
        try:
            _serve(name, settings)
            left = _left_behind()
        except TorosError as error:
            log.error(  # noqa: TRY400 - foreseen: the message says it all
                "%s cannot start: %s", name, error.message, extra={"code": error.code}
            )
            logged = True
            raise
        finally:
            if mail is not None:
                mail.close()
            logging.shutdown()
    except TorosError as error:
        Notifier.from_environment().status(_why(error))
        if logged:
            raise typer.Exit(status_of(error)) from error  # standard error has it already
        raise
    if left:
        # The interpreter would wait for them. Their orders are in the journal, and are taken up or
        # marked interrupted at the next start.
        os._exit(0)


def simulator_settings(given: Path | None) -> Config:
    """Return the configuration; without any the simulator runs on defaults, and logs to us only.

    It is of use to other projects too, which have no ``/etc/toros``.
    """
    settings = config_or_defaults(given)
    if settings == Config():
        quiet = settings.logging.model_copy(update={"file": None})
        return settings.model_copy(update={"logging": quiet})
    return settings


def _why(error: TorosError) -> str:
    """Return what `systemctl status` shows of a module that could not start."""
    mend = " Mend it, then start the module again." if isinstance(error, VAIN) else ""
    return f"Cannot start: {error.message}{mend}"


def _left_behind() -> list[str]:
    """Return the threads that did not stop in their time and would hold up the end."""
    own = threading.main_thread()
    left = [t.name for t in threading.enumerate() if t is not own and not t.daemon]
    if left:
        log.warning("The module ends without these threads: %s.", ", ".join(left))
    return left


def _serve(name: str, settings: Config) -> None:
    clock = settings.make_clock()
    if name == SIMULATOR:
        from toros.simulator.server import serve as serve_simulator

        serve_simulator(settings, clock)
        return
    engine = make_engine(settings.database.url)
    try:
        context = Context(settings, clock, make_sessions(engine))
        try:
            check_current(engine)
        except DatabaseNotReady:
            if name == "dome":  # what is open must not wait for a database
                from toros.dome.daemon import leave_closed

                leave_closed(context)
            raise
        Daemon(build(name, context), context).serve()
    finally:
        engine.dispose()
