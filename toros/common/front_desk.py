"""The door: an XML-RPC server with one method, `front_desk(work_order)`."""

from __future__ import annotations

import errno
import ipaddress
import logging
import threading
from collections.abc import Callable
from http import HTTPStatus
from socketserver import ThreadingMixIn
from typing import Any
from uuid import uuid4
from xmlrpc.server import SimpleXMLRPCRequestHandler, SimpleXMLRPCServer

from toros.common.errors import AddressInUse, ConfigurationError
from toros.common.wire import Malformed, read_call, write_fault, write_reply

log = logging.getLogger(__name__)

MAX_BODY = 1 << 20
IDLE_S = 30.0

Handle = Callable[[object], dict[str, Any]]


class Refused(Exception):
    """A request that is answered with a Fault and not read further."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class _Connection(SimpleXMLRPCRequestHandler):
    """One client's connection, kept alive between calls."""

    protocol_version = "HTTP/1.1"
    server_version = "TOROS"
    sys_version = ""
    rpc_paths = ("/", "/RPC2")
    timeout = IDLE_S
    disable_nagle_algorithm = True
    wbufsize = -1
    server: FrontDeskServer

    def do_POST(self) -> None:
        """Answer one call."""
        if not self.is_rpc_path_valid():
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        try:
            answer = self._answer(self._read_body())
        except Refused as refusal:
            # The body may not have been read: what follows in the stream is not a request.
            self.close_connection = True
            answer = write_fault(refusal.code, refusal.message)
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(answer)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer)

    def _read_body(self) -> bytes:
        if "Origin" in self.headers:
            raise Refused(403, "A web page may not send work orders.")
        if self.headers.get_content_type() != "text/xml":
            raise Refused(400, "The Content-Type of a call is text/xml.")
        if "Transfer-Encoding" in self.headers or "Content-Encoding" in self.headers:
            raise Refused(400, "A call is sent plain: neither compressed nor in chunks.")
        text = self.headers.get("Content-Length", "")
        if not (text.isascii() and text.isdigit()):
            raise Refused(400, "A call says its length in Content-Length.")
        length = int(text)
        if length > MAX_BODY:
            raise Refused(413, f"A call has at most {MAX_BODY} bytes; this one has {length}.")
        body = self.rfile.read(length)
        if len(body) < length:
            raise Refused(400, f"The call broke off after {len(body)} of {length} bytes.")
        return body

    def _answer(self, body: bytes) -> bytes:
        try:
            struct = read_call(body)
        except Malformed as error:
            return write_fault(400, str(error))
        try:
            return write_reply(self.server.handle(struct))
        except Exception:
            # The last line of defence of a server: the client gets a reference, the log the cause.
            reference = uuid4().hex[:8]
            log.exception("A work order failed at the front desk (reference %s).", reference)
            return write_fault(500, f"An error of ours: the log has it under {reference}.")

    def log_message(self, format: str, *args: Any) -> None:
        """Send the server's own messages to the log."""
        log.debug("%s: %s", self.address_string(), format % args)


class FrontDeskServer(ThreadingMixIn, SimpleXMLRPCServer):
    """Listens, and answers each connection in a thread of its own.

    Parameters
    ----------
    address : tuple of str and int
        Where to listen. Port 0 takes a free one.
    handle : callable
        Takes the struct of a work order and returns that of the reply.

    Raises
    ------
    AddressInUse
        When another process listens there.
    ConfigurationError
        When the address is not one of this machine, or not a loopback one.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], handle: Handle) -> None:
        self.handle = handle
        _require_loopback(address[0])
        try:
            super().__init__(address, requestHandler=_Connection, logRequests=False)
        except OSError as error:
            raise _listening_failed(address, error) from error

    def start(self) -> None:
        """Answer in the background until `stop`."""
        threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.1}, name="front-desk", daemon=True
        ).start()

    def stop(self) -> None:
        """Take no more connections."""
        self.shutdown()
        self.server_close()

    @property
    def url(self) -> str:
        """Where clients find this server."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"


def _require_loopback(host: str) -> None:
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if not loopback:
        raise ConfigurationError(
            f"{host} can be reached from other machines, and there is no 'access' in the "
            "configuration: listen on 127.0.0.1, or say who may send orders."
        )


def _listening_failed(address: tuple[str, int], error: OSError) -> Exception:
    where = f"{address[0]}:{address[1]}"
    if error.errno == errno.EADDRINUSE:
        return AddressInUse(
            f"Another process listens at {where}: stop it, or give this module another port."
        )
    return ConfigurationError(f"Cannot listen at {where}: {error.strerror}.")
