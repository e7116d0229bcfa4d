"""Pixels that answer otherwise to much light than to little, from two flats of one filter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from toros.imaging.bad_pixels import SEGMENT_PX, BadPixelLimits, Bits, Defect, Judge, Mask, segments
from toros.imaging.frames import Master, MasterRows, Pixels
from toros.imaging.noise import scatter
from toros.imaging.pool import mapped
from toros.imaging.sampling import thinning
from toros.imaging.surroundings import around, surroundings

_LIMITS = BadPixelLimits()
# A response below is none.
_LEAST = 0.1


def linearity_judge(
    faint: MasterRows, bright: MasterRows, limits: BadPixelLimits = _LIMITS
) -> Judge:
    """Return what finds pixels whose response differs between flats of few and of many counts.

    Columns are judged by their segments too: a small change that a whole segment shares.
    """

    def read(rows: slice) -> tuple[Pixels, Mask]:
        ratio, good = _ratio(*(flat.rows(rows, with_error=False) for flat in (faint, bright)))
        return ratio, ~good

    grid = surroundings(faint.shape, read)

    def level(rows: slice) -> Pixels:
        ratio, bad = read(rows)
        return (ratio / around(grid, rows))[~bad]

    sample = _sample(level, segments(faint.shape))
    measured = scatter(sample) if sample.size else 0.0

    def judge(rows: slice) -> tuple[Bits, Mask]:
        flats = faint.rows(rows), bright.rows(rows)
        ratio, good = _ratio(*flats)
        ratio = ratio / around(grid, rows)
        error = np.maximum(_relative_error(flats, good), np.float32(measured))
        off = np.abs(ratio - 1)
        bad = (off > limits.nonlinear_sigmas * error) & (off > limits.nonlinear_ratio)
        bad = (bad | _odd_segments(ratio, good, measured, limits)) & good
        return bad * np.uint8(Defect.NONLINEAR.value), flats[0].mask & flats[1].mask

    return judge


def _ratio(faint: Master, bright: Master) -> tuple[Pixels, Mask]:
    """Return the ratio of two responses, 1 where one is none, and where both are good."""
    good = ~(faint.mask | bright.mask) & (faint.pixels > _LEAST) & (bright.pixels > _LEAST)
    return np.where(good, bright.pixels / np.where(good, faint.pixels, 1), np.float32(1)), good


def _sample(level: Callable[[slice], Pixels], parts: Sequence[slice]) -> Pixels:
    """Return about a million of the values that `level` gives of all parts, evenly spread."""
    counts = mapped(lambda rows: level(rows).size, parts)
    step = thinning(sum(counts))
    before = np.cumsum([0, *counts])

    def take(index: int) -> Pixels:
        return level(parts[index])[-before[index] % step :: step]

    return np.concatenate(mapped(take, range(len(parts))))


def _relative_error(flats: Iterable[Master], good: Mask) -> Pixels:
    error = np.zeros(good.shape, np.float32)
    for flat in flats:
        if flat.uncertainty is not None:
            relative = np.nan_to_num(flat.uncertainty) / np.where(good, flat.pixels, 1)
            # Not numpy.hypot: it takes as long as all the rest, to guard against overflow.
            error = np.sqrt(error * error + relative * relative)
    return error


def _odd_segments(ratio: Pixels, good: Mask, sigma: float, limits: BadPixelLimits) -> Mask:
    found = np.zeros_like(good)
    for start in range(0, ratio.shape[0], SEGMENT_PX):
        rows = slice(start, min(start + SEGMENT_PX, ratio.shape[0]))
        many = good[rows].sum(axis=0)
        middle = np.median(ratio[rows], axis=0)
        # The standard error of a median of so many.
        error = 1.2533 * sigma / np.sqrt(np.maximum(many, 1))
        off = np.abs(middle - 1)
        odd = (off > limits.nonlinear_sigmas * error) & (off > limits.nonlinear_ratio / 3)
        found[rows, odd & (many > SEGMENT_PX // 4)] = True
    return found
