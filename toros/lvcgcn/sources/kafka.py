"""Notices from Kafka: GCN's JSON and SCiMMA's Avro.

The broker remembers, for our fixed group, what was received. A notice's offset is committed when
its bytes are on disk and not before; what was not committed comes again after a restart.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from toros.common.clock import Clock, iso
from toros.common.config.alert_sources import KafkaSource
from toros.lvcgcn.sources.backoff import Backoff
from toros.lvcgcn.sources.heartbeat import Heartbeat
from toros.lvcgcn.sources.kafka_client import QUIET, consumer_settings, is_of_a_topic, is_passing
from toros.lvcgcn.sources.source import RawNotice, Report

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

log = logging.getLogger(__name__)

_POLL_S = 0.25
_ASK_S = 2.0
_ANSWER_S = 1.0


class KafkaSubscriber:
    """Receives messages of some topics, for ever.

    Parameters
    ----------
    settings : KafkaSource
        Which broker and topics.
    clock : Clock
        The observatory's time.
    report : callable
        Records a problem.
    """

    def __init__(self, settings: KafkaSource, clock: Clock, report: Report) -> None:
        self._settings = settings
        self._clock = clock
        self._report = report
        self._backoff = Backoff()
        self._consumer: Consumer | None = None
        self._heartbeat = Heartbeat(settings)
        self._trouble: str | None = None
        self._topics_missing = False
        self._last: str | None = None
        self._next_question = 0.0
        #: Partitions that were begun with the first message, and have nothing committed yet.
        self._begun: set[tuple[str | None, int | None]] = set()
        self.connections = 0
        self.name = f"kafka:{settings.name}"

    def stream(self, stop: threading.Event) -> Iterator[RawNotice]:
        """Yield messages. A consumer that is beyond repair is replaced by a fresh one."""
        while not stop.is_set():
            try:
                yield from self._consume(stop)
            finally:
                self._close()
            if not stop.is_set():
                stop.wait(self._backoff.pause_s())

    def ack(self, notice: RawNotice) -> None:
        """Commit a message's offset. It does not wait: one that is lost only comes again."""
        message: Message = notice.token
        self._begun.discard((message.topic(), message.partition()))
        if self._consumer is not None:
            try:
                self._consumer.commit(message=message, asynchronous=True)
            except _kafka_exception() as error:
                log.warning("%s: an offset was not committed: %s", self.name, error)

    def describe(self) -> dict[str, Any]:
        """Return the state of the connection."""
        return {
            "topics": self._settings.topics,
            "trouble": self._trouble,
            "connections": self.connections,
            "last_notice": self._last,
            "heartbeat_age_s": self._heartbeat.age_s,
        }

    def _consume(self, stop: threading.Event) -> Iterator[RawNotice]:
        try:
            consumer = self._open()
        except (_kafka_exception(), SystemError) as failure:
            # With OIDC a consumer is not even made while no token can be had. confluent-kafka
            # raises a SystemError there, because it calls `error_cb` with the exception set.
            self._ill(_words(failure.__cause__ or failure))
            return
        while not stop.is_set():
            message = consumer.poll(_POLL_S)
            if message is None:
                if not self._alive():
                    return
                continue
            error = message.error()
            if error is None:
                self._backoff.healthy()
                self._seems_well()
                yield self._notice(message)
            elif error.code() == error._AUTO_OFFSET_RESET:
                self._begin(consumer, message)
            elif not self._goes_on(error):
                return

    def _begin(self, consumer: Consumer, message: Message) -> None:
        """Begin a partition with the first message that the broker has.

        So it is for a group that never committed: nothing is missed. But a robot that was away
        for longer than the broker keeps messages has lost some, and people must know.
        """
        from confluent_kafka import OFFSET_BEGINNING, OFFSET_STORED

        error, topic, partition = message.error(), message.topic(), message.partition()
        if error is not None and "out of range" in error.str().casefold():
            self._report(
                f"{self.name}: the broker no longer has some notices of {topic} that were not "
                "received; it goes on with the first that it has."
            )
        self._begun.add((topic, partition))
        placed = consumer.assignment()
        # An assignment is one of all: the others stay where they are, what was begun before and
        # has nothing committed yet among them. It would else be without an offset again, for ever.
        for place, reached in zip(placed, consumer.position(placed), strict=True):
            here = (place.topic, place.partition)
            place.offset = OFFSET_BEGINNING if here in self._begun else OFFSET_STORED
            if here != (topic, partition) and reached.offset >= 0:
                place.offset = reached.offset
        consumer.assign(placed)

    def _open(self) -> Consumer:
        from confluent_kafka import Consumer

        self.connections += 1
        settings = consumer_settings(self._settings)
        settings |= {"error_cb": self._on_error, "on_commit": self._on_commit}
        self._consumer = Consumer(settings, logger=QUIET)
        self._consumer.subscribe(self._settings.topics)
        self._heartbeat.start()
        self._backoff.connected()
        log.info("%s listens to %s.", self.name, ", ".join(self._settings.topics))
        return self._consumer

    def _close(self) -> None:
        consumer, self._consumer = self._consumer, None
        self._heartbeat.stop()
        if consumer is not None:
            consumer.close()

    def _notice(self, message: Message) -> RawNotice:
        position = f"{message.topic()}/{message.partition()}/{message.offset()}"
        now = self._clock.now()
        self._last = iso(now)
        return RawNotice(message.value() or b"", self.name, position, now, message)

    def _alive(self) -> bool:
        """Look for heartbeats; return False when a fresh connection is due."""
        if not self._heartbeat.beat():
            self._ask_if_well()
            return True
        silence_s = self._settings.heartbeat_silence_s
        if self._heartbeat.silent_s() < silence_s:
            if self._heartbeat.heard:
                self._seems_well()
                self._backoff.healthy()
            return True
        self._ill(f"no heartbeat for {silence_s:g} s: it connects anew")
        return False

    def _seems_well(self) -> None:
        """Note that something came. It is no word of a topic that was said not to be there."""
        if self._topics_missing:
            self._ask_if_well()
        else:
            self._well()

    def _ask_if_well(self) -> None:
        """Ask a broker that was in trouble whether it answers again and has our topics."""
        now = time.monotonic()
        if self._trouble is None or self._consumer is None or now < self._next_question:
            return
        self._next_question = now + _ASK_S
        try:
            there = self._consumer.list_topics(timeout=_ANSWER_S).topics
        except _kafka_exception():
            return
        named = [topic for topic in self._settings.topics if not topic.startswith("^")]
        if all(topic in there and there[topic].error is None for topic in named):
            self._well()

    def _goes_on(self, error: KafkaError) -> bool:
        """Return whether librdkafka mends an error by itself; put it on record once."""
        self._topics_missing = self._topics_missing or is_of_a_topic(error)
        self._ill(error.str())
        return is_passing(error)

    def _on_error(self, error: KafkaError) -> None:
        # Called from poll: brokers that are away, tokens that cannot be had.
        self._ill(error.str())

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        if error is not None:
            log.warning("%s: offsets were not committed: %s", self.name, error.str())

    def _ill(self, trouble: str) -> None:
        if self._trouble is None:
            self._report(f"{self.name}: {trouble}.")
        log.debug("%s: %s.", self.name, trouble)
        self._trouble = trouble

    def _well(self) -> None:
        if self._trouble is not None:
            log.warning("%s is well again.", self.name)
        self._trouble, self._topics_missing = None, False


def _words(error: BaseException) -> str:
    """Return what an exception of librdkafka says, without its number."""
    said = error.args[0] if error.args else error
    return str(said.str()) if hasattr(said, "str") else str(said)


def _kafka_exception() -> type[Exception]:
    from confluent_kafka import KafkaException

    return KafkaException
