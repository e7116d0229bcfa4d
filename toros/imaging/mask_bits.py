"""What is known to be wrong with a pixel."""

from __future__ import annotations

from enum import IntFlag


class MaskBit(IntFlag):
    """Bits of the MASK extension. Any bit set means: do not use this pixel."""

    NO_DATA = 1  # not finite in the raw frame
    SATURATED = 2
    BAD_MASTER = 4  # bad in the master bias or dark
    BAD_FLAT = 8  # no response in the master flat
    COSMIC_RAY = 16
    BAD_PIXEL = 32  # in the bad-pixel mask: hot, dead, non-linear, noisy
    BLEED = 64  # charge that flowed out of a saturated pixel
