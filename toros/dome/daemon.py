"""The dome daemon as a module."""

from __future__ import annotations

import logging

from toros.common.clock import Clock
from toros.common.config.dome import DomeSettings
from toros.common.errors import TorosError
from toros.common.module import PATIENCE_S, Context, Loop, Module
from toros.common.sd_notify import Notifier
from toros.common.workers import run_guarded
from toros.dome.requests import TABLE
from toros.dome.state import DomeModule
from toros.dome.watch import longest_close_s

log = logging.getLogger(__name__)

# What a device, the archive and the mail may take on top of the closing (machine seconds).
MARGIN_S = 60.0


def longest_stop_s(settings: DomeSettings, clock: Clock) -> float:
    """Return how long the module may take to end, closing the dome first (machine seconds)."""
    return _closing_s(settings, clock) + MARGIN_S


def _closing_s(settings: DomeSettings, clock: Clock) -> float:
    return clock.machine_seconds(longest_close_s(settings))


def leave_closed(context: Context, notifier: Notifier | None = None) -> None:
    """Close the dome in place of a module that cannot be served, for nobody would watch it.

    Its events go into the log and the mail alone: there is no archive.
    """
    told = notifier or Notifier.from_environment()
    told.status("Cannot be served. Sees that the dome is closed.")
    told.extend(longest_stop_s(context.config.dome, context.clock))
    try:
        run_guarded("Closing the dome", DomeModule(context).leave_closed)
    except TorosError as error:
        log.error("The dome is not known to be closed: %s", error.message)  # noqa: TRY400


def build(context: Context) -> Module[DomeModule]:
    """Return the module, ready to be served."""
    dome = DomeModule(context)
    settings, clock = context.config.dome, context.clock
    patience_s = PATIENCE_S + _closing_s(settings, clock)
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
        close_s=longest_stop_s(settings, clock),
        describe=dome.describe,
    )
