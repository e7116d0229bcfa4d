"""Exposure times of twilight flats. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from toros.common.config.telescope import FlatSettings

# The twilight sky fades ten-fold in 1 / 0.094 minutes in every band: Tyson & Gal (1993),
# AJ 105, 1206, for a site at 30° latitude; steeper or flatter dusks are followed by measuring.
FADING_DEX_PER_S = 0.094 / 60.0
SATURATED_FRACTION = 0.9
FAINTEST_ADU_S = 1e-3  # less than this is noise about a level of nothing
MIN_WAIT_S, MAX_WAIT_S = 5.0, 120.0


@dataclass(frozen=True)
class SkyLevel:
    """A measured brightness of the sky: counts per second over the bias, at mid-exposure."""

    rate_adu_s: float
    unix: float

    def at(self, unix: float) -> float:
        """Return the rate that is expected at another time of the evening."""
        return float(self.rate_adu_s * 10.0 ** (-FADING_DEX_PER_S * (unix - self.unix)))


@dataclass(frozen=True)
class Advice:
    """What to do next: expose for `exptime_s`, wait for `wait_s`, or give up if neither.

    `trial` says that the exposure only measures the sky.
    """

    exptime_s: float | None = None
    wait_s: float | None = None
    trial: bool = False


def advise(sky: SkyLevel | None, now_unix: float, max_adu: float, settings: FlatSettings) -> Advice:
    """Return what to do next in a fading twilight.

    Parameters
    ----------
    sky : SkyLevel or None
        The last measurement in this filter; None before the first.
    now_unix : float
        The time now.
    max_adu : float
        The greatest count of the camera.
    """
    if sky is None:
        return Advice(exptime_s=settings.min_exptime_s, trial=True)
    wanted = settings.level_fraction * max_adu
    if sky.rate_adu_s < FAINTEST_ADU_S:
        return Advice()
    exptime = wanted / sky.at(now_unix)
    # The sky fades during the exposure too: the rate that counts is that of its middle.
    exptime = wanted / sky.at(now_unix + min(exptime, settings.max_exptime_s) / 2)
    if exptime < settings.min_exptime_s:
        excess = np.log10(settings.min_exptime_s / exptime)
        return Advice(wait_s=float(np.clip(excess / FADING_DEX_PER_S, MIN_WAIT_S, MAX_WAIT_S)))
    if exptime > settings.max_exptime_s:
        faintest = sky.at(now_unix) * settings.max_exptime_s
        if faintest < settings.accepted_fraction[0] * max_adu:
            return Advice()
        return Advice(exptime_s=settings.max_exptime_s)
    return Advice(exptime_s=round(exptime, 2))


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
