"""The bad-pixel mask: hot, dead, non-linear and noisy pixels, and the columns that they make up.

References
----------
IRAF's ``ccdmask`` (and `ccdproc.ccdmask` after it) finds pixels whose response changes from a
faint to a bright flat; here the errors of both are known, so that a pixel is judged by them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray

from toros.imaging.frames import MasterRows, Pixels
from toros.imaging.kernels.defects import DarkLimits, mark_dark, mark_dead
from toros.imaging.medians import median_of
from toros.imaging.noise import scatter
from toros.imaging.pool import mapped, strips
from toros.imaging.sampling import sample_rows, thinning
from toros.imaging.surroundings import surroundings

Mask = NDArray[np.bool_]
Bits = NDArray[np.uint8]
# Tells the defects (`Defect`) in some rows of a master, and where it has no value.
Judge = Callable[[slice], tuple[Bits, Mask]]


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
SEGMENT_PX = 64


def dark_judge(
    dark: MasterRows,
    exptime_s: float,
    frames: int,
    gain_e_adu: float | None,
    limits: BadPixelLimits = _LIMITS,
) -> Judge:
    """Return what finds hot and noisy pixels in a bias-subtracted master dark [ADU].

    Parameters
    ----------
    dark : MasterRows
        Its uncertainty is what the frames show where that is more than expected.
    frames : int
        How many frames are in it.
    gain_e_adu : float, optional
        For electrons, and for the photon noise of hot pixels, which is no defect of its own.
    """
    codes = _dark_limits(dark, exptime_s, frames, gain_e_adu, limits)

    def judge(rows: slice) -> tuple[Bits, Mask]:
        part = dark.rows(rows)
        bits = np.empty(part.mask.shape, np.uint8)
        # Without an uncertainty nothing is noisy: the limit is infinite then.
        error = part.pixels if part.uncertainty is None else part.uncertainty
        mark_dark(
            part.pixels.reshape(-1),
            error.reshape(-1),
            part.mask.reshape(-1),
            codes,
            np.uint8(Defect.HOT.value),
            np.uint8(Defect.NOISY.value),
            bits.reshape(-1),
        )
        return bits, part.mask

    return judge


def _dark_limits(
    dark: MasterRows,
    exptime_s: float,
    frames: int,
    gain_e_adu: float | None,
    limits: BadPixelLimits,
) -> DarkLimits:
    gain = gain_e_adu or 1.0
    pixels, errors = _samples(dark)
    scale, hot, middle, variance = np.float32(1), np.inf, 0.0, np.inf
    if pixels.size and exptime_s > 0:
        scale = np.float32(gain / exptime_s)
        rates = pixels * scale
        hot = median_of(rates) + max(limits.hot_sigmas * scatter(rates), limits.hot_e_s)
    if pixels.size and errors is not None:
        typical = median_of(errors)
        middle = median_of(pixels)
        variance = typical**2 if typical > 0 else np.inf
    electrons = gain * max(frames, 1)
    found = (scale, hot, middle, variance, electrons, limits.noisy_ratio)
    return DarkLimits(*(np.float32(one) for one in found))


def _samples(master: MasterRows) -> tuple[Pixels, Pixels | None]:
    """Return about a million good values and their errors, or all where those are none."""
    height, width = master.shape
    for step in (thinning(height * width), 1):

        def take(rows: slice, step: int = step) -> tuple[Pixels, Pixels | None]:
            part = master.rows(rows)
            at = slice(-rows.start * width % step, None, step)
            good = ~part.mask.reshape(-1)[at]
            error = None if part.uncertainty is None else part.uncertainty.reshape(-1)[at][good]
            return part.pixels.reshape(-1)[at][good], error

        found = mapped(take, strips(height, width))
        pixels = np.concatenate([part for part, _ in found])
        if pixels.size:
            break
    errors = [error for _, error in found if error is not None]
    return pixels, np.concatenate(errors) if errors else None


def flat_judge(flat: MasterRows, limits: BadPixelLimits = _LIMITS) -> Judge:
    """Return what finds pixels of a master flat whose response is far from that around them."""

    def read(rows: slice) -> tuple[Pixels, Mask]:
        part = flat.rows(rows, with_error=False)
        return part.pixels, part.mask

    grid = surroundings(flat.shape, read)
    low, high = np.float32(limits.dead_response), np.float32(2 - limits.dead_response)

    def judge(rows: slice) -> tuple[Bits, Mask]:
        pixels, mask = read(rows)
        bits = np.empty(mask.shape, np.uint8)
        mark_dead(pixels, mask, grid, rows.start, low, high, np.uint8(Defect.DEAD.value), bits)
        return bits, mask

    return judge


def part_of(defect: Defect, judge: Judge, shape: tuple[int, ...]) -> float:
    """Return which part of the pixels has a defect, from rows spread over the image."""
    height, width = shape
    found = [judge(rows)[0] & defect.value != 0 for rows in sample_rows((height, width))]
    return float(np.concatenate(found, axis=None).mean())


def without(defect: Defect, judge: Judge) -> Judge:
    """Return what finds the same as a judge, but for one defect."""

    def other(rows: slice) -> tuple[Bits, Mask]:
        bits, mask = judge(rows)
        return bits & ~np.uint8(defect.value), mask

    return other


def segments(shape: tuple[int, ...]) -> list[slice]:
    """Return the rows of an image in strips, none of which cuts the segment of a column."""
    height, width = shape
    step = strips(height, width)[0].stop // SEGMENT_PX * SEGMENT_PX or SEGMENT_PX
    return [slice(at, min(at + step, height)) for at in range(0, height, step)]


def find_defects(
    judges: Sequence[Judge], shape: tuple[int, ...], limits: BadPixelLimits = _LIMITS
) -> tuple[Bits, dict[Defect, int]]:
    """Return one mask of `Defect` bits from all judges, bad columns added, and how many of each."""
    mask = np.empty(shape, np.uint8)

    def count(rows: slice) -> NDArray[np.intp]:
        mask[rows] = _judged([judge(rows) for judge in judges], limits)
        bad = mask[rows][mask[rows] != 0]
        return np.array([np.count_nonzero(bad & defect.value) for defect in Defect])

    counts = np.sum(mapped(count, segments(shape)), axis=0)
    return mask, {defect: int(number) for defect, number in zip(Defect, counts, strict=True)}


def _judged(judged: Sequence[tuple[Bits, Mask]], limits: BadPixelLimits) -> Bits:
    bits: Bits = np.bitwise_or.reduce([bits for bits, _ in judged])
    # A hole in one flat may be a star in all of its frames; in every master it is a defect.
    nowhere = np.logical_and.reduce([mask for _, mask in judged])
    bits[nowhere] |= Defect.NO_VALUE.value
    bits[bad_columns(bits != 0, limits) & (bits == 0)] |= Defect.COLUMN.value
    return bits


def bad_columns(bad: Mask, limits: BadPixelLimits = _LIMITS) -> Mask:
    """Return the segments of columns that are bad for a good part of their length."""
    found = np.zeros_like(bad)
    for start in range(0, bad.shape[0], SEGMENT_PX):
        rows = slice(start, min(start + SEGMENT_PX, bad.shape[0]))
        if bad[rows].any():
            part = bad[rows].view(np.uint8).sum(axis=0, dtype=np.uint16) / (rows.stop - rows.start)
            found[rows, part > limits.bad_column] = True
    return found
