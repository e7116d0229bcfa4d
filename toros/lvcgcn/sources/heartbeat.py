"""A topic that ticks about once a second: its silence says that a connection is dead."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from toros.common.config.alert_sources import KafkaSource
from toros.lvcgcn.sources.kafka_client import QUIET, heartbeat_settings

if TYPE_CHECKING:
    from confluent_kafka import Consumer


class Heartbeat:
    """Listens to the heartbeat topic with a consumer of its own.

    A stream of alerts is silent for days, and looks the same when its token has lapsed.

    Parameters
    ----------
    settings : KafkaSource
        Broker and topic.
    """

    def __init__(self, settings: KafkaSource) -> None:
        self._settings = settings
        self._consumer: Consumer | None = None
        self._last = 0.0
        #: Whether this connection has heard a tick.
        self.heard = False

    def start(self) -> None:
        """Connect; the silence begins now."""
        if self._settings.heartbeat_topic is None:
            return
        from confluent_kafka import Consumer

        self._consumer = Consumer(heartbeat_settings(self._settings), logger=QUIET)
        self._consumer.subscribe([self._settings.heartbeat_topic])
        self._last, self.heard = time.monotonic(), False

    def stop(self) -> None:
        """Disconnect."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()

    def beat(self) -> bool:
        """Take the ticks that came; return False where there is nothing to listen to."""
        if self._consumer is None:
            return False
        for message in self._consumer.consume(100, timeout=0):
            if message.error() is None:
                self._last, self.heard = time.monotonic(), True
        return True

    def silent_s(self) -> float:
        """Return for how long there was no tick (machine seconds)."""
        return time.monotonic() - self._last

    @property
    def age_s(self) -> float | None:
        """Seconds since the last tick; None where none came over this connection."""
        return round(self.silent_s(), 1) if self._consumer is not None and self.heard else None
