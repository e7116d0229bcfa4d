"""Where did it point? Degrees, ICRS."""

from __future__ import annotations

import re

from toros.imaging.headers.cards import Card, Cards, Findings

_PAIRS = (
    ("RA", "DEC"), ("OBJCTRA", "OBJCTDEC"), ("RA-MNT", "DEC-MNT"), ("TELRA", "TELDEC"),
    ("RA_OBJ", "DEC_OBJ"), ("CAT-RA", "CAT-DEC"), ("RA_TARG", "DEC_TARG"),
)  # fmt: skip
_SEXAGESIMAL = re.compile(
    r"([+-]?)\s*(\d+)[:\s hd°]+(\d+)(?:[:\s m'′]+(\d+(?:\.\d*)?)?)?[\s s\"″]*"
)
_HOURS = re.compile(r"\bhours?\b|\[h\b|\bh:m|hms", re.IGNORECASE)


def decide_pointing(cards: Cards, findings: Findings) -> tuple[float | None, float | None]:
    """Return (RA, Dec) in degrees ICRS, or (None, None), and record the cards that decided."""
    for ra_name, dec_name in _PAIRS:
        ra_card, dec_card = cards.get(ra_name), cards.get(dec_name)
        if ra_card is None or dec_card is None:
            continue
        ra, dec = _right_ascension(ra_card), _degrees(dec_card)
        if ra is None or dec is None or not (0 <= ra <= 360 and -90 <= dec <= 90):
            findings.note(
                f"{ra_name} = {ra_card.text()!r}, {dec_name} = {dec_card.text()!r} is no pointing."
            )
            continue
        if ra == 0 and dec == 0:
            # What NINA writes with no mount connected.
            findings.note(f"{ra_name} and {dec_name} are exactly 0, 0: no pointing is known.")
            continue
        _record(ra_name, dec_name, findings)
        return _to_icrs(ra % 360, dec, cards, findings)
    return _from_wcs(cards, findings)


def _record(ra_name: str, dec_name: str, findings: Findings) -> None:
    findings.decide("ra", ra_name)
    findings.decide("dec", dec_name)


def _sexagesimal(text: str) -> float | None:
    found = _SEXAGESIMAL.fullmatch(text.strip())
    if found is None:
        return None
    sign, whole, minutes, seconds = found.groups()
    if float(minutes) >= 60 or float(seconds or 0) >= 60:
        return None
    # The sign is kept apart: "-00 18 18" is south of the equator.
    value = float(whole) + float(minutes) / 60 + float(seconds or 0) / 3600
    return -value if sign == "-" else value


def _plain(card: Card) -> float | None:
    if not isinstance(card.value, str):
        return card.number()
    try:
        return float(card.value)
    except ValueError:
        return None


def _right_ascension(card: Card) -> float | None:
    value = _plain(card)
    if value is None:
        hours = _sexagesimal(card.text())
        return None if hours is None or not 0 <= hours < 24 else hours * 15
    # A plain number is degrees unless the comment says hours.
    return value * 15 if _HOURS.search(card.comment) and 0 <= value < 24 else value


def _degrees(card: Card) -> float | None:
    value = _plain(card)
    return _sexagesimal(card.text()) if value is None else value


def _to_icrs(ra: float, dec: float, cards: Cards, findings: Findings) -> tuple[float, float]:
    found = cards.first_number(("EQUINOX", "OBJEQUIN"))
    if found is None or abs(found[1] - 2000.0) < 0.01 or not 1800 <= found[1] <= 2200:
        return ra, dec
    # Hardly ever needed, and slow to import.
    from astropy import units as u
    from astropy.coordinates import FK4, FK5, SkyCoord
    from astropy.time import Time

    card, year = found
    if year == 1950.0:
        frame = FK4(equinox=Time("B1950"))
    else:
        frame = FK5(equinox=Time(year, format="jyear"))
    icrs = SkyCoord(ra * u.deg, dec * u.deg, frame=frame).icrs
    findings.note(f"{card.keyword} = {year:g}: precessed to ICRS.")
    return float(icrs.ra.deg), float(icrs.dec.deg)


def has_celestial_wcs(cards: Cards) -> bool:
    """Return whether the header holds a celestial WCS that can be meant."""
    first, second = cards.get("CTYPE1"), cards.get("CTYPE2")
    if first is None or second is None:
        return False
    names = {first.text().upper()[:4], second.text().upper()[:4]}
    return names == {"RA--", "DEC-"}


def note_bogus_wcs(cards: Cards, findings: Findings) -> None:
    """Note CRVAL cards that are no coordinates of the sky."""
    if cards.first_number(("CRVAL1",)) is None or has_celestial_wcs(cards):
        return
    kind = cards.get("CTYPE1")
    what = f"CTYPE1 = {kind.text()!r}" if kind is not None else "no CTYPE1"
    findings.note(f"The WCS is no WCS of the sky ({what}): not used.")


def _from_wcs(cards: Cards, findings: Findings) -> tuple[float | None, float | None]:
    ra, dec = cards.first_number(("CRVAL1",)), cards.first_number(("CRVAL2",))
    if not has_celestial_wcs(cards) or ra is None or dec is None:
        return None, None
    kind = cards.get("CTYPE1")
    if kind is not None and kind.text().upper().startswith("DEC"):
        ra, dec = dec, ra
    if not (0 <= ra[1] <= 360 and -90 <= dec[1] <= 90):
        return None, None
    _record(ra[0].keyword, dec[0].keyword, findings)
    findings.note("The pointing is the reference point of the WCS, not the frame's centre.")
    return _to_icrs(ra[1] % 360, dec[1], cards, findings)
