"""The dome daemon as a module."""

from __future__ import annotations

from toros.common.module import PATIENCE_S, Context, Loop, Module
from toros.dome.requests import TABLE
from toros.dome.state import DomeModule
from toros.dome.watch import longest_close_s


def build(context: Context) -> Module[DomeModule]:
    """Return the module, ready to be served."""
    dome = DomeModule(context)
    closing_s = context.clock.machine_seconds(longest_close_s(context.config.dome))
    patience_s = PATIENCE_S + closing_s
    return Module(
        "dome",
        dome,
        TABLE,
        loops=(
            Loop("dome-watch", dome.watch.run, patience_s),
            Loop("dome-leaving", dome.leaving.run, patience_s),
            *(Loop(source.name.replace(" ", "-"), source.run) for source in dome.sources.asked),
            Loop("operator-lock", dome.learn_lock),
            Loop("dome-events", dome.events.run),
            Loop("dome-mail", dome.news.run),
            Loop("dome-reading", dome.reader.run),
            Loop("dome-following", dome.aperture.run),
        ),
        close=dome.close,
        describe=dome.describe,
    )
