"""What a calibrated light is worth, as its header, the archive and the report tell it: one rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Status = Literal["OK", "PARTIAL", "SUSPECT"]

# A sky that is so many times the noise of a pixel below 0 is none.
_DARKEST = 5.0


@dataclass(frozen=True)
class Doubt:
    """Why a light may not be what it seems.

    Parameters
    ----------
    message : str
        What is odd, for people.
    comment : str
        The same beside STATUS; 47 characters at most.
    grave : bool
        Whether the pixels are wrong; else only what is known of them.
    """

    message: str
    comment: str
    grave: bool


def doubt_of_sky(name: str, unit: str, level: float, noise: float) -> Doubt | None:
    """Return what to say of a sky that is darker than none: bias and light do not belong together.

    Counts that were written without a sign and read with one end so, and a bias of another offset.
    """
    if level >= -_DARKEST * noise:
        return None
    return Doubt(
        f"The sky of {name} is {level:.0f} {unit}, below nothing: "
        "its counts are not those of its masters. Unsigned 16-bit counts in a file without "
        "BZERO = 32768 end so: look at what writes it.",
        "the sky is far below 0, see SKYLEVEL",
        grave=True,
    )


def doubt_of_exposure(exptime_s: float | None, *, has_dark: bool) -> Doubt | None:
    """Return what to say of a light that was not exposed, None of any other.

    There are none: its header was not filled in. (Where it tells no time at all, no dark matches.)
    """
    if exptime_s != 0:
        return None
    dark = ", and nothing of the master dark is subtracted" if has_dark else ""
    return Doubt(
        "The header of this light tells an exposure time of 0 s, which cannot be"
        f"{dark}: look at what writes EXPTIME.",
        "EXPTIME is 0",
        grave=False,
    )


def status_card(*, complete: bool, doubts: Sequence[Doubt]) -> tuple[Status, str]:
    """Return value and comment of STATUS: a doubt is worse than a master that is missing."""
    if doubts:
        return "SUSPECT", doubts[0].comment
    if not complete:
        return "PARTIAL", "a master is missing, see HISTORY"
    return "OK", "no master is missing"
