"""Exposure times of twilight flats. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from toros.common.config.telescope import FlatSettings

# The twilight sky fades ten-fold in 1 / 0.094 minutes in every band: Tyson & Gal (1993),
# AJ 105, 1206, for a site at 30° latitude; steeper or flatter dusks are followed by measuring.
FADING_DEX_PER_S = 0.094 / 60.0
SATURATED_FRACTION = 0.9
FAINTEST_ADU_S = 1e-3  # less than this is noise about a level of nothing
MIN_WAIT_S, MAX_WAIT_S = 5.0, 120.0
RISING_TRIAL_S = 2.0


@dataclass(frozen=True)
class SkyLevel:
    """A measured brightness of the sky: counts per second over the bias, at mid-exposure."""

    rate_adu_s: float
    unix: float

    def at(self, unix: float, *, rising: bool = False) -> float:
        """Return the rate that is expected at another time of the evening, or of the morning."""
        slope = FADING_DEX_PER_S if rising else -FADING_DEX_PER_S
        return float(self.rate_adu_s * 10.0 ** (slope * (unix - self.unix)))


@dataclass(frozen=True)
class Advice:
    """What to do next: expose for `exptime_s`, wait for `wait_s`, or give up if neither.

    `trial` says that the exposure only measures the sky.
    """

    exptime_s: float | None = None
    wait_s: float | None = None
    trial: bool = False


# From the least to the most sensitive to a twilight sky, as detector and filter usually are: the
# order in which a fading sky is followed. What is not named stands in the middle.
USUAL_ORDER = (
    *("u", "U", "Ha", "Halpha", "OIII", "SII", "y", "Y", "z", "B"),
    *("", "i", "I", "g", "V", "r", "R"),
    *("L", "Lum", "clear", "C", "open"),
)


def bright_to_dark(bands: Sequence[str | None]) -> list[str | None]:
    """Return filters in the order for a fading sky: the least sensitive while it is bright."""

    def place(band: str | None) -> int:
        return USUAL_ORDER.index(band if band in USUAL_ORDER else "")

    return sorted(bands, key=place)


def advise(
    sky: SkyLevel | None,
    now_unix: float,
    max_adu: float,
    settings: FlatSettings,
    *,
    rising: bool = False,
) -> Advice:
    """Return what to do next in a twilight, which fades, or is `rising` in the morning.

    Parameters
    ----------
    sky : SkyLevel or None
        The last measurement in this filter; None before the first.
    now_unix : float
        The time now.
    max_adu : float
        The greatest count of the camera.
    rising : bool
        The Sun rises: a sky that is too faint is waited for, one too bright ends the flats.
    """
    if sky is None:
        # A short exposure of a faint sky says little; a long one of a bright sky nothing.
        exptime = min(RISING_TRIAL_S, settings.max_exptime_s) if rising else 0.0
        return Advice(exptime_s=max(exptime, settings.min_exptime_s), trial=True)
    if sky.rate_adu_s < FAINTEST_ADU_S:
        return Advice(wait_s=MAX_WAIT_S) if rising else Advice()
    wanted = settings.level_fraction * max_adu
    exptime = wanted / sky.at(now_unix, rising=rising)
    # The sky changes during the exposure too: the rate that counts is that of its middle.
    middle = now_unix + min(exptime, settings.max_exptime_s) / 2
    exptime = wanted / sky.at(middle, rising=rising)
    if settings.min_exptime_s <= exptime <= settings.max_exptime_s:
        return Advice(exptime_s=round(exptime, 2))
    too_bright = exptime < settings.min_exptime_s
    limit_s = settings.min_exptime_s if too_bright else settings.max_exptime_s
    if too_bright is not rising:
        # The sky comes to suit by itself.
        return Advice(wait_s=_wait_s(exptime / limit_s))
    low, high = settings.accepted_fraction
    level = sky.at(now_unix, rising=rising) * limit_s / max_adu
    return Advice(exptime_s=limit_s) if low <= level <= high else Advice()


def _wait_s(ratio: float) -> float:
    """Return how long the sky takes to change by a factor, within what is sensible to wait."""
    return float(np.clip(abs(np.log10(ratio)) / FADING_DEX_PER_S, MIN_WAIT_S, MAX_WAIT_S))


def measure(
    median_adu: float, bias_adu: float, exptime_s: float, start_unix: float, max_adu: float
) -> SkyLevel:
    """Return the sky's brightness from the median of a frame.

    A saturated frame says only that the sky is brighter than it can show: it is taken for four
    times as bright, so that the next trial waits.
    """
    level = median_adu - bias_adu
    if median_adu >= SATURATED_FRACTION * max_adu:
        level = 4.0 * max_adu
    return SkyLevel(rate_adu_s=level / exptime_s, unix=start_unix + exptime_s / 2)


def accepted(median_adu: float, max_adu: float, settings: FlatSettings) -> bool:
    """Return whether a flat of this level is kept."""
    low, high = settings.accepted_fraction
    return low * max_adu <= median_adu <= high * max_adu
