"""Suggesting the word that was meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"``, or nothing if none is near."""
    found = get_close_matches(word.casefold(), list(known), n=1, cutoff=0.5)
    return f" (did you mean '{found[0]}'?)" if found else ""
