"""In which steps a camera counts: one of 12 or 14 bits that fills 16 counts by 16 or by 4."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from toros.imaging.raw import opened_file, raw_image

_ROWS = 32
_ZERO = 32768
# A camera of 10 bits; larger steps, or so few values, are not a camera's way to count.
_LARGEST, _FEWEST_VALUES = 64, 16


def step_of_counts(path: Path) -> int:
    """Return the step of the 16-bit counts of a plain image: 1, 2, 4, … 64.

    Some rows tell it; of an image that counts by 1 it is the first one that does.

    Raises
    ------
    UnreadableFile
        If the file cannot be read.
    """
    image = raw_image(path)
    if image is None or not image.is_counts:
        return 1
    seen, values = 0, set[int]()
    with opened_file(path) as descriptor:
        for row in np.unique(np.linspace(0, image.shape[0] - 1, _ROWS).astype(int)):
            counts = image.rows(descriptor, slice(row, row + 1))
            # Their zero is the top bit alone.
            seen |= int(np.bitwise_or.reduce(counts, axis=None)) & 0x7FFF
            if seen & 1:
                return 1
            values.update(np.unique(counts).tolist())
    step = seen & -seen
    # Over-exposed, it holds one value: the highest that there is.
    enough = len(values) >= _FEWEST_VALUES or max(values) + _ZERO == 65536 - step
    return step if 0 < step <= _LARGEST and enough else 1
