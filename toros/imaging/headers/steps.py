"""In which steps a camera counts: one of 12 or 14 bits that fills 16 counts by 16 or by 4."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from toros.imaging.headers.some_rows import some_rows

_TOP_BIT = 0x8000
# A camera of 10 bits; larger steps, or so few values, are not a camera's way to count.
_LARGEST, _FEWEST_VALUES = 64, 16


def step_of_counts(path: Path, hdu: Any) -> int:
    """Return the step of the unsigned 16-bit counts of an image: 1, 2, 4, … 64.

    Some rows tell it; of an image that counts by 1 it is the first one that does.

    Parameters
    ----------
    hdu : astropy.io.fits.PrimaryHDU, ImageHDU or CompImageHDU
        The first image of the open file `path`.

    Raises
    ------
    UnreadableFile
        If the file cannot be read.
    """
    seen, values = 0, set[int]()
    for counts in some_rows(path, hdu):
        if counts.dtype != np.uint16:  # some have no value
            return 1
        # Their zero is the top bit alone, as they stand in the file.
        seen |= int(np.bitwise_or.reduce(counts, axis=None)) & (_TOP_BIT - 1)
        if seen & 1:
            return 1
        values.update(np.unique(counts).tolist())
    step = seen & -seen
    # Over-exposed, it holds one value: the highest that there is.
    enough = len(values) >= _FEWEST_VALUES or max(values, default=0) == 65536 - step
    return step if 0 < step <= _LARGEST and enough else 1
