"""Names in a header: filter, instrument, object."""

from __future__ import annotations

from toros.imaging.headers.cards import Cards, Findings

# INSFLNAM and CAHA INS FILT1 NAME: CAFOS.
_FILTER = (
    "FILTER", "FILTNAM", "FILTNAME", "FILTERID", "FILT", "FILTERS", "INSFLNAM",
    "CAHA INS FILT1 NAME",
)  # fmt: skip
_WHEELS = ("FILTER1", "FILTER2", "FILTER3", "FILTER4")
# With blanks in it a keyword is no card of eight letters.
FILTER_CARDS = tuple(name for name in (*_FILTER, *_WHEELS) if " " not in name)
_INSTRUMENT = ("INSTRUME", "INSTRUMENT", "CAMERA", "CAM-MOD", "CAMSN", "CAM-ID", "DETECTOR")
# CAMID and the like are names of a lens, a driver or a model, too.
_SERIAL = ("CAMSER", "CAMSN", "CAMERASN", "SERNO", "DETSER", "CCDSERNO")
_OBJECT = ("OBJECT", "FIELD", "OBJNAME", "CAT-NAME")
_OPEN = frozenset({"clear", "open", "empty", "free", "none", "air", "blank"})


def decide_filter(cards: Cards, findings: Findings) -> str | None:
    """Return the filter's name; of several wheels, those that hold one, joined by ``+``."""
    for card in cards.every(_FILTER):
        if card.text().lower() == "none":
            findings.note(f"{card.keyword} = {card.text()!r}: no filter is known.")
            continue
        findings.decide("filter", card.keyword)
        return card.text()
    wheels = list(cards.every(_WHEELS))
    if not wheels:
        return None
    closed = [card for card in wheels if card.text().lower() not in _OPEN] or wheels[:1]
    findings.decide("filter", " + ".join(card.keyword for card in closed))
    return "+".join(card.text() for card in closed)


def decide_instrument(cards: Cards, findings: Findings) -> str | None:
    """Return the instrument (or camera) by which masters are matched."""
    return _first_text(cards, _INSTRUMENT, "instrument", findings)


def decide_serial(cards: Cards, findings: Findings) -> str | None:
    """Return the serial number of the camera."""
    return _first_text(cards, _SERIAL, "serial", findings)


def decide_object(cards: Cards, findings: Findings) -> str | None:
    """Return the name of what was observed."""
    return _first_text(cards, _OBJECT, "object", findings)


def _first_text(
    cards: Cards, keywords: tuple[str, ...], key: str, findings: Findings
) -> str | None:
    card = cards.first(keywords)
    if card is None:
        return None
    findings.decide(key, card.keyword)
    return card.text()
