"""A subscriber of the VOEvent Transport Protocol 2.0: Comet, and private relays.

Frames are four bytes of length, the most significant first, and so many bytes of XML. The broker
sends `iamalive` and `authenticate`, which are answered, and VOEvents, which are acknowledged when
they are safe. A VOEvent that cannot be read is acknowledged too: after a NAK a broker drops us.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import struct
import threading
from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import escape

from toros.common.clock import Clock, iso
from toros.common.config.alert_sources import VtpSource
from toros.lvcgcn.sources.backoff import Backoff
from toros.lvcgcn.sources.source import RawNotice, Report

log = logging.getLogger(__name__)

MAX_FRAME = 16 * 2**20
_LOOK_S = 0.25
_CONNECT_S = 20.0

# The root of a message is looked at as text: what comes from the network is parsed by nobody
# before its bytes are safe on disk. No pattern can be made to go over the same bytes again and
# again: a hostile frame of 16 MiB would else hold this process for hours.
_ROOT = re.compile(rb"<(?:[\w.-]+:)?(Transport|VOEvent)\b([^<>]*)>")
_ATTRIBUTE = re.compile(rb"""\s([\w:.-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_ORIGIN = re.compile(rb"<Origin>([^<]*)</Origin>")
_MESSAGE = """<?xml version="1.0" encoding="UTF-8"?>
<trn:Transport role="{role}" version="1.0" \
xmlns:trn="http://www.telescope-networks.org/xml/Transport/v1.1">\
<Origin>{origin}</Origin><Response>{response}</Response><TimeStamp>{time}</TimeStamp>\
</trn:Transport>"""


class BadFrame(ConnectionError):
    """The broker sent what is no frame of the protocol."""


class VtpSubscriber:
    """Receives VOEvents from one broker, for ever.

    Parameters
    ----------
    settings : VtpSource
        Which broker.
    clock : Clock
        The observatory's time.
    report : callable
        Records a problem.
    """

    def __init__(self, settings: VtpSource, clock: Clock, report: Report) -> None:
        self._settings = settings
        self._clock = clock
        self._report = report
        self._backoff = Backoff()
        self._peer: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._complained = False
        self.connections = 0
        self.name = f"vtp:{settings.host}:{settings.port}"

    def stream(self, stop: threading.Event) -> Iterator[RawNotice]:
        """Yield VOEvents, connecting again whenever the connection ends."""
        with asyncio.Runner() as runner:
            pending: asyncio.Task[RawNotice] | None = None
            try:
                while not stop.is_set():
                    if pending is None:
                        pending = runner.get_loop().create_task(self._next())
                    if runner.run(_done(pending)):
                        notice, pending = pending.result(), None
                        yield notice
                        # What `ack` wrote goes out with the next turn of the loop.
            finally:
                if pending is not None:
                    pending.cancel()
                runner.run(self._hang_up())

    def ack(self, notice: RawNotice) -> None:
        """Tell the broker that a VOEvent is safe. If it is gone, nobody is waiting for that."""
        writer = notice.token
        if self._peer is not None and self._peer[1] is writer:
            writer.write(_frame(self._message("ack", notice.position)))

    def describe(self) -> dict[str, Any]:
        """Return whether it is connected."""
        return {"connected": self._peer is not None, "connections": self.connections}

    async def _next(self) -> RawNotice:
        """Return the next VOEvent, whatever becomes of the connection meanwhile."""
        while True:
            try:
                reader, writer = self._peer or await self._connect()
                frame = await asyncio.wait_for(_read(reader), self._settings.silence_s)
                self._understood()
                notice = self._answer(frame, writer)
                if notice is not None:
                    return notice
                await writer.drain()
            except (OSError, EOFError, TimeoutError) as error:
                # TimeoutError is one of a silence: a broker says a word each minute.
                await self._lost(error)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self.connections += 1
        self._peer = await asyncio.wait_for(
            asyncio.open_connection(self._settings.host, self._settings.port), _CONNECT_S
        )
        self._backoff.connected()
        log.info("%s is connected.", self.name)
        return self._peer

    def _understood(self) -> None:
        self._backoff.healthy()
        if self._complained:
            log.info("%s speaks again.", self.name)
        self._complained = False

    async def _lost(self, error: Exception) -> None:
        await self._hang_up()
        pause_s = self._backoff.pause_s()
        cause = str(error) or type(error).__name__
        message = f"{self.name} is lost ({cause}); it is tried again until it is back."
        log.info("%s: %s; the next attempt is in %.1f s.", self.name, cause, pause_s)
        if not self._complained:
            self._report(message)
        self._complained = True
        await asyncio.sleep(pause_s)

    async def _hang_up(self) -> None:
        peer, self._peer = self._peer, None
        if peer is not None:
            peer[1].close()
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(peer[1].wait_closed(), _LOOK_S)

    def _answer(self, frame: bytes, writer: asyncio.StreamWriter) -> RawNotice | None:
        """Return a frame's VOEvent; answer the frame if it is anything else."""
        root = _ROOT.search(frame)
        if root is None:
            raise BadFrame("a frame that is neither VOEvent nor Transport")
        said = {
            key.decode("ascii", "replace"): (double or single).decode("utf-8", "replace")
            for key, double, single in _ATTRIBUTE.findall(root[2])
        }
        if root[1] == b"VOEvent":
            ivorn = said.get("ivorn", "")
            return RawNotice(frame, self.name, ivorn, self._clock.now(), writer)
        role = said.get("role", "")
        if role in ("iamalive", "authenticate"):
            origin = _ORIGIN.search(frame)
            heard = origin[1].decode("utf-8", "replace").strip() if origin else ""
            writer.write(_frame(self._message(role, heard)))
        else:
            log.info("%s sent a message of role %r.", self.name, role)
        return None

    def _message(self, role: str, origin: str) -> str:
        return _MESSAGE.format(
            role=role,
            origin=escape(origin),
            response=escape(self._settings.ivorn),
            time=iso(self._clock.now()),
        )


async def _done(task: asyncio.Task[RawNotice]) -> bool:
    """Return whether a task is done, after a moment in which it could go on."""
    await asyncio.wait([task], timeout=_LOOK_S)
    return task.done()


async def _read(reader: asyncio.StreamReader) -> bytes:
    """Return the next frame.

    Raises
    ------
    BadFrame
        If it says that it is larger than any notice: nothing of it is read.
    EOFError, OSError
        If the connection ends.
    """
    (length,) = struct.unpack(">I", await reader.readexactly(4))
    if not 0 < length <= MAX_FRAME:
        raise BadFrame(f"a frame of {length} bytes is announced; up to {MAX_FRAME} are read")
    return await reader.readexactly(length)


def _frame(text: str) -> bytes:
    content = text.encode()
    return struct.pack(">I", len(content)) + content
