"""How the frames of a master are combined: the method, the result, and a cube in memory."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from toros.imaging.frames import Pixels
from toros.imaging.kernels.rules import Rule
from toros.imaging.kernels.sorting import network
from toros.imaging.kernels.stacking import stack_floats, stack_weighted
from toros.imaging.options import ReductionOptions
from toros.imaging.planes import Combined

__all__ = ["Combined", "Method", "combine_by", "combine_cube", "method_for", "rule_for"]

Method = Literal["sigma_clip", "median", "mean"]


def method_for(frame_count: int, options: ReductionOptions) -> Method:
    """Return how `frame_count` frames are combined."""
    if options.combine != "sigma_clip" or frame_count >= options.min_frames_to_clip:
        return options.combine
    return "median" if frame_count >= 3 else "mean"


def rule_for(method: Method, options: ReductionOptions) -> Rule:
    """Return the rule of a method: ccdproc's, with one clip about the median by the MAD."""
    if method == "sigma_clip":
        return Rule(clip="sigma", low=options.sigma_low, high=options.sigma_high)
    return Rule(average=method)


def combine_cube(
    cube: Pixels, masked: NDArray[np.bool_], method: Method, options: ReductionOptions
) -> Combined:
    """Combine a cube [frame, y, x] along its first axis.

    Parameters
    ----------
    cube : numpy.ndarray
        float32.
    masked : numpy.ndarray
        True where a value must not be used; same shape. Values that are not finite are not used
        either.
    """
    return combine_by(cube, masked, rule_for(method, options))


def combine_by(
    cube: Pixels, masked: NDArray[np.bool_], rule: Rule, *, standard_error: bool = True
) -> Combined:
    """Combine a cube [frame, y, x] by any rule; see `combine_cube`.

    Parameters
    ----------
    standard_error : bool
        Whether `Combined.uncertainty` is the standard error of the average, or the standard
        deviation of the values that are kept.
    """
    frames, height, width = cube.shape
    usable = ~masked & np.isfinite(cube)
    pixels = np.where(usable, cube, np.float32(np.inf)).astype(np.float32, copy=False)
    flat = pixels.reshape(frames, height * width)
    value, error = np.empty(height * width, np.float32), np.empty(height * width, np.float32)
    count = np.empty(height * width, np.uint16)
    code, pairs = rule.code(standard_error=standard_error), network(frames)
    if rule.weights:
        weights = np.array(rule.weights, np.float64)
        stack_weighted(flat, pairs, weights, code, value, error, count)
    else:
        stack_floats(flat, pairs, code, value, error, count)
    shape = (height, width)
    return Combined(value.reshape(shape), error.reshape(shape), count.reshape(shape))
