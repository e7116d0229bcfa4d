"""`toros serve`: one daemon in the foreground."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from toros.archive.schema import check_current
from toros.cli.modules import SIMULATOR, build, check_name
from toros.cli.options import ConfigOption
from toros.common.config import Config, load_config
from toros.common.daemon import Daemon
from toros.common.database import make_engine, make_sessions
from toros.common.logs import set_up_logging
from toros.common.module import Context


def serve(
    module: Annotated[str, typer.Argument(help="telescope, dome, preprocessor, lvcgcn, simulator")],
    config: ConfigOption = None,
) -> None:
    """Run one daemon in the foreground, as systemd does."""
    name = check_name(module)
    settings = load_config(config)
    mail = set_up_logging(settings, name, settings.make_clock())
    try:
        _serve(name, settings)
    finally:
        if mail is not None:
            mail.close()
        logging.shutdown()


def _serve(name: str, settings: Config) -> None:
    clock = settings.make_clock()
    if name == SIMULATOR:
        from toros.simulator.server import serve as serve_simulator

        serve_simulator(settings, clock)
        return
    engine = make_engine(settings.database.url)
    try:
        check_current(engine)
        context = Context(settings, clock, make_sessions(engine))
        Daemon(build(name, context), context).serve()
    finally:
        engine.dispose()
