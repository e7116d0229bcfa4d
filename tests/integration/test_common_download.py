"""Files over real HTTP that are taken up where they broke off."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.support.web_folder import WebFolder, serve
from tests.support.web_server import serving
from toros.common.download import Patience, Rules, download, download_file
from toros.common.errors import (
    AddressNotAllowed,
    Cancelled,
    NothingThere,
    TransferBroken,
    TransferError,
    TransferTooLarge,
)

CONTENT = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebFolder]:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.bin").write_bytes(CONTENT)
    with serve(tmp_path / "data", monkeypatch) as served:
        yield served


def rules(web: WebFolder, **more: object) -> Rules:
    values: dict[str, object] = {
        "allowed": [web.url],
        "setting": "allowed",
        "max_bytes": 2**22,
        "silence_s": 5.0,
        "longest_s": 60.0,
    }
    return Rules(**{**values, **more})  # type: ignore[arg-type]


def patience(attempts: int = 3) -> Patience:
    return Patience(attempts, 0.01, threading.Event())


@pytest.mark.parametrize(
    ("begins", "goes_on"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    ],
)
def test_an_answer_that_trickles_before_its_body_is_cut_off(begins: bytes, goes_on: bytes) -> None:
    gone = threading.Event()

    class Trickler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.close_connection = True
            try:
                self.wfile.write(begins)
                for _ in range(80):  # short of what http.client takes of headers
                    self.wfile.write(goes_on)
                    if gone.wait(0.1):
                        break
            except OSError:
                gone.set()  # for good: the client has closed

    with serving(Trickler) as url:
        allowed = Rules(
            allowed=[url], setting="allowed", max_bytes=2**22, silence_s=5.0, longest_s=0.5
        )
        with pytest.raises(TransferBroken, match="in time"):
            download(f"{url}/map.fits", allowed)
        assert gone.wait(20)


def test_a_broken_download_goes_on_where_it_broke_off(web: WebFolder, tmp_path: Path) -> None:
    web.break_after = {"/a.bin": [300_000, 200_000]}
    part = tmp_path / "part"
    download_file(f"{web.url}/a.bin", part, rules(web), patience())
    assert part.read_bytes() == CONTENT
    assert [(path, asked) for path, asked in web.asked] == [
        ("/a.bin", None),
        ("/a.bin", "bytes=300000-"),
        ("/a.bin", "bytes=500000-"),
    ]
    assert list(tmp_path.glob("part*")) == [part]


def test_what_an_earlier_process_left_is_used_if_the_file_is_the_same(
    web: WebFolder, tmp_path: Path
) -> None:
    part = tmp_path / "part"
    for changed in (False, True):
        web.asked.clear()
        web.break_after = {"/a.bin": [300_000]}
        with pytest.raises(TransferBroken, match="broke off"):
            download_file(f"{web.url}/a.bin", part, rules(web), patience(1))
        content = CONTENT
        if changed:
            content = CONTENT[::-1]
            (web.folder / "a.bin").write_bytes(content)
            web.etag += 1
        download_file(f"{web.url}/a.bin", part, rules(web), patience(1))
        assert part.read_bytes() == content
        assert web.asked[-1] == ("/a.bin", "bytes=300000-")
        part.unlink()


def test_what_does_not_come_is_said_and_not_asked_for_without_end(
    web: WebFolder, tmp_path: Path
) -> None:
    web.break_after = {"/a.bin": [1000, 1000, 1000]}
    with pytest.raises(TransferBroken):
        download_file(f"{web.url}/a.bin", tmp_path / "part", rules(web), patience(3))
    assert len(web.asked) == 3
    web.asked.clear()
    with pytest.raises(NothingThere):
        download_file(f"{web.url}/b.bin", tmp_path / "other", rules(web), patience(3))
    assert len(web.asked) == 1
    with pytest.raises(TransferTooLarge):
        download(f"{web.url}/a.bin", rules(web, max_bytes=1000))
    web.encoding = "gzip"
    with pytest.raises(TransferError, match="encoding"):
        download(f"{web.url}/a.bin", rules(web))


def test_a_download_can_be_cancelled(web: WebFolder, tmp_path: Path) -> None:
    stop = threading.Event()
    with pytest.raises(Cancelled):
        download_file(
            f"{web.url}/a.bin",
            tmp_path / "part",
            rules(web),
            Patience(3, 0.01, stop),
            progress=lambda done, total: stop.set(),
        )


@pytest.mark.parametrize(
    ("entry", "allowed"),
    [
        ("https://data.example.org", True),
        ("https://data.example.org/nights", True),
        ("https://data.example.org/nights/", True),
        ("data.example.org", True),
        ("https://data.example.org:443/nights/1.tar", True),
        ("http://data.example.org", False),
        ("https://data.example.org:8443", False),
        ("https://data.example.org/night", False),
        ("https://example.org", False),
        ("example.org", False),
    ],
)
def test_an_address_is_at_or_under_an_allowed_one(entry: str, allowed: bool) -> None:
    asked = Rules(allowed=[entry], setting="x", max_bytes=1, silence_s=1, longest_s=1)
    address = "https://data.example.org/nights/1.tar"
    if allowed:
        asked.require(address)
    else:
        with pytest.raises(AddressNotAllowed, match=r"data\.example\.org, which x"):
            asked.require(address)


@pytest.mark.parametrize(
    "url",
    [
        "https://data.example.org/nights/../secret",
        "https://data.example.org/nights/%2e%2e/secret",
        "https://data.example.org/nights/..%5csecret",
        "https://user:token@data.example.org/nights/1",
        "https://data.example.org@evil.org/nights/1",
        "https://data.example.org\\@evil.org/nights/1",
        "https://data.example.org/nights/a b",
        "https://data.example.org/nights/a\r\nHost: evil.org",
        "file:///data.example.org/nights/1",
        "https://data.example.org.evil.org/nights/1",
    ],
)
def test_no_address_leads_out_of_the_allowed_one(url: str) -> None:
    asked = Rules(
        allowed=["https://data.example.org/nights"],
        setting="x",
        max_bytes=1,
        silence_s=1,
        longest_s=1,
    )
    with pytest.raises(AddressNotAllowed):
        asked.require(url)
