"""What every source of notices offers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True)
class RawNotice:
    """A notice as it came.

    Parameters
    ----------
    content : bytes
        Not looked into yet.
    transport : str
        Which source, for instance ``kafka:gcn``.
    position : str
        Where in the source: topic, partition and offset, an IVORN, or a file's name.
    received : datetime
        When it came.
    token : object
        What the source needs to acknowledge it.
    """

    content: bytes
    transport: str
    position: str
    received: datetime
    token: Any = None


class Source(Protocol):
    """A source of notices.

    What is not acknowledged comes again: after a restart, or from the broker. Whoever takes
    notices must therefore take the same one twice without harm.
    """

    @property
    def name(self) -> str:
        """For logs and records, for instance ``vtp:voevent.example.org:8099``."""

    def stream(self, stop: threading.Event) -> Iterator[RawNotice]:
        """Yield notices until `stop` is set, whatever becomes of the connection."""

    def ack(self, notice: RawNotice) -> None:
        """Say that a notice is safe: it is never needed again."""

    def describe(self) -> dict[str, Any]:
        """Return what `status` says of it."""


#: Records a problem that people should know of: its message.
Report = Callable[[str], None]
