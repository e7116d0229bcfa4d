"""Which part of the detector was read out: two windows of one size do not share their pixels."""

from __future__ import annotations

from toros.imaging.headers.cards import Cards, Findings
from toros.imaging.headers.sections import parse_section

# SBFITSEXT, as MaxIm DL, CCDSoft and many others write it.
_ORIGIN = ("XORGSUBF", "YORGSUBF")
# Of the first amplifier, where there are several.
_SECTIONS = ("DETSEC", "CCDSEC", "DETSEC1", "CCDSEC1")


def decide_window(cards: Cards, findings: Findings) -> tuple[int, int] | None:
    """Return (x, y) of the first pixel on the detector, from 0; binned or not, as it is told."""
    x, y = (cards.first_number((name,)) for name in _ORIGIN)
    if x is not None and y is not None:
        findings.decide("window", ", ".join(_ORIGIN))
        return round(x[1]), round(y[1])
    for card in cards.every(_SECTIONS):
        section = parse_section(card.text())
        if section is not None:
            findings.decide("window", card.keyword)
            return section.x_start, section.y_start
    return None
