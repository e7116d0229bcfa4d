"""Serve the toy module on a database and port of the command line, as `toros serve` would."""

from __future__ import annotations

import logging
import sys

from tests.support.toy import build
from toros.common.config import parse_config
from toros.common.daemon import Daemon
from toros.common.database import make_engine, make_sessions
from toros.common.module import Context

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    url, port, *node = sys.argv[1:]
    config = parse_config(
        f"{{node: {node[0] if node else 'macon'}, "
        f"services: {{dome: {{ip: 127.0.0.1, port: {port}}}}}}}"
    )
    engine = make_engine(url)
    context = Context(config, config.make_clock(), make_sessions(engine))
    Daemon(build(context), context).serve()
    engine.dispose()
