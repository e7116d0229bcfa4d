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

# Bits above 0 of 16-bit integers with a sign.
SIGNED = 15
# True signed counts are below 0 by the noise of a bias, or by what a bad pixel is off.
_FAR_BELOW_ADU = -1000
_BAD_PIXELS = 0.01


def bits_above_zero(header: fits.Header) -> int | None:
    """Return how many bits integer pixels of up to 16 bits have above 0; of others None."""
    bitpix, zero, scale = (
        header.get(key, d) for key, d in (("BITPIX", 0), ("BZERO", 0), ("BSCALE", 1))
    )
    if scale != 1:
        return None
    if bitpix == 16 and zero in (0, 32768):
        return 16 if zero else SIGNED
    return 8 if bitpix == 8 and zero == 0 else None


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
        if bits_above_zero(hdu.header) != SIGNED:
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
