"""What kind of frame is it? Each capture program says so in its own way, and some do not say."""

from __future__ import annotations

import re
from pathlib import Path

from toros.imaging.headers.cards import Cards, Findings

# IMAGETYP: SBFITSEXT and nearly everyone; OBSTYPE: Liverpool Telescope, LSST; FRAME: INDI;
# CAHA DET EXP TYPE: Calar Alto.
_TYPE_CARDS = (
    "IMAGETYP", "IMAGETYPE", "OBSTYPE", "FRAME", "FRAMETYP", "IMGTYPE", "IMTYPE",
    "CAHA DET EXP TYPE", "EXPTYPE",
)  # fmt: skip

_WORDS = {
    "bias": "bias", "zero": "bias", "offset": "bias", "superbias": "bias",
    "dark": "dark", "flatdark": "dark", "darkflat": "dark",
    "flat": "flat", "flatfield": "flat", "domeflat": "flat", "skyflat": "flat",
    "twilight": "flat", "twilightflat": "flat",
    "light": "light", "science": "light", "object": "light", "expose": "light",
    "standard": "light", "acquire": "light", "acquisition": "light", "sky": "light",
    "tricolor": "light", "target": "light",
    "arc": "arc", "comp": "arc", "comparison": "arc", "lamp": "arc", "wavecal": "arc",
    "focus": "focus", "test": "test", "defects": "defects",
}  # fmt: skip
_NOISE = re.compile(r"\b(master|frame|image|exposure|field|raw|stack)s?\b")
_IN_A_NAME = re.compile(
    r"(?<![a-z])(bias|zero|dark|(?:sky|dome|twi)?flat)(?=(?:s|test|field|frame)?(?![a-z]))"
)
# No shutter opens for less than this: a dark so short holds no dark current.
_BIAS_EXPTIME_S = 1e-6


def type_of_word(text: str) -> str | None:
    """Return the image type that a type card's value means, whatever its case and padding.

    Examples
    --------
    >>> type_of_word("Bias Frame"), type_of_word("science "), type_of_word("FLAT_FIELD")
    ('bias', 'light', 'flat')
    """
    words = re.sub(r"[\W_]+", " ", text.lower()).strip()
    for candidate in (words, _NOISE.sub(" ", words)):
        joined = "".join(candidate.split())
        if joined in _WORDS:
            return _WORDS[joined]
    kinds = {_WORDS[word] for word in words.split() if word in ("bias", "dark", "flat")}
    return kinds.pop() if len(kinds) == 1 else None


def _of_name(text: str) -> str | None:
    """Return the one calibration type that a free name (object, file) mentions."""
    kinds = {_WORDS[found[1].removeprefix("twi")] for found in _IN_A_NAME.finditer(text.lower())}
    return kinds.pop() if len(kinds) == 1 else None


def decide_image_type(
    cards: Cards, path: Path, exptime_s: float | None, findings: Findings
) -> str | None:
    """Return the image type and record what decided it.

    In order: a type card; the object's or field's name; the name of the file or its folder;
    an exposure of a named object with a pointing is a light. The last two are noted.
    """
    found = _from_type_card(cards, exptime_s, findings)
    if found is None:
        found = _from_object(cards, findings) or _from_path(path, findings)
    elif (named := _of_name(path.name)) is not None and named != found:
        findings.note(
            f"The file's name suggests a {named}, but its header says {found}: the header is taken."
        )
    if found is None:
        found = _from_pointing(cards, exptime_s, findings)
    if found is None:
        findings.note("Nothing says what kind of frame this is.")
    return found


def _from_type_card(cards: Cards, exptime_s: float | None, findings: Findings) -> str | None:
    for card in cards.every(_TYPE_CARDS):
        kind = type_of_word(card.text())
        if kind is None:
            findings.note(f"{card.keyword} = {card.text()!r} is no image type that is known here.")
            continue
        findings.decide("image_type", card.keyword)
        if kind == "dark" and exptime_s is not None and 0 <= exptime_s < _BIAS_EXPTIME_S:
            findings.decide("image_type", f"{card.keyword} + EXPTIME")
            findings.note("A dark frame of no exposure time: taken as a bias.")
            return "bias"
        return _pocs_flat(cards, kind, findings)
    return None


def _pocs_flat(cards: Cards, kind: str, findings: Findings) -> str:
    # POCS (PANOPTES, Huntsman) writes its twilight flats as light frames of a field "FlatDither".
    field = cards.get("FIELD")
    if kind == "light" and field is not None and field.text().lower().startswith("flat"):
        findings.decide("image_type", "FIELD")
        findings.note(f"Called a light frame, but its field is {field.text()!r}: taken as a flat.")
        return "flat"
    return kind


def _from_object(cards: Cards, findings: Findings) -> str | None:
    for card in cards.every(("OBJECT", "FIELD")):
        kind = _of_name(card.text())
        if kind is not None:
            findings.decide("image_type", card.keyword)
            findings.note(f"No type card: {kind} from {card.keyword} = {card.text()!r}.")
            return kind
    return None


def _from_path(path: Path, findings: Findings) -> str | None:
    for name, what in ((path.name, "file name"), (path.parent.name, "folder name")):
        kind = _of_name(name)
        if kind is not None:
            findings.decide("image_type", what)
            findings.note(f"No card says what kind of frame this is: {kind} from the {what}.")
            return kind
    return None


def _from_pointing(cards: Cards, exptime_s: float | None, findings: Findings) -> str | None:
    """Take an exposure of a named object or of a solved field as a light."""
    if not exptime_s or exptime_s <= 0:
        return None
    named = cards.first(("OBJECT", "FIELD", "OBJNAME"))
    pointed = cards.first(("RA", "OBJCTRA", "RA-MNT", "TELRA"))
    projection = cards.get("CTYPE1")
    if named is not None and pointed is not None:
        evidence = f"{named.keyword} + {pointed.keyword}"
    elif projection is not None and projection.text().upper().startswith("RA--"):
        evidence = "CTYPE1"
    else:
        return None
    findings.decide("image_type", evidence)
    findings.note("No card says what kind of frame this is: an exposure of the sky, so a light.")
    return "light"
