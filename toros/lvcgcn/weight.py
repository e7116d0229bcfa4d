"""What a host is weighted with. Apart, so that the command line need not load numpy for it."""

from __future__ import annotations

from enum import StrEnum


class Weight(StrEnum):
    """What a galaxy's probability to be the host is in proportion to, beside the map."""

    NONE = "none"
    LUMINOSITY = "luminosity"
    STELLAR_MASS = "stellar_mass"
