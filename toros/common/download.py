"""Files over HTTP(S): from allowed places only, bounded in size and time, whole or not at all."""

from __future__ import annotations

import http.client
import json
import logging
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from toros.common.errors import (
    AddressNotAllowed,
    Cancelled,
    NothingThere,
    TransferBroken,
    TransferError,
    TransferTooLarge,
)
from toros.common.timed_response import timed_handlers

log = logging.getLogger(__name__)

_CHUNK = 2**18
_PORTS = {"http": 80, "https": 443}
# What a server says when it may do better later.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_GONE = frozenset({404, 410})
_NOT_SATISFIABLE = 416
_PARTIAL = 206
# Files that are compressed by themselves, which some servers call an encoding.
_COMPRESSED = (".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zip", ".fz")


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What may be downloaded.

    Parameters
    ----------
    allowed : sequence of str
        Names of hosts, or addresses (``https://host/folder``) at or under which it must be.
    setting : str
        The key of the configuration that names them, for messages.
    max_bytes : int
        The most that one download may have.
    silence_s : float
        How long a server may say nothing.
    longest_s : float
        How long a download may take in all.
    tls : ssl.SSLContext, optional
        Whom to trust; by default the authorities of the system.
    what : str
        What is downloaded, for messages.
    """

    allowed: Sequence[str]
    setting: str
    max_bytes: int
    silence_s: float
    longest_s: float
    tls: ssl.SSLContext | None = None
    what: str = "file"

    def require(self, url: str) -> None:
        """Raise `AddressNotAllowed` if `url` may not be asked."""
        if not url.isascii() or any(letter <= " " or letter == "\x7f" for letter in url):
            raise AddressNotAllowed(f"The address {url!r} has letters that none has.")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise AddressNotAllowed(f"The address {url!r} is none: {error}.") from error
        if parts.scheme not in _PORTS or not host:
            raise AddressNotAllowed(f"The address {url!r} is not http(s).")
        if parts.username is not None or ".." in unquote(parts.path).replace("\\", "/").split("/"):
            raise AddressNotAllowed(f"The address {url!r} is not a plain one.")
        address = (parts.scheme, host, port or _PORTS[parts.scheme], unquote(parts.path))
        if not any(_is_under(address, entry) for entry in self.allowed):
            raise AddressNotAllowed(
                f"The {self.what} is on {host}, which {self.setting} does not name."
            )


def _is_under(address: tuple[str, str, int, str], entry: str) -> bool:
    scheme, host, port, path = address
    if "://" not in entry:
        return host == entry.lower()
    parts = urlsplit(entry)
    known = (parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme))
    folder = unquote(parts.path).rstrip("/")
    return known == (scheme, host, port) and (path == folder or path.startswith(f"{folder}/"))


@dataclass(frozen=True)
class Answer:
    """What a server sent: its address after redirections, its headers, and its content."""

    url: str
    headers: Mapping[str, str]
    content: bytes


def download(url: str, rules: Rules) -> Answer:
    """Return what is at `url`, held in memory.

    Raises
    ------
    AddressNotAllowed
        If it, or where it is redirected to, is not among the allowed places.
    NothingThere
        If the server says that there is no such thing.
    TransferTooLarge
        If it has too many bytes.
    TransferBroken
        If it does not come, or not in time, or not whole: it may be tried again.
    TransferError
        If the server refuses it.
    """
    content = bytearray()
    with _asked(url, rules, {}) as answer:
        for chunk in _chunks(answer, url, rules, 0):
            content += chunk
        _check_length(url, len(content), _length(answer.headers))
        return Answer(answer.url, dict(answer.headers.items()), bytes(content))


def describe(url: str, rules: Rules) -> str:
    """Return the media type of what is at `url`, as the server says it, without fetching it.

    Raises
    ------
    AddressNotAllowed, NothingThere, TransferBroken, TransferError
        As for `download`.
    """
    with _asked(url, rules, {}) as answer:
        return str(answer.headers.get_content_type())


@dataclass(frozen=True)
class Patience:
    """How often a download is tried, and who may end it.

    Parameters
    ----------
    attempts : int
        How often, the first time included; each attempt goes on where the last broke off.
    pause_s : float
        How long to wait before the second attempt; twice as long before each further one.
    cancelled : threading.Event
        Once set, `Cancelled` is raised.
    """

    attempts: int
    pause_s: float
    cancelled: threading.Event


def download_file(
    url: str,
    partial: Path,
    rules: Rules,
    patience: Patience,
    *,
    verified: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Download `url` into the file `partial`, going on where an earlier attempt broke off.

    What an earlier process left in `partial` is only used if the server confirms that its file is
    still the same one (If-Range), or if the caller verifies a digest afterwards.

    Parameters
    ----------
    partial : pathlib.Path
        A file that nobody takes for a whole one. It stays there when the download fails.
    verified : bool
        Whether the caller knows the digest of the whole.
    progress : callable, optional
        Called with the bytes that are there and those in all (0 where that is unknown).

    Raises
    ------
    AddressNotAllowed, NothingThere, TransferTooLarge, TransferBroken, TransferError
        As for `download`; `TransferBroken` after the last attempt.
    Cancelled
        When it was cancelled.
    """
    pause = patience.pause_s
    for left in reversed(range(patience.attempts)):
        try:
            _go_on(url, partial, rules, patience, verified, progress or (lambda done, total: None))
        except TransferBroken as error:
            if not left:
                raise
            log.info("%s It is tried again.", error)
        else:
            _notes(partial).unlink(missing_ok=True)
            return
        if patience.cancelled.wait(pause):
            raise Cancelled(f"The download of {url} was cancelled.")
        pause *= 2


def forget_partial(partial: Path) -> None:
    """Remove what a download left half-done."""
    partial.unlink(missing_ok=True)
    _notes(partial).unlink(missing_ok=True)


def _notes(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.json")


def _go_on(
    url: str,
    partial: Path,
    rules: Rules,
    patience: Patience,
    verified: bool,
    progress: Callable[[int, int], None],
) -> None:
    """Ask for what is missing, or for all of it, and write it."""
    have = partial.stat().st_size if partial.exists() else 0
    headers = _range(partial, have, url, verified) if have else {}
    try:
        with _asked(url, rules, headers) as answer:
            start = have if answer.status == _PARTIAL and _begins_at(answer.headers, have) else 0
            if answer.status == _PARTIAL and start != have:
                raise TransferError(f"{url}: the server sent another part than was asked for.")
            total = _length(answer.headers)
            total = None if total is None else start + total
            _require_room(rules, url, total or 0)
            if not start:
                _note(partial, url, answer.headers)
            with partial.open("ab" if start else "wb") as file:
                done = start
                for chunk in _chunks(answer, url, rules, start):
                    if patience.cancelled.is_set():
                        raise Cancelled(f"The download of {url} was cancelled.")
                    file.write(chunk)
                    file.flush()  # what came is kept, whatever becomes of this process
                    done += len(chunk)
                    progress(done, total or 0)
            _check_length(url, done, total)
    except _NotSatisfiable as error:
        if error.total != have:
            forget_partial(partial)  # it is another file by now
            raise TransferBroken(f"{url} changed while it was downloaded.") from error


def _range(partial: Path, have: int, url: str, verified: bool) -> dict[str, str]:
    """Return the headers that ask for the rest, none where all must be had again."""
    wanted = {"Range": f"bytes={have}-"}
    try:
        notes = json.loads(_notes(partial).read_text())
    except (OSError, ValueError):
        notes = {}
    if notes.get("url") == url and notes.get("validator"):
        return wanted | {"If-Range": str(notes["validator"])}
    return wanted if verified else {}


def _note(partial: Path, url: str, headers: Mapping[str, str]) -> None:
    tag = headers.get("ETag", "")
    # A weak tag does not promise the same bytes.
    validator = tag if tag and not tag.startswith("W/") else headers.get("Last-Modified")
    _notes(partial).write_text(json.dumps({"url": url, "validator": validator}))


def _begins_at(headers: Mapping[str, str], start: int) -> bool:
    return headers.get("Content-Range", "").startswith(f"bytes {start}-")


class _NotSatisfiable(Exception):
    """The server has no bytes beyond what is there."""

    def __init__(self, total: int | None) -> None:
        super().__init__()
        self.total = total


@contextmanager
def _asked(url: str, rules: Rules, headers: Mapping[str, str]) -> Iterator[Any]:
    """Yield the server's answer; whatever goes wrong is an error of the tree."""
    rules.require(url)
    timed = timed_handlers(rules.longest_s, rules.tls)
    opener = urllib.request.build_opener(_SameRules(rules), *timed)
    asked = {"Accept-Encoding": "identity", **headers}
    try:
        # Of http(s): `require` has seen to that.
        request = urllib.request.Request(url, headers=asked)  # noqa: S310
        with opener.open(request, timeout=rules.silence_s) as answer:
            _require_plain(answer.headers, url)
            yield answer
    except urllib.error.HTTPError as error:
        with error:  # it holds the connection
            raise _refusal(url, rules, error) from error
    except TimeoutError as error:
        raise TransferBroken(f"The {rules.what} at {url} did not come in time.") from error
    except (urllib.error.URLError, ConnectionError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise TransferBroken(f"The {rules.what} at {url} cannot be had: {reason}.") from error


def _refusal(url: str, rules: Rules, error: urllib.error.HTTPError) -> Exception:
    if error.code == _NOT_SATISFIABLE:
        total = error.headers.get("Content-Range", "").rpartition("/")[2]
        return _NotSatisfiable(int(total) if total.isdecimal() else None)
    kind: type[TransferError] = TransferError
    if HTTPStatus.MULTIPLE_CHOICES <= error.code < HTTPStatus.BAD_REQUEST:
        kind = AddressNotAllowed  # a redirection that is not followed
    elif error.code in _GONE:
        kind = NothingThere
    elif error.code in _PASSING:
        kind = TransferBroken
    return kind(f"The {rules.what} at {url} cannot be had: {error}.")


def _require_plain(headers: Mapping[str, str], url: str) -> None:
    encoding = headers.get("Content-Encoding", "identity").lower()
    if encoding != "identity" and not urlsplit(url).path.lower().endswith(_COMPRESSED):
        raise TransferError(f"{url} came in the encoding {encoding!r}, which was not asked for.")


def _chunks(answer: Any, url: str, rules: Rules, start: int) -> Iterator[bytes]:
    deadline = time.monotonic() + rules.longest_s
    done = start
    while chunk := _read(answer, url, rules):
        done += len(chunk)
        _require_room(rules, url, done)
        yield chunk
        if time.monotonic() > deadline:
            raise TimeoutError


def _read(answer: Any, url: str, rules: Rules) -> bytes:
    # Here and not around the caller's work: a disk that is full is no fault of the server.
    try:
        return bytes(answer.read1(_CHUNK))
    except TimeoutError:
        raise
    except (OSError, http.client.HTTPException) as error:
        raise TransferBroken(f"The {rules.what} at {url} cannot be had: {error}.") from error


def _require_room(rules: Rules, url: str, size: int) -> None:
    if size > rules.max_bytes:
        raise TransferTooLarge(f"The {rules.what} at {url} has over {rules.max_bytes} bytes.")


def _length(headers: Mapping[str, str]) -> int | None:
    text = headers.get("Content-Length", "")
    return int(text) if text.isdecimal() else None


def _check_length(url: str, done: int, total: int | None) -> None:
    if total is not None and done != total:
        raise TransferBroken(f"The download of {url} broke off after {done} bytes.")


class _SameRules(urllib.request.HTTPRedirectHandler):
    """Follows redirections to allowed places only."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """Refuse a redirection to where a first request could not go either."""
        try:
            self._rules.require(newurl)
        except BaseException:
            fp.close()  # nobody else would: the connection would stay as long as the error
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)
