"""The stack of N frames into one: the only place that asks ccdproc to combine.

Everything else hands a cube of rows to `combine_cube` and takes a `Combined` back, so that a
faster kernel can take its place.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal

import numpy as np
from astropy import units as u
from astropy.nddata import CCDData
from ccdproc import Combiner
from numpy.typing import NDArray

from toros.imaging.fits_io import quiet
from toros.imaging.frames import Pixels
from toros.imaging.options import ReductionOptions

Method = Literal["sigma_clip", "median", "mean"]

# Bytes that a float32 pixel of the cube takes at the peak in ccdproc: the frame, the Combiner's
# copy with its mask, the deviations and their sorted copy (measured: 20 to 22).
_BYTES_PER_PIXEL = 24
# The standard error of the median of a Gaussian sample, in units of that of its mean: √(π/2).
_MEDIAN_ERROR = float(np.sqrt(np.pi / 2))


@dataclass(frozen=True)
class Combined:
    """The stack [y, x], its standard error, and how many frames each pixel comes from.

    Where no frame has a value, the value and the error are NaN and the count is 0.
    """

    pixels: Pixels
    uncertainty: Pixels
    count: NDArray[np.int32]


def method_for(frame_count: int, options: ReductionOptions) -> Method:
    """Return how `frame_count` frames are combined."""
    if options.combine != "sigma_clip" or frame_count >= options.min_frames_to_clip:
        return options.combine
    return "median" if frame_count >= 3 else "mean"


def rows_per_tile(frame_count: int, width: int, options: ReductionOptions) -> int:
    """Return how many rows of `frame_count` frames may be in memory at a time."""
    row = frame_count * width * _BYTES_PER_PIXEL
    return max(1, options.memory_limit_bytes // row)


def combine_cube(
    cube: Pixels, masked: NDArray[np.bool_], method: Method, options: ReductionOptions
) -> Combined:
    """Combine a cube [frame, y, x] along its first axis with ccdproc.

    Parameters
    ----------
    cube : numpy.ndarray
        float32.
    masked : numpy.ndarray
        True where a value must not be used; same shape.
    """
    some = bool(masked.any())
    if some:
        # Combiner.sigma_clipping looks at the values under its mask; it leaves NaN out.
        cube = np.where(masked, np.float32(np.nan), cube)
    frames = [
        CCDData(plane, unit=u.adu, mask=hole) for plane, hole in zip(cube, masked, strict=True)
    ]
    # astropy warns of NaN in the input and of pixels with no value: both are meant here. (To be
    # quiet takes a lock of the whole process: not where there is nothing to warn of.)
    with quiet() if some else nullcontext():
        combiner = Combiner(frames, dtype=np.float32)
        if method == "sigma_clip":
            combiner.sigma_clipping(
                low_thresh=options.sigma_low,
                high_thresh=options.sigma_high,
                # Names, not functions: functions take ccdproc's slow path.
                func="median",
                dev_func="mad_std",
            )
        count = (~combiner.data_arr.mask).sum(axis=0).astype(np.int32)
        average = combiner.median_combine if method == "median" else combiner.average_combine
        combined = average()
    pixels = np.array(combined.data, dtype=np.float32)
    uncertainty = _standard_error(combiner, count, method)
    pixels[count == 0] = np.nan
    return Combined(pixels, uncertainty, count)


def _standard_error(combiner: Combiner, count: NDArray[np.int32], method: Method) -> Pixels:
    # ccdproc divides by N where a sample's deviation wants N - 1; of one frame nothing is known.
    kept = ~combiner.data_arr.mask
    values = np.where(kept, combiner.data_arr.data, np.float32(0))
    mean = values.sum(axis=0) / np.maximum(count, 1)
    squares = np.where(kept, values - mean, 0) ** 2
    variance = squares.sum(axis=0) / (np.maximum(count - 1, 1) * np.maximum(count, 1))
    error = np.sqrt(variance)
    if method == "median":
        error *= _MEDIAN_ERROR
    error[count < 2] = np.nan
    return np.asarray(error, dtype=np.float32)
