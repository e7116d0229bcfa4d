"""A front desk that answers `status`, or is dead: what the dome hears of a telescope module."""

from __future__ import annotations

import threading
import xmlrpc.client
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


class Peer:
    """Answers every order with `status` while it is alive; else it cuts the connection."""

    def __init__(self) -> None:
        self.alive = True
        self.status, self.code = "completed", 0
        peer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                if not peer.alive:
                    self.close_connection = True
                    return
                reply = {
                    "id": "1",
                    "module": "telescope",
                    "request": "status",
                    "code": peer.code,
                    "status": peer.status,
                    "message": "",
                    "result": {},
                    "datetime": "2017-08-17T23:00:00Z",
                }
                body = xmlrpc.client.dumps((reply,), methodresponse=True).encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/xml")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
