"""Reading frames by rows and stacking them, within a bound on memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toros.common.errors import AlreadyCalibrated, MixedShapes, NoFilesFound
from toros.imaging.combine import Combined, Method, combine_cube, method_for, rows_per_tile
from toros.imaging.frames import Frame, read_frame
from toros.imaging.headers import ExposureInfo, read_exposure
from toros.imaging.options import ReductionOptions

# Makes the rows of one frame ready for the stack: subtracts, divides; in place or not.
Prepare = Callable[[int, Frame, slice], Frame]


@dataclass(frozen=True)
class Stack:
    """A stack of whole frames, and how it was made."""

    combined: Combined
    method: Method


def read_inputs(paths: Sequence[Path], kind: str) -> list[ExposureInfo]:
    """Read the headers of the frames of one master.

    Raises
    ------
    NoFilesFound, UnreadableFile
        If there are none, or one cannot be read.
    MixedShapes
        If they differ in size.
    AlreadyCalibrated
        If one is no raw frame: masters are never stacked into masters.
    """
    if not paths:
        raise NoFilesFound(f"There is no {kind} frame to combine.")
    infos = [read_exposure(path) for path in paths]
    shapes = sorted({info.shape for info in infos if info.shape is not None})
    if len(shapes) > 1:
        sizes = ", ".join(f"{width}×{height}" for height, width in shapes)
        raise MixedShapes(f"The {kind} frames have several sizes: {sizes}.")
    for info in infos:
        if info.processed is not None:
            raise AlreadyCalibrated(f"{info.path}: {info.processed}")
    return infos


def stack(
    infos: Sequence[ExposureInfo], options: ReductionOptions, prepare: Prepare | None = None
) -> Stack:
    """Combine frames, so many rows at a time as the memory limit allows.

    Parameters
    ----------
    infos : sequence of ExposureInfo
        The frames, all of one shape.
    prepare : callable, optional
        ``prepare(index, frame, rows)`` makes the rows of frame `index` ready.
    """
    shape = infos[0].shape
    if shape is None:
        raise MixedShapes(f"{infos[0].path}: the size of the frame is unknown.")
    height, width = shape
    method = method_for(len(infos), options)
    whole = Combined(
        np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.int32)
    )
    step = rows_per_tile(len(infos), width, options)
    for start in range(0, height, step):
        rows = slice(start, min(start + step, height))
        tile = _combine_rows(infos, rows, width, method, options, prepare)
        whole.pixels[rows], whole.uncertainty[rows] = tile.pixels, tile.uncertainty
        whole.count[rows] = tile.count
    return Stack(whole, method)


def _combine_rows(
    infos: Sequence[ExposureInfo],
    rows: slice,
    width: int,
    method: Method,
    options: ReductionOptions,
    prepare: Prepare | None,
) -> Combined:
    cube = np.empty((len(infos), rows.stop - rows.start, width), dtype=np.float32)
    masked: NDArray[np.bool_] = np.empty(cube.shape, dtype=np.bool_)
    for index, info in enumerate(infos):
        frame = read_frame(info.path, info, rows)
        if prepare is not None:
            frame = prepare(index, frame, rows)
        cube[index] = frame.pixels
        masked[index] = frame.mask != 0
    return combine_cube(cube, masked, method, options)
