"""Names in letters that a FITS header must not hold, as some programs write them all the same.

astropy reads a question mark for every byte of such a letter: two filters, Hα and Hβ, would be one.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path

from astropy.io import fits

from toros.imaging.fits_io import BROKEN_CARD

_BLOCK, _CARD = 2880, 80
_MOST_BLOCKS = 200


def spell_out(header: fits.Header, path: Path, keywords: tuple[str, ...]) -> None:
    """Write the values of some cards of the file's first header in plain letters, in place."""
    for keyword in keywords:
        try:
            value = header.get(keyword)
        except BROKEN_CARD:
            continue  # a card that cannot be read at all is noted where the others are read
        if isinstance(value, str) and "?" in value:
            text = _as_written(path, keyword)
            if text is not None and not text.isascii():
                header[keyword] = plain(text)


def plain(text: str) -> str:
    """Return `text` in plain letters, other letters by their names.

    Examples
    --------
    >>> plain("Hα"), plain("Δ 5"), plain("déjà")
    ('Halpha', 'Delta 5', 'deja')
    """
    return "".join(map(_plain_letter, unicodedata.normalize("NFKC", text)))


def _plain_letter(letter: str) -> str:
    if letter.isascii():
        return letter if letter.isprintable() else ""
    base = unicodedata.normalize("NFKD", letter)[0]
    if base.isascii():
        return base
    *kind, name = unicodedata.name(base, "").split() or [""]
    if kind[:1] != ["GREEK"]:
        return f"u{ord(letter):04x}"
    return name.title() if "CAPITAL" in kind else name.lower()


def _as_written(path: Path, keyword: str) -> str | None:
    """Return the text of a card as it stands in the first header of a plain file."""
    start = f"{keyword:8}= '".encode()
    with path.open("rb") as file:
        for _ in range(_MOST_BLOCKS):
            block = file.read(_BLOCK)
            if not block:
                return None
            for at in range(0, len(block), _CARD):
                card = block[at : at + _CARD]
                if card.startswith(start):
                    return _decoded(card[len(start) :].partition(b"'")[0]).strip()
                if card.rstrip() == b"END":
                    return None
    return None


def _decoded(text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        # Every byte is a letter there.
        return text.decode("latin-1")
