"""Frames that do not belong in a stack: by their level, their noise, their shape.

A clip deals with single values. A frame that is wrong as a whole (light leaked in, the cooler had
not settled, the lamp was off, a cloud passed) shifts every pixel by less than the clip sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from toros.imaging.frames import read_strips
from toros.imaging.headers import ExposureInfo
from toros.imaging.kernels.rules import MAD_TO_SIGMA
from toros.imaging.medians import median_of, medians_of_rows, quantile_of_sorted
from toros.imaging.options import ReductionOptions
from toros.imaging.pool import mapped, strips
from toros.imaging.sampling import only_value

Kind = Literal["bias", "dark", "flat"]

# With fewer frames nobody can say which is the odd one.
FEWEST = 4
# The frame is sampled in strips of rows, spread over its height.
_STRIPS = 8
_ROWS = 4
_BLOCKS = 8
# Where a Gaussian has its deviations.
_ONE_SIGMA = (0.15865525393145708, 0.8413447460685429)

# A frame is odd when it is this many deviations (from the MAD over the frames) off the others …
_SIGMAS = 8.0
# … and by more than matters: level and shape of a bias or dark, in units of one pixel's noise;
_LEVEL_OF_NOISE = 0.3
_SHAPE_OF_NOISE = 0.5
# shape of a flat, as a part of its level; the noise, as a ratio.
_SHAPE_OF_FLAT = 0.05
_NOISE_RATIO = 1.3


@dataclass(frozen=True)
class Measure:
    """A frame in a few numbers, from a sample of its rows.

    Parameters
    ----------
    level : float
        Median [ADU].
    noise : float
        Noise per pixel [ADU], from the differences of neighbours (their pattern included).
    shape : numpy.ndarray
        Medians of blocks [ADU].
    block_pixels : int
        Pixels in a block.
    """

    level: float
    noise: float
    shape: NDArray[np.float64]
    block_pixels: int = 1_000_000

    @property
    def shape_error(self) -> float:
        """The standard error of the median of a block [ADU]."""
        return float(np.sqrt(np.pi / 2)) * self.noise / float(np.sqrt(self.block_pixels))


def measure(info: ExposureInfo, options: ReductionOptions) -> Measure:
    """Measure a frame on strips of its rows.

    Raises
    ------
    UnreadableFile
        If the file cannot be read.
    """
    height, _ = info.shape or (0, 0)
    return measure_strips(read_strips(info.path, info, strips_of(height), options))


def dead_frames(infos: Sequence[ExposureInfo], options: ReductionOptions) -> dict[int, str]:
    """Return the index of each frame whose pixels all have one value, and what to say of it.

    None where all are so: a camera may cut off whatever is below its bias. Among many frames a
    dead one is odd by its noise.
    """

    def value_of(info: ExposureInfo) -> float | None:
        parts = strips(*(info.shape or (0, 0)))
        return only_value(
            read_strips(info.path, info, [rows], options, lost=np.nan)[0] for rows in parts
        )

    found = {
        index: value for index, value in enumerate(mapped(value_of, infos)) if value is not None
    }
    if len(found) == len(infos):
        return {}
    return {
        index: f"All its pixels have the value {value:g}: look at the cable and the read-out."
        for index, value in found.items()
    }


def strips_of(height: int) -> list[slice]:
    """Return the strips of rows that a frame of this height is measured on."""
    count = min(_STRIPS, max(1, height // _ROWS))
    starts = np.linspace(0, max(0, height - _ROWS), count)
    rows = min(_ROWS, height)
    return [slice(start, start + rows) for start in sorted({int(value) for value in starts})]


def measure_strips(strips: Sequence[NDArray[np.float32]]) -> Measure:
    """Measure a frame by strips [row, x] of it, all of one size."""
    sample = np.stack(strips)
    width = sample.shape[2]
    count = min(_BLOCKS, max(1, width))
    # The first blocks are a pixel wider where the width is no multiple of their number.
    edge = width % count * (width // count + 1)
    parts = [
        _block_medians(half, size)
        for half, size in (
            (sample[:, :, :edge], width // count + 1),
            (sample[:, :, edge:], width // count),
        )
        if half.size
    ]
    shape = np.concatenate(parts, axis=1).astype(np.float64)
    # From the pixel below where there is none beside it.
    differences = np.sort(np.diff(sample, axis=2 if width > 1 else 1), axis=None)
    # Quantiles, not the MAD: the differences of whole numbers are whole numbers.
    low, high = (quantile_of_sorted(differences, part) for part in _ONE_SIGMA)
    return Measure(
        level=median_of(sample),
        noise=(high - low) / 2 / float(np.sqrt(2)),
        shape=shape,
        block_pixels=sample.shape[1] * (width // count),
    )


def _block_medians(sample: NDArray[np.float32], size: int) -> NDArray[np.floating]:
    """Return the medians of blocks of so many columns of each strip [strip, block]."""
    strips, rows, width = sample.shape
    blocks = sample.reshape(strips, rows, -1, size).transpose(0, 2, 1, 3)
    return medians_of_rows(blocks.reshape(-1, rows * size)).reshape(strips, width // size)


def odd_frames(measures: Sequence[Measure], kind: Kind) -> dict[int, str]:
    """Return the index of each frame that does not belong, and why.

    Parameters
    ----------
    measures : sequence of Measure
        Of all frames; none is odd among fewer than four.
    kind : str
        Flats may differ in level and are compared after division by it.
    """
    if len(measures) < FEWEST:
        return {}
    odd: dict[int, str] = {}
    for judge in (_by_level, _by_noise, _by_shape):
        for index, why in judge(measures, kind).items():
            odd.setdefault(index, why)
    # When most are odd, there is no common frame to be odd against: nobody is left out.
    return odd if len(odd) <= len(measures) // 2 else {}


def _by_level(measures: Sequence[Measure], kind: Kind) -> dict[int, str]:
    if kind == "flat":
        return {}
    levels = np.array([one.level for one in measures])
    noise = float(np.median([one.noise for one in measures]))
    middle, sigma = _middle(levels)
    limit = max(_SIGMAS * sigma, _LEVEL_OF_NOISE * noise, 1.0)
    return {
        int(index): (
            f"Its level of {levels[index]:.1f} ADU is {levels[index] - middle:+.1f} ADU "
            f"off the others (limit {limit:.1f})."
        )
        for index in np.flatnonzero(np.abs(levels - middle) > limit)
    }


def _by_noise(measures: Sequence[Measure], kind: Kind) -> dict[int, str]:
    noises = np.array([one.noise for one in measures])
    scales = [np.ones(len(measures))]
    if kind == "flat":
        # Photon noise goes with the root of the level, the response of the pixels with the level
        # itself: what they give together lies between.
        levels = np.array([max(one.level, 1.0) for one in measures])
        scales = [np.sqrt(levels), levels]
    sides = [_noisy_and_quiet(noises / scale) for scale in scales]
    ratios = np.array([ratio for ratio, _, _ in sides])
    noisy = np.all([side for _, side, _ in sides], axis=0)
    quiet = np.all([side for _, _, side in sides], axis=0)
    # Of both ratios the one that says less against the frame.
    told = np.where(noisy, ratios.min(axis=0), ratios.max(axis=0))
    return {
        int(index): f"Its noise is {told[index]:.2f} times that of the others."
        for index in np.flatnonzero(noisy | quiet)
    }


def _noisy_and_quiet(
    noises: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return each frame's noise as a ratio to that of all, and which are too noisy or too quiet."""
    middle, sigma = _middle(noises)
    if middle <= 0:
        none = np.zeros(len(noises), dtype=bool)
        return np.ones(len(noises)), none, none
    far = np.abs(noises - middle) > _SIGMAS * sigma
    ratios = noises / middle
    return ratios, far & (ratios > _NOISE_RATIO), far & (ratios * _NOISE_RATIO < 1)


def _by_shape(measures: Sequence[Measure], kind: Kind) -> dict[int, str]:
    errors = np.array([one.shape_error for one in measures])
    if kind == "flat":
        levels = np.array([max(one.level, 1.0) for one in measures])
        shapes = np.stack([one.shape / at for one, at in zip(measures, levels, strict=True)])
        limit, unit, scale, errors = _SHAPE_OF_FLAT, "%", 100.0, errors / levels
    else:
        shapes = np.stack([one.shape - one.level for one in measures])
        noise = float(np.median([one.noise for one in measures]))
        limit, unit, scale = max(_SHAPE_OF_NOISE * noise, 1.0), " ADU", 1.0
    off = np.abs(shapes - np.median(shapes, axis=0)).reshape(len(measures), -1).max(axis=1)
    middle, sigma = _middle(off)
    # The last: the largest of many blocks, by chance alone.
    limit = max(limit, middle + _SIGMAS * sigma, _SIGMAS * float(np.median(errors)))
    return {
        int(index): (
            f"Its shape is up to {off[index] * scale:.1f}{unit} off that of the others "
            f"(limit {limit * scale:.1f})."
        )
        for index in np.flatnonzero(off > limit)
    }


def _middle(values: NDArray[np.float64]) -> tuple[float, float]:
    middle = float(np.median(values))
    return middle, MAD_TO_SIGMA * float(np.median(np.abs(values - middle)))
