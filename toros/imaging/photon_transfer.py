"""The gain of a camera from its flats: photon noise tells how many photons a count is.

References
----------
Janesick (2001), Scientific Charge-Coupled Devices, chapter 2: the variance of the difference of
two exposures, above that of the read-out, is the signal over the gain; the fixed pattern cancels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from toros.imaging.frames import Pixels
from toros.imaging.headers import ExposureInfo
from toros.imaging.linearity import linearise
from toros.imaging.master_file import MasterFile
from toros.imaging.medians import median_of
from toros.imaging.options import ReductionOptions
from toros.imaging.pool import mapped
from toros.imaging.sources import MASKED, open_sources

_BLOCK_PX = 64
_FEWEST_BLOCKS = 4
# As many rows of blocks of a large frame; the gain is then known to about 0.2 %.
_BANDS = 6
# More pairs hardly tell more; each costs the reading of a frame.
_PAIRS = 3
# Brightness of a pair may differ by no more than this: linearity would enter.
_LEVEL_RATIO = 1.5
# Signal over read variance below which the read noise decides, not the photons.
_FEWEST_ADU = 200.0
# No camera is outside of this; and the pairs must agree.
_PLAUSIBLE = (0.02, 200.0)
_SCATTER = 0.1


@dataclass(frozen=True)
class MeasuredGain:
    """A gain [e-/ADU], its standard error from the scatter between blocks, and on how many."""

    gain_e_adu: float
    error: float
    blocks: int


def gain_of_pair(
    first: Pixels,
    second: Pixels,
    read_noise_adu: float,
    bad: NDArray[np.bool_] | None = None,
) -> MeasuredGain | None:
    """Return the gain from two exposures of an even field, their bias subtracted [ADU].

    Measured on blocks, so that vignetting and stars in some of them do no harm; None where too
    few blocks have enough light.
    """
    gains: list[float] = []
    height, width = first.shape
    step = min(_BLOCK_PX, max(8, min(height, width) // 4))
    for y in range(0, height - step + 1, step):
        for x in range(0, width - step + 1, step):
            box = (slice(y, y + step), slice(x, x + step))
            good = None if bad is None else ~bad[box]
            gain = _of_block(first[box], second[box], read_noise_adu, good)
            if gain is not None:
                gains.append(gain)
    if len(gains) < _FEWEST_BLOCKS:
        return None
    values = np.array(gains)
    middle = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - middle)))
    error = 1.2533 * spread / np.sqrt(values.size)
    return MeasuredGain(middle, float(error), values.size)


def _of_block(
    first: Pixels, second: Pixels, read_noise_adu: float, good: NDArray[np.bool_] | None
) -> float | None:
    # Most blocks are whole: their pixels need not be picked.
    whole = good is None or good.all()
    a, b = (first, second) if whole else (first[good], second[good])
    if a.size < 32:
        return None
    a, b = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
    signal = (median_of(a), median_of(b))
    if min(signal) < _FEWEST_ADU:
        return None
    ratio = signal[0] / signal[1]
    # What is common to both (pixel response) cancels; a slope of the light within the block too.
    difference = a - ratio * b
    difference -= median_of(difference)
    distance = np.abs(difference)
    sigma = 1.4826 * median_of(distance)
    kept = distance < 5 * max(sigma, 1e-9)
    # var(a - r·b) = s/g + r²·(s/r)/g + (1 + r²)·R², means over the pixels that are kept
    level = float(np.mean(a[kept])) + ratio**2 * float(np.mean(b[kept]))
    variance = float(np.var(difference[kept], ddof=1)) - (1 + ratio**2) * read_noise_adu**2
    return level / variance if variance > 0 else None


def measure_gain(
    flats: Sequence[ExposureInfo],
    bias: MasterFile | None,
    read_noise_adu: float,
    options: ReductionOptions,
) -> MeasuredGain | None:
    """Return the gain from flats of similar level, None where they do not tell it.

    Large frames are measured on some bands of rows.

    Parameters
    ----------
    flats : sequence of ExposureInfo
        Raw flats of one set-up.
    bias : MasterFile, optional
        Master bias [ADU]; needed unless the flats have an overscan.
    read_noise_adu : float
        Of one frame.
    """
    if len(flats) < 2 or (bias is None and flats[0].layout is None):
        return None
    bands = mapped(lambda info: _bands(info, bias, options), flats[: _PAIRS + 1])
    levels = mapped(_level, bands)
    pairs = [
        pair
        for pair, brightness in zip(pairwise(bands), pairwise(levels), strict=True)
        if _comparable(*brightness)
    ]
    found = _gains(pairs, read_noise_adu)
    if not found:
        return None
    gains = np.array([one.gain_e_adu for one in found])
    middle = float(np.median(gains))
    if not _PLAUSIBLE[0] < middle < _PLAUSIBLE[1] or np.ptp(gains) > _SCATTER * middle:
        return None
    blocks = sum(one.blocks for one in found)
    error = float(np.sqrt(sum(one.error**2 for one in found))) / len(found)
    return MeasuredGain(middle, error, blocks)


def _gains(pairs: Sequence[tuple[Pixels, Pixels]], read_noise_adu: float) -> list[MeasuredGain]:
    """Return what each pair tells, where it tells something."""
    found = mapped(lambda pair: gain_of_pair(*pair, read_noise_adu, _bad(*pair)), pairs)
    return [gain for gain in found if gain is not None]


def _bands(info: ExposureInfo, bias: MasterFile | None, options: ReductionOptions) -> Pixels:
    """Return bands of a frame, its bias subtracted, one below the other; NaN is masked."""
    with open_sources([info], options) as (source,):
        height, width = source.image.shape
        wanted = [slice(0, height)]
        if height > 2 * _BANDS * _BLOCK_PX:
            starts = np.linspace(0, height - _BLOCK_PX, _BANDS).astype(int).tolist()
            wanted = [slice(start, start + _BLOCK_PX) for start in starts]
        found = []
        for rows in wanted:
            pixels = np.empty((rows.stop - rows.start, width), np.float32)
            source.read_floats(rows, pixels.reshape(-1))
            pixels[pixels == MASKED] = np.nan
            if bias is not None:
                pixels -= bias.rows(rows, with_error=False).pixels
            found.append(linearise(pixels, options.linearity))
    return np.concatenate(found)


def _bad(first: Pixels, second: Pixels) -> NDArray[np.bool_]:
    return ~(np.isfinite(first) & np.isfinite(second))


def _comparable(first: float, second: float) -> bool:
    levels = sorted((first, second))
    return levels[0] > 0 and levels[1] / levels[0] < _LEVEL_RATIO


def _level(pixels: Pixels) -> float:
    good = pixels[np.isfinite(pixels)]
    return median_of(good) if good.size else 0.0
