"""The dome daemon as a module."""

from __future__ import annotations

from toros.common.module import Context, Loop, Module
from toros.dome.requests import TABLE
from toros.dome.state import DomeModule


def build(context: Context) -> Module[DomeModule]:
    """Return the module, ready to be served."""
    dome = DomeModule(context)
    return Module(
        "dome",
        dome,
        TABLE,
        loops=(
            Loop("dome-watch", dome.watch.run),
            Loop("dome-leaving", dome.leaving.run),
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
