"""The bad-pixel mask: hot, dead, non-linear and noisy pixels, and the columns that they make up.

References
----------
IRAF's ``ccdmask`` (and `ccdproc.ccdmask` after it) finds pixels whose response changes from a
faint to a bright flat; here the errors of both are known, so that a pixel is judged by them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

from toros.imaging.frames import Master, Pixels
from toros.imaging.medians import median_of
from toros.imaging.noise import scatter
from toros.imaging.pool import in_threads, strips
from toros.imaging.sampling import thinned

Mask = NDArray[np.bool_]


class Defect(IntFlag):
    """Bits of a bad-pixel mask."""

    HOT = 1  # dark current far above the others'
    DEAD = 2  # hardly answers to light
    NONLINEAR = 4  # answers otherwise to much light than to little
    NOISY = 8  # its scatter over the frames is far above the others'
    COLUMN = 16  # in a column that is bad for a good part of its length
    NO_VALUE = 32  # no frame of a master has a value there


@dataclass(frozen=True, kw_only=True)
class BadPixelLimits:
    """From where a pixel is bad.

    Parameters
    ----------
    hot_sigmas, hot_e_s : float
        A hot pixel is so many deviations, and so much [e-/s, or ADU/s where no gain is known],
        above the median of the dark current.
    dead_response : float
        A dead pixel has less than this part of the response around it; one of more than
        ``2 - dead_response`` is as bad.
    nonlinear_sigmas, nonlinear_ratio : float
        A non-linear pixel changes its response by so many deviations and by such a part.
    noisy_ratio : float
        A noisy pixel scatters so many times what it should.
    bad_column : float
        A segment of a column with such a part of its pixels bad is bad as a whole.
    """

    hot_sigmas: float = 10.0
    hot_e_s: float = 1.0
    dead_response: float = 0.5
    nonlinear_sigmas: float = 6.0
    nonlinear_ratio: float = 0.03
    noisy_ratio: float = 3.0
    bad_column: float = 0.3


_LIMITS = BadPixelLimits()
_SEGMENT_PX = 64
_BOX_PX = 16


def hot_pixels(
    dark: Master, exptime_s: float, gain_e_adu: float | None, limits: BadPixelLimits = _LIMITS
) -> Mask:
    """Return the hot pixels of a bias-subtracted master dark [ADU]."""
    if dark.mask.all() or exptime_s <= 0:
        return np.zeros(dark.mask.shape, dtype=np.bool_)
    scale = np.float32((gain_e_adu or 1.0) / exptime_s)
    sample = _sample(dark.pixels, dark.mask) * scale
    limit = median_of(sample) + max(limits.hot_sigmas * scatter(sample), limits.hot_e_s)

    def judge(rows: slice) -> Mask:
        hot: Mask = dark.pixels[rows] * scale > limit
        return hot & ~dark.mask[rows]

    return _by_strips(judge, dark.mask.shape)


def noisy_pixels(
    dark: Master, frames: int, gain_e_adu: float | None, limits: BadPixelLimits = _LIMITS
) -> Mask:
    """Return pixels that scatter over the frames of a master dark far more than they should.

    Parameters
    ----------
    dark : Master
        Its uncertainty is what the frames show where that is more than expected.
    frames : int
        How many frames are in it.
    gain_e_adu : float, optional
        For the photon noise of hot pixels, which is no defect of its own.
    """
    none = np.zeros(dark.mask.shape, dtype=np.bool_)
    uncertainty = dark.uncertainty
    if uncertainty is None or dark.mask.all():
        return none
    typical = median_of(_sample(uncertainty, dark.mask))
    middle = np.float32(median_of(_sample(dark.pixels, dark.mask)))
    if not typical > 0:
        return none

    def judge(rows: slice) -> Mask:
        level = np.clip(dark.pixels[rows] - middle, 0, None)
        expected = np.sqrt(typical**2 + level / ((gain_e_adu or 1.0) * max(frames, 1)))
        noisy: Mask = uncertainty[rows] > limits.noisy_ratio * expected
        return noisy & ~dark.mask[rows]

    return _by_strips(judge, dark.mask.shape)


def _sample(values: Pixels, bad: Mask) -> NDArray[np.floating]:
    """Return at most about a million good values, or all where those are none."""
    sample = thinned(values)[~thinned(bad)]
    return sample if sample.size else values[~bad]


def _by_strips(judge: Callable[[slice], Mask], shape: tuple[int, ...]) -> Mask:
    """Return a mask of which `judge` makes some rows, in all threads."""
    found = np.empty(shape, np.bool_)

    def fill(rows: slice) -> None:
        found[rows] = judge(rows)

    in_threads(fill, strips(shape[0], shape[1]))
    return found


def dead_pixels(flat: Master, limits: BadPixelLimits = _LIMITS) -> Mask:
    """Return pixels of a master flat whose response is far from that around them."""
    around = _surroundings(flat.pixels, flat.mask)

    def judge(rows: slice) -> Mask:
        response = flat.pixels[rows] / around(rows)
        odd: Mask = (response < limits.dead_response) | (response > 2 - limits.dead_response)
        return odd & ~flat.mask[rows]

    return _by_strips(judge, flat.mask.shape)


def nonlinear_pixels(faint: Master, bright: Master, limits: BadPixelLimits = _LIMITS) -> Mask:
    """Return pixels whose response differs between master flats of few and of many counts.

    Columns are judged by their segments too: a small change that a whole segment shares.
    """
    good = ~(faint.mask | bright.mask) & (faint.pixels > 0.1) & (bright.pixels > 0.1)
    ratio = np.where(good, bright.pixels / np.where(good, faint.pixels, 1), np.float32(1))
    ratio = ratio / _around(ratio, ~good)
    error = np.zeros_like(ratio)
    for flat in (faint, bright):
        if flat.uncertainty is not None:
            relative = np.nan_to_num(flat.uncertainty) / np.where(good, flat.pixels, 1)
            error = np.hypot(error, relative)
    measured = scatter(ratio[good]) if good.any() else 0.0
    error = np.maximum(error, np.float32(measured))
    ratio = np.asarray(ratio, dtype=np.float32)
    off = np.abs(ratio - 1)
    bad: Mask = good & (off > limits.nonlinear_sigmas * error) & (off > limits.nonlinear_ratio)
    return bad | (_odd_segments(ratio, good, measured, limits) & good)


def bad_columns(bad: Mask, limits: BadPixelLimits = _LIMITS) -> Mask:
    """Return the segments of columns that are bad for a good part of their length."""
    found = np.zeros_like(bad)
    for start in range(0, bad.shape[0], _SEGMENT_PX):
        rows = slice(start, min(start + _SEGMENT_PX, bad.shape[0]))
        if bad[rows].any():
            part = bad[rows].view(np.uint8).sum(axis=0, dtype=np.uint16) / (rows.stop - rows.start)
            found[rows, part > limits.bad_column] = True
    return found


def _odd_segments(ratio: Pixels, good: Mask, sigma: float, limits: BadPixelLimits) -> Mask:
    found = np.zeros_like(good)
    for start in range(0, ratio.shape[0], _SEGMENT_PX):
        rows = slice(start, min(start + _SEGMENT_PX, ratio.shape[0]))
        many = good[rows].sum(axis=0)
        middle = np.median(ratio[rows], axis=0)
        # The standard error of a median of so many.
        error = 1.2533 * sigma / np.sqrt(np.maximum(many, 1))
        off = np.abs(middle - 1)
        odd = (off > limits.nonlinear_sigmas * error) & (off > limits.nonlinear_ratio / 3)
        found[rows, odd & (many > _SEGMENT_PX // 4)] = True
    return found


def _around(image: Pixels, bad: Mask) -> Pixels:
    around, rows = np.empty(image.shape, np.float32), _surroundings(image, bad)

    def fill(at: slice) -> None:
        around[at] = rows(at)

    in_threads(fill, strips(*image.shape))
    return around


def _surroundings(image: Pixels, bad: Mask) -> Callable[[slice], Pixels]:
    """Return what gives, for some rows, the median of the image around each pixel.

    The median of boxes, and of boxes beside them.
    """
    height, width = image.shape
    size = max(1, min(_BOX_PX, height, width))
    middle = _beside(_box_medians(image, bad, size)).astype(np.float64)
    (top, below, down), (left, right, across) = (
        _between(length, number, size)
        for length, number in zip(image.shape, middle.shape, strict=True)
    )

    def expand(rows: slice) -> Pixels:
        part = down[rows, None]
        lines = middle[top[rows]] * (1 - part) + middle[below[rows]] * part
        around = (lines[:, left] * (1 - across) + lines[:, right] * across).astype(np.float32)
        return np.where(around <= 0, np.float32(1), around)

    return expand


def _box_medians(image: Pixels, bad: Mask, size: int) -> Pixels:
    """Return the median of the good pixels of each box, 1 where there are none."""
    height, width = image.shape
    rows, columns = -(-height // size), -(-width // size)
    middle = np.empty((rows, columns), np.float32)

    def take(row: int) -> None:
        at = slice(row * size, min((row + 1) * size, height))
        padded = np.full((at.stop - at.start, columns * size), np.nan, dtype=np.float32)
        padded[:, :width] = np.where(bad[at], np.float32(np.nan), image[at])
        boxes = padded.reshape(-1, columns, size).transpose(1, 0, 2).reshape(columns, -1)
        boxes.sort(axis=-1)  # NaN go last
        count = np.isfinite(boxes).sum(axis=-1)
        found = boxes[np.arange(columns), np.maximum(count, 1) // 2]
        middle[row] = np.where(count > 0, found, np.float32(1))

    in_threads(take, range(rows))
    return middle


def _beside(middle: Pixels) -> Pixels:
    """Return the median of each box and the eight beside it; the border's are repeated."""
    wide = np.pad(middle, 1, mode="edge")
    height, width = middle.shape
    nine = [wide[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    return np.asarray(np.median(nine, axis=0), dtype=np.float32)


def _between(
    length: int, number: int, size: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Return, for each pixel, the boxes before and after it, and how far it is between them.

    Linear between the boxes' centres, so that a slope of the light leaves no steps.
    """
    at = np.clip((np.arange(length) + 0.5) / size - 0.5, 0, number - 1)
    before = np.floor(at).astype(np.intp)
    return before, np.minimum(before + 1, number - 1), at - before


def combine(parts: dict[Defect, Mask], limits: BadPixelLimits = _LIMITS) -> NDArray[np.uint8]:
    """Return one mask of `Defect` bits from a mask of each, bad columns added."""
    masks = list(parts.values())
    result = np.zeros(masks[0].shape, dtype=np.uint8)
    for defect, mask in parts.items():
        if mask.any():
            result |= mask * np.uint8(defect.value)
    if result.any():
        result[bad_columns(result != 0, limits) & (result == 0)] |= Defect.COLUMN.value
    return result
