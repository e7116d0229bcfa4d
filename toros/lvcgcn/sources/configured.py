"""The sources that the configuration names."""

from __future__ import annotations

import logging
from functools import partial

from toros.common.errors import PeerError
from toros.common.module import Context
from toros.lvcgcn import records
from toros.lvcgcn.sources.folder import WatchedFolder
from toros.lvcgcn.sources.kafka import KafkaSubscriber
from toros.lvcgcn.sources.source import Source
from toros.lvcgcn.sources.vtp import VtpSubscriber

log = logging.getLogger(__name__)


def sources_of(context: Context) -> list[Source]:
    """Return the configured sources, ready to be listened to."""
    settings = context.config.lvcgcn.sources
    clock, report = context.clock, partial(_report, context)
    return [
        *(KafkaSubscriber(each, clock, report) for each in settings.kafka),
        *(VtpSubscriber(each, clock, report) for each in settings.vtp),
        *(WatchedFolder(each, clock, report) for each in settings.folders),
    ]


def _report(context: Context, message: str) -> None:
    """Put a source's problem on record, and before the admins."""
    log.error("%s", message)
    with context.sessions.begin() as session:
        records.note(
            session, context.clock.now(), "problem", message, level="error", code=PeerError.code
        )
