"""Safe look-up of cards: a header comes from outside and may hold anything."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from astropy.io import fits

from toros.imaging.fits_io import BROKEN_CARD, quiet

# Written by programs in place of "I do not know".
_UNKNOWN = frozenset({"", "unknown", "n/a", "na", "undefined", "null", "nan", "not used"})
_COMMENTARY = frozenset({"HISTORY", "COMMENT", ""})
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?")
_GOES_ON = re.compile(r"[,:]\d")


@dataclass(frozen=True)
class Card:
    """One card: its keyword, its value (stripped, never blank) and its comment."""

    keyword: str
    value: Any
    comment: str

    def number(self) -> float | None:
        """Return the value as a finite number, taking ``'44 C'`` as 44; None if it is none.

        ``'2,5'`` and ``'00:01:30'`` are none: 2 and 0 would be others.
        """
        if isinstance(self.value, bool):
            return None
        if isinstance(self.value, int | float):
            return _finite(self.value)
        found = _NUMBER.match(str(self.value))
        if found is None or _GOES_ON.match(str(self.value), found.end()):
            return None
        return _finite(found[0].replace("D", "E").replace("d", "e"))

    def text(self) -> str:
        """Return the value as text."""
        return str(self.value).strip()


def _finite(value: Any) -> float | None:
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def name_of(broken: fits.Card) -> str:
    """Return the keyword of a card that cannot be read; its text may be no more to be had."""
    try:
        return str(broken.keyword)
    except BROKEN_CARD:
        return "of no name"


class Cards:
    """The cards of one or more headers; where two have a keyword, the first header wins.

    Parameters
    ----------
    headers : astropy.io.fits.Header
        The image's own header first, then what it inherits.
    """

    def __init__(self, *headers: fits.Header) -> None:
        self._cards: dict[str, Card] = {}
        self._history: list[str] = []
        self.unreadable: list[str] = []
        # A card that astropy can mend is read as mended, with a warning.
        with quiet():
            for header in headers:
                for card in header.cards:
                    self._take(card)

    def _take(self, raw: fits.Card) -> None:
        try:
            keyword, value, comment = raw.keyword.upper(), raw.value, raw.comment
        except BROKEN_CARD:
            # One broken card must not hide the rest.
            self.unreadable.append(name_of(raw))
            return
        if keyword in _COMMENTARY:
            self._history.append(str(value))
        elif keyword not in self._cards:
            if isinstance(value, str):
                value = value.strip()
            self._cards[keyword] = Card(keyword, value, str(comment))

    @property
    def history(self) -> list[str]:
        """Text of every HISTORY and COMMENT card."""
        return self._history

    def get(self, keyword: str) -> Card | None:
        """Return the card `keyword` unless it is missing or blank or says that it is unknown."""
        card = self._cards.get(keyword.upper())
        if card is None or card.value is None or isinstance(card.value, fits.card.Undefined):
            return None
        if isinstance(card.value, str) and card.value.lower() in _UNKNOWN:
            return None
        return card

    def every(self, keywords: Iterable[str]) -> Iterator[Card]:
        """Yield those of `keywords` that are there and not blank, in their order."""
        for keyword in keywords:
            card = self.get(keyword)
            if card is not None:
                yield card

    def first(self, keywords: Iterable[str]) -> Card | None:
        """Return the first of `keywords` that is there and not blank."""
        return next(self.every(keywords), None)

    def first_number(self, keywords: Iterable[str]) -> tuple[Card, float] | None:
        """Return the first of `keywords` that is a finite number, with that number."""
        for card in self.every(keywords):
            number = card.number()
            if number is not None:
                return card, number
        return None

    def first_positive(self, keywords: Iterable[str]) -> tuple[Card, float] | None:
        """Return the first of `keywords` that is a number over 0: many write 0 for unknown."""
        for card in self.every(keywords):
            number = card.number()
            if number is not None and number > 0:
                return card, number
        return None

    def as_json(self) -> dict[str, Any]:
        """Return every card as a JSON-able value, HISTORY and COMMENT joined."""
        result: dict[str, Any] = {}
        for keyword, card in self._cards.items():
            value = card.value
            if isinstance(value, fits.card.Undefined):
                result[keyword] = None
            elif isinstance(value, float):
                result[keyword] = value if math.isfinite(value) else str(value)
            elif isinstance(value, bool | int | str) or value is None:
                result[keyword] = value
            else:
                result[keyword] = str(value)
        if self._history:
            result["HISTORY"] = "\n".join(self._history)
        return result


class Findings:
    """What is found while a header is read: values, the cards that decided, what was odd."""

    def __init__(self) -> None:
        self.decided_by: dict[str, str] = {}
        self.notes: list[str] = []

    def decide(self, key: str, evidence: str) -> None:
        """Record that `evidence` (a keyword, mostly) decided the value of `key`."""
        self.decided_by[key] = evidence

    def note(self, sentence: str) -> None:
        """Record one odd thing, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)
