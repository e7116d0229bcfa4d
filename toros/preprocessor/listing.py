"""Lists of files on the web: what servers make of a folder, and plain lists of addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import PurePosixPath
from urllib.parse import quote, unquote, urljoin, urlsplit

from toros.preprocessor.checksums import Entry, split_digest

_WITH_DIGEST = re.compile(r"([0-9A-Fa-f]{64})(?: [ *]?|\t)(\S.*)")
_SAFE = "/:?&=%#+,;@~$!*'()[]"


def read_list(text: str) -> list[Entry]:
    """Return the entries of a plain list: one a line, with or without a digest before it.

    What ``sha256sum`` writes is such a list. Empty lines and lines that begin with ``#`` are
    passed over.
    """
    found = []
    for line in map(str.strip, text.splitlines()):
        if not line or line.startswith("#"):
            continue
        match = _WITH_DIGEST.fullmatch(line)
        found.append(Entry(match[2], match[1].lower()) if match else split_digest(line))
    return found


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


def links_below(page: str, base: str) -> Iterator[str]:
    """Yield the addresses that an HTML page links to in its own folder or below it.

    Parameters
    ----------
    page : str
        The page, for instance what Apache or nginx show of a folder.
    base : str
        Its address.
    """
    parser = _Links()
    parser.feed(page)
    folder = base if base.endswith("/") else base.rsplit("/", 1)[0] + "/"
    seen = {base, folder}
    for link in parser.found:
        try:
            address = absolute(link, base)
            parts = urlsplit(address)
        except ValueError:
            continue  # no address at all
        if parts.query or address in seen or not address.startswith(folder):
            continue  # its columns sorted, its parent, another site
        seen.add(address)
        yield address


def absolute(link: str, base: str) -> str:
    """Return the full address of a link, without its fragment, in ASCII."""
    return quote(urljoin(base, link).partition("#")[0], safe=_SAFE)


def name_of(address: str, base: str) -> str:
    """Return the name of a file in its batch: its path below `base`, or its host and its path.

    Every part of it is a plain name, whatever the server says.
    """
    folder = base.rsplit("/", 1)[0] + "/"
    if address.startswith(folder):
        path = unquote(urlsplit(address[len(folder) :]).path)
    else:
        parts = urlsplit(address)
        path = f"{parts.hostname or ''}/{unquote(parts.path)}"
    parts_of = [
        re.sub(r"[\0-\x1f\x7f]", "-", part)
        for part in PurePosixPath(path).parts
        if part not in ("/", "..")
    ]
    return "/".join(part.lstrip(".") or "-" for part in parts_of) or "nameless"
