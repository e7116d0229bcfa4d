"""A web server of a folder that breaks off, vanishes and lies as it is told to."""

from __future__ import annotations

import html
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest


@dataclass
class WebFolder:
    """What is served, and how badly."""

    folder: Path
    url: str = ""
    etag: int = 1  # changes when a file does
    encoding: str = ""
    ranges: bool = True
    #: For each path, after how many bytes the next answers break off.
    break_after: dict[str, list[int]] = field(default_factory=dict)
    #: For each path, after how many bytes the server falls silent until it is released.
    hold_after: dict[str, int] = field(default_factory=dict)
    holding: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    gone: set[str] = field(default_factory=set)  # paths that are listed, but not there
    types: dict[str, str] = field(default_factory=dict)
    redirect: dict[str, str] = field(default_factory=dict)
    #: Each request: its path, and the range asked for.
    asked: list[tuple[str, str | None]] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: WebFolder

    def do_GET(self) -> None:
        served, path = self.served, unquote(self.path)
        served.asked.append((path, self.headers.get("Range")))
        target = served.folder / path.lstrip("/")
        if path in served.redirect:
            self._send(302, b"", Location=served.redirect[path])
        elif path in served.gone or not target.exists():
            self._send(404, b"not here")
        elif target.is_dir():
            self._send(200, _index(target), Content_Type="text/html; charset=utf-8")
        else:
            self._file(path, target.read_bytes())

    def _file(self, path: str, content: bytes) -> None:
        served = self.served
        tag = f'"{served.etag}"'
        headers = {"ETag": tag, "Content_Type": served.types.get(path, "application/octet-stream")}
        if served.encoding:
            headers["Content_Encoding"] = served.encoding
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range", tag) == tag
        status, start = 200, 0
        if served.ranges and asked and same:
            status, start = 206, int(asked[1])
            if start >= len(content):
                self._send(416, b"", Content_Range=f"bytes */{len(content)}")
                return
            headers["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if path in served.hold_after:
            self._hold(content, served.hold_after[path], headers)
            return
        breaks = served.break_after.get(path, [])
        self._send(status, content[start:], breaks.pop(0) if breaks else None, **headers)

    def _hold(self, content: bytes, count: int, headers: dict[str, str]) -> None:
        self._send(200, content, count, **headers)
        self.wfile.flush()
        self.served.holding.set()
        self.served.release.wait(60)

    def _send(self, status: int, body: bytes, cut: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        del format, args


def _index(folder: Path) -> bytes:
    """What Apache and nginx make of a folder, more or less."""
    names = [f"{path.name}/" if path.is_dir() else path.name for path in sorted(folder.iterdir())]
    links = "".join(f'<a href="{quote(name)}">{html.escape(name)}</a>\n' for name in names)
    heading = '<a href="?C=N;O=D">Name</a> <a href="../">Parent Directory</a>'
    return f"<html><body><pre>{heading}\n{links}</pre></body></html>".encode()


@contextmanager
def serve(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebFolder]:
    """Serve `folder` on this machine, past any proxy."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    served = WebFolder(folder)
    handler = type("Served", (_Handler,), {"served": served})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        served.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
