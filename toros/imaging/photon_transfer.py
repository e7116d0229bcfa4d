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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toros.imaging.frames import Pixels, without_pedestal
from toros.imaging.headers import ExposureInfo
from toros.imaging.kernels.masters import moments_of_kept
from toros.imaging.kernels.rules import MAD_TO_SIGMA
from toros.imaging.linearity import linearise
from toros.imaging.master_file import MasterFile
from toros.imaging.medians import median_of
from toros.imaging.options import ReductionOptions
from toros.imaging.pool import mapped
from toros.imaging.sources import MASKED, open_sources

_BLOCK_PX = 64
_FEWEST_BLOCKS = 4
_FEWEST_PX = 32
# So many blocks at a time stay in the cache.
_TOGETHER = 16
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
# A gain that is told is wrong where it is so many errors, and this part of itself, off the one that
# is measured. Charge that full pixels repel makes some percent, in thick detectors a tenth and
# more; a gain that nobody filled in, of another mode or of another binning is off by a factor.
_WRONG_SIGMAS, _WRONG_PART = 5.0, 0.2


@dataclass(frozen=True)
class MeasuredGain:
    """A gain [e-/ADU], its standard error from the scatter between blocks, and on how many."""

    gain_e_adu: float
    error: float
    blocks: int


def doubt_of_gain(
    info: ExposureInfo, options: ReductionOptions, measured: MeasuredGain | None
) -> str | None:
    """Return what to say of a gain that is told of a frame and not what its flats show, or None."""
    told = info.gain_e_adu or options.gain_e_adu
    if told is None or measured is None:
        return None
    off = abs(told - measured.gain_e_adu)
    if off <= max(_WRONG_SIGMAS * measured.error, _WRONG_PART * measured.gain_e_adu):
        return None
    where = info.decided_by.get("gain", "header") if info.gain_e_adu else "configuration"
    return (
        f"The gain of {told:.4g} e-/ADU ({where}) is not the {measured.gain_e_adu:.4g} ± "
        f"{measured.error:.1g} e-/ADU that pairs of the flats show: electrons and uncertainties "
        "are wrong. Correct it there, or tell no gain at all: then the measured one is taken."
    )


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
    height, width = first.shape
    step = min(_BLOCK_PX, max(8, min(height, width) // 4))

    def take(box: tuple[int, slice]) -> list[float]:
        """Return the gains that some blocks tell: those of a row in some columns."""
        rows, columns = slice(box[0], box[0] + step), box[1]
        a, b = _blocks(first[rows, columns]), _blocks(second[rows, columns])
        if bad is None:
            return _of_blocks(a, b, read_noise_adu)
        good = ~_blocks(bad[rows, columns])
        # Most blocks are whole: their pixels need not be picked.
        whole = good.all(axis=1)
        gains = _of_blocks(a[whole], b[whole], read_noise_adu)
        for index in np.flatnonzero(~whole):
            part = good[index]
            gains += _of_blocks(a[index, part][None], b[index, part][None], read_noise_adu)
        return gains

    columns = [slice(x, x + _TOGETHER * step) for x in range(0, width, _TOGETHER * step)]
    boxes = [(y, part) for y in range(0, height - step + 1, step) for part in columns]
    found = mapped(take, boxes)
    values = np.array([gain for gains in found for gain in gains])
    if values.size < _FEWEST_BLOCKS:
        return None
    middle = float(np.median(values))
    spread = MAD_TO_SIGMA * float(np.median(np.abs(values - middle)))
    error = 1.2533 * spread / np.sqrt(values.size)
    return MeasuredGain(middle, float(error), values.size)


def _blocks(rows: NDArray[Any]) -> NDArray[Any]:
    """Return the square blocks that some rows hold, each flat [block, pixel]."""
    size = len(rows)
    count = rows.shape[1] // size
    blocks = rows[:, : count * size].reshape(size, count, size).transpose(1, 0, 2)
    return blocks.reshape(count, size * size)


def _of_blocks(first: Pixels, second: Pixels, read_noise_adu: float) -> list[float]:
    """Return the gains that blocks of good pixels [block, pixel] tell."""
    if first.size == 0 or first.shape[1] < _FEWEST_PX:
        return []
    a, b = first.astype(np.float64), second.astype(np.float64)
    signals = np.stack([_medians(a), _medians(b)])
    bright = signals.min(axis=0) >= _FEWEST_ADU
    a, b, ratio = a[bright], b[bright], signals[0, bright] / signals[1, bright]
    # What is common to both (pixel response) cancels; a slope of the light within the block too.
    difference = a - ratio[:, None] * b
    difference -= _medians(difference)[:, None]
    sigma = MAD_TO_SIGMA * _medians(np.abs(difference))
    levels, variance = np.empty((2, len(a))), np.empty(len(a))
    moments_of_kept(a, b, difference, 5 * np.maximum(sigma, 1e-9), levels, variance)
    # var(a - r·b) = s/g + r²·(s/r)/g + (1 + r²)·R², means over the pixels that are kept
    level = levels[0] + ratio**2 * levels[1]
    variance -= (1 + ratio**2) * read_noise_adu**2
    gains: list[float] = (level[variance > 0] / variance[variance > 0]).tolist()
    return gains


def _medians(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of each row of finite values."""
    half = values.shape[1] // 2
    ordered: NDArray[np.float64] = np.partition(values, half, axis=1)
    lower = ordered[:, half] if values.shape[1] % 2 else ordered[:, :half].max(axis=1)
    return (lower + ordered[:, half]) / 2


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
    level_known = bias is not None or all(without_pedestal(info, options) for info in flats)
    if len(flats) < 2 or not level_known:
        return None
    bands = mapped(lambda info: _bands(info, bias, options), flats[: _PAIRS + 1])
    levels = mapped(_level, bands)
    pairs = [
        pair
        for pair, brightness in zip(pairwise(bands), pairwise(levels), strict=True)
        if _comparable(*brightness)
    ]
    told = [gain_of_pair(*pair, read_noise_adu, _bad(*pair)) for pair in pairs]
    found = [gain for gain in told if gain is not None]
    if not found:
        return None
    gains = np.array([one.gain_e_adu for one in found])
    middle = float(np.median(gains))
    if not _PLAUSIBLE[0] < middle < _PLAUSIBLE[1] or np.ptp(gains) > _SCATTER * middle:
        return None
    blocks = sum(one.blocks for one in found)
    error = float(np.sqrt(sum(one.error**2 for one in found))) / len(found)
    return MeasuredGain(middle, error, blocks)


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
