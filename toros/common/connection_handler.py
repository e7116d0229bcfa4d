"""One client's connection to a front desk: every refusal comes before anything is parsed."""

from __future__ import annotations

import http.client
import logging
import re
import socket
import ssl
import time
from email.utils import formatdate
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any, Protocol
from uuid import uuid4
from xmlrpc.server import SimpleXMLRPCRequestHandler

from toros.common.access import Caller
from toros.common.connections import Connection, Connections, Phase
from toros.common.errors import Forbidden, NotAuthenticated
from toros.common.http_head import MAX_HEAD, BadHead, Head, HeadReader, read_head
from toros.common.large_bodies import LargeBodies, NoPlace
from toros.common.wire import Malformed, read_call, write_fault, write_reply

log = logging.getLogger(__name__)

MAX_BODY = 1 << 20
MAX_LINGER = 4 << 20
PATHS = ("/", "/RPC2")
BUSY = 429
# Where all threads put what nobody reads: blocks of their own would stay with each of them.
_WASTE = bytearray(1 << 16)


class Desk(Protocol):
    """What a connection needs of its server."""

    connections: Connections
    large_bodies: LargeBodies

    def authenticate(self, header: str | None) -> Caller:
        """Return who an ``Authorization`` header names."""

    def handle(self, struct: object, caller: Caller) -> dict[str, Any]:
        """Return the reply to a work order."""

    def is_ours(self, host: str) -> bool:
        """Return whether a ``Host`` header names this server."""

    def record_of(self, request: Any) -> Connection:
        """Return the record of an admitted connection."""

    def strike(self, record: Connection, what: str) -> bool:
        """Note that something could not be read; return whether its sender is turned away now."""

    def forgive(self, record: Connection) -> None:
        """Note that a call could be read."""


class Refused(Exception):
    """A request that is answered with a Fault and not read further."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ConnectionHandler(SimpleXMLRPCRequestHandler):
    """One client's connection, kept alive between calls."""

    protocol_version = "HTTP/1.1"
    server_version = "TOROS"
    sys_version = ""
    wbufsize = -1
    disable_nagle_algorithm = True
    server: Desk  # type: ignore[assignment]  # the base class knows only its own kind
    rfile: HeadReader
    raw_requestline: bytes
    _head: Head

    def setup(self) -> None:
        """Open the streams; under TLS shake hands here, not in the thread that accepts."""
        self._record: Connection = self.server.record_of(self.request)
        if isinstance(self.request, ssl.SSLSocket):
            try:
                self.request.do_handshake()
            except ssl.SSLError as error:
                self._strike(f"no TLS of ours ({error.reason})")
                raise
        super().setup()
        self.rfile = HeadReader(self.rfile.detach())
        self._served = False

    def finish(self) -> None:
        """Close the streams, both: one that stays open keeps the socket open."""
        try:
            super().finish()
        finally:
            self.rfile.close()

    def handle_one_request(self) -> None:
        """Wait for a request and answer it."""
        self._record.enter(Phase.IDLE if self._served else Phase.HEADERS)
        if not self.rfile.peek(1):
            self.close_connection = True
            if not self._served:
                self._strike("nothing was said")
            return
        self._record.enter(Phase.HEADERS)
        self.rfile.left = MAX_HEAD
        try:
            super().handle_one_request()
        except http.client.LineTooLong:
            self.close_connection = True
            self._strike("the head is too long")
        self._served = True
        if self.server.connections.draining:
            self.close_connection = True

    def parse_request(self) -> bool:
        """Read the head of a request; return whether it is one."""
        self.command = self.path = ""
        self.request_version = self.protocol_version  # of our answer, should it be an error
        self.requestline = self.raw_requestline.decode("iso-8859-1").rstrip("\r\n")
        try:
            self._head = read_head(self.raw_requestline, self.rfile)
        except BadHead as error:
            self.send_error(HTTPStatus.BAD_REQUEST, str(error))
            return False
        self.command, self.path = self._head.method, self._head.path
        self.close_connection = not self._head.keep_alive
        return True

    def do_POST(self) -> None:
        """Answer one call."""
        if self.path not in PATHS:
            self.close_connection = True
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        read_all = False
        try:
            caller, length = self._admit()
            if "expect" in self._head.fields:  # it waits to hear that it may send the body
                self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                self.wfile.flush()
            try:
                struct = self.server.large_bodies.read(length, partial(self._read_struct, length))
            except NoPlace:
                raise Refused(BUSY, "Too many large calls are being read; try again.") from None
            read_all = True
            self._record.enter(Phase.WORK)
            answer = self._answer(struct, caller)
        except Refused as refusal:
            # What follows in the stream need not be a request: the body was not read, or is short.
            self.close_connection = self.close_connection or not read_all
            answer = write_fault(refusal.code, refusal.message)
            if refusal.code != BUSY:
                self._strike(f"{refusal.message} ({refusal.code})")
        self._write(answer)
        if not read_all:
            self._linger()

    def _admit(self) -> tuple[Caller, int]:
        """Return who calls and how long the call is, or refuse before anything is parsed."""
        heads = self._head.fields
        if "origin" in heads:
            raise Refused(403, "A web page may not send work orders.")
        # A web page may have made a name of its own point here.
        if len(heads.get("host", ())) != 1 or not self.server.is_ours(heads["host"][0]):
            raise Refused(403, "The Host of a call is this server's address or name.")
        if heads.get("content-type", [""])[0].partition(";")[0].strip().lower() != "text/xml":
            raise Refused(400, "The Content-Type of a call is text/xml.")
        if "transfer-encoding" in heads or "content-encoding" in heads:
            raise Refused(400, "A call is sent plain: neither compressed nor in chunks.")
        length = _length(heads.get("content-length", []))
        try:
            return self.server.authenticate(heads.get("authorization", [None])[0]), length
        except NotAuthenticated as error:
            raise Refused(401, error.message) from error

    def _read_struct(self, length: int) -> object:
        """Return the work order that the body holds, or what was wrong with it."""
        self._record.enter(Phase.BODY)
        body = self.rfile.read(length)
        if len(body) < length:
            raise Refused(400, f"The call broke off after {len(body)} of {length} bytes.")
        try:
            return read_call(body)
        except Malformed as error:
            # Not the error itself: its traceback would keep the body until the answer is sent.
            return Malformed(str(error))

    def _answer(self, struct: object, caller: Caller) -> bytes:
        if isinstance(struct, Malformed):
            self._strike(str(struct))
            return write_fault(400, str(struct))
        self.server.forgive(self._record)
        try:
            return write_reply(self.server.handle(struct, caller))
        except Forbidden as error:
            return write_fault(403, error.message)
        except Exception:
            # The last line of defence of a server: the client gets a reference, the log the cause.
            reference = uuid4().hex[:8]
            log.exception("A work order failed at the front desk (reference %s).", reference)
            return write_fault(500, f"An error of ours: the log has it under {reference}.")

    def _write(self, answer: bytes) -> None:
        self._record.enter(Phase.ANSWER)
        end = "Connection: close\r\n" if self.close_connection else ""
        head = (
            f"HTTP/1.1 200 OK\r\nServer: TOROS\r\nDate: {_date(int(time.monotonic()))}\r\n"
            f"Content-Type: text/xml\r\nContent-Length: {len(answer)}\r\n{end}\r\n"
        )
        self.wfile.write(head.encode() + answer)
        self.wfile.flush()

    def _linger(self) -> None:
        """Read on for a moment: closing on unread bytes would take the Fault from the client."""
        if isinstance(self.request, ssl.SSLSocket):
            return
        self._record.enter(Phase.LINGER)
        self.request.shutdown(socket.SHUT_WR)
        left = MAX_LINGER
        while left > 0 and (count := self.request.recv_into(_WASTE)):
            left -= count

    def _strike(self, what: str) -> None:
        """Count what cannot be read; who sends too much of it is not listened to any longer."""
        if self.server.strike(self._record, what):
            self.close_connection = True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what is no call at all, as the base class finds it."""
        self._strike(f"no call ({int(code)})")
        super().send_error(code, message, explain)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Leave requests to the desk's own log."""

    def log_message(self, format: str, *args: Any) -> None:
        """Send the server's own messages to the log."""
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s: %s", self.address_string(), format % args)


def _length(given: list[str]) -> int:
    """Return the length of a body that one header gives, if it is one that we take."""
    if len(given) != 1 or not re.fullmatch("[0-9]{1,15}", given[0], re.ASCII):
        raise Refused(400, "A call says its length once, in Content-Length.")
    if int(given[0]) > MAX_BODY:
        raise Refused(413, f"A call has at most {MAX_BODY} bytes; this one has {given[0]}.")
    return int(given[0])


@lru_cache(maxsize=1)
def _date(_second: int) -> str:
    """Return the Date header; made once a second."""
    return formatdate(usegmt=True)
