"""The gain of a camera from its flats: photon noise tells how many photons a count is.

References
----------
Janesick (2001), Scientific Charge-Coupled Devices, chapter 2: the variance of the difference of
two exposures, above that of the read-out, is the signal over the gain; the fixed pattern cancels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from toros.imaging.frames import Frame, Pixels, read_frame
from toros.imaging.headers import ExposureInfo
from toros.imaging.linearity import linearise
from toros.imaging.options import ReductionOptions

_BLOCK_PX = 64
_FEWEST_BLOCKS = 4
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
    a, b = (first, second) if good is None else (first[good], second[good])
    if a.size < 32:
        return None
    a, b = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
    signal = (float(np.median(a)), float(np.median(b)))
    if min(signal) < _FEWEST_ADU:
        return None
    ratio = signal[0] / signal[1]
    # What is common to both (pixel response) cancels; a slope of the light within the block too.
    difference = a - ratio * b
    difference -= np.median(difference)
    sigma = 1.4826 * float(np.median(np.abs(difference)))
    kept = np.abs(difference) < 5 * max(sigma, 1e-9)
    # var(a - r·b) = s/g + r²·(s/r)/g + (1 + r²)·R², means over the pixels that are kept
    level = float(np.mean(a[kept])) + ratio**2 * float(np.mean(b[kept]))
    variance = float(np.var(difference[kept], ddof=1)) - (1 + ratio**2) * read_noise_adu**2
    return level / variance if variance > 0 else None


def measure_gain(
    flats: Sequence[ExposureInfo],
    bias: Pixels | None,
    read_noise_adu: float,
    options: ReductionOptions,
) -> MeasuredGain | None:
    """Return the gain from flats of similar level, None where they do not tell it.

    Parameters
    ----------
    flats : sequence of ExposureInfo
        Raw flats of one set-up.
    bias : numpy.ndarray, optional
        Master bias [ADU]; needed unless the flats have an overscan.
    read_noise_adu : float
        Of one frame.
    """
    if len(flats) < 2 or (bias is None and flats[0].layout is None):
        return None
    found = [
        gain
        for first, second in pairwise(_frames(flats[: _PAIRS + 1], bias, options))
        if _comparable(first, second)
        and (gain := gain_of_pair(first.pixels, second.pixels, read_noise_adu, _bad(first, second)))
    ]
    if not found:
        return None
    gains = np.array([one.gain_e_adu for one in found])
    middle = float(np.median(gains))
    if not _PLAUSIBLE[0] < middle < _PLAUSIBLE[1] or np.ptp(gains) > _SCATTER * middle:
        return None
    blocks = sum(one.blocks for one in found)
    error = float(np.sqrt(sum(one.error**2 for one in found))) / len(found)
    return MeasuredGain(middle, error, blocks)


def _frames(
    flats: Iterable[ExposureInfo], bias: Pixels | None, options: ReductionOptions
) -> Iterable[Frame]:
    for info in flats:
        frame = read_frame(info.path, info, options=options)
        pixels = frame.pixels if bias is None else frame.pixels - bias
        yield Frame(linearise(pixels, options.linearity), frame.mask, frame.header)


def _bad(first: Frame, second: Frame) -> NDArray[np.bool_]:
    return np.asarray((first.mask | second.mask) != 0)


def _comparable(first: Frame, second: Frame) -> bool:
    levels = sorted(float(np.median(frame.pixels)) for frame in (first, second))
    return levels[0] > 0 and levels[1] / levels[0] < _LEVEL_RATIO
