"""Whether the 16-bit counts of a raw frame lack their sign's card: unsigned, and read as signed.

Some capture programs write unsigned counts and no BZERO = 32768. What is over 32767 ADU is then
read as a number far below 0: 45000 as -20536. How many counts were written otherwise (32768 too
low, say) nobody can tell, so nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from toros.imaging.headers.some_rows import some_rows

# True signed counts are below 0 by the noise of a bias, or by what a bad pixel is off.
_FAR_BELOW_ADU = -1000
_BAD_PIXELS = 0.01


def is_signed(header: fits.Header) -> bool:
    """Return whether pixels are 16-bit integers with a sign, as they stand in the file."""
    cards = [header.get(key, d) for key, d in (("BITPIX", 0), ("BZERO", 0), ("BSCALE", 1))]
    return cards == [16, 0, 1]


def part_below(path: Path, hdus: Iterable[Any]) -> float:
    """Return which part of the signed 16-bit pixels of some images are far below 0.

    Some rows tell it.

    Raises
    ------
    UnreadableFile
        If they cannot be read.
    """
    below = seen = 0
    for hdu in hdus:
        if not is_signed(hdu.header):
            continue
        for pixels in some_rows(path, hdu):
            below += int(np.count_nonzero(pixels < _FAR_BELOW_ADU))
            seen += pixels.size
    return below / seen if seen else 0.0


def why_misread(part: float, image_type: str | None) -> str | None:
    """Return why a raw frame cannot be used that has this part of its pixels far below 0.

    A light that is so as a whole may be one of another zero: its sky tells (`doubt_of_sky`).
    """
    if part <= _BAD_PIXELS or (image_type == "light" and part >= 1 - _BAD_PIXELS):
        return None
    return (
        f"{100 * part:.0f} % of its pixels are far below 0, and no count is: 16-bit counts without "
        "a sign were written, and the header has no BZERO = 32768, which would say so. "
        "Set the program that took it to write unsigned 16-bit FITS, or 32 bits."
    )
