"""Reading frames by rows and stacking them, within a bound on memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toros.common.errors import AlreadyCalibrated, MixedShapes, NoFilesFound
from toros.imaging.combine import Method, method_for, rule_for
from toros.imaging.frames import Master, Pixels
from toros.imaging.headers import ExposureInfo, read_exposure, require_counts
from toros.imaging.kernels.flats import mask_blocks, prepare
from toros.imaging.kernels.sorting import network
from toros.imaging.kernels.stacking import stack_counts, stack_floats
from toros.imaging.linearity import linearise
from toros.imaging.master_file import MasterFile
from toros.imaging.options import ReductionOptions
from toros.imaging.planes import Combined, empty
from toros.imaging.pool import cores, mapped, strips
from toros.imaging.sampling import sample_rows
from toros.imaging.sources import MASKED, PlainSource, Source, open_sources

# Bytes of one frame in a strip: read in one piece. Those of some frames stay in the cache; with
# fewer at a time threads would wait for each other's turn with the interpreter.
_STRIP_BYTES = 256 * 1024
# The disk is so many times the rows that are asked for ahead of them.
_AHEAD = 4


@dataclass(frozen=True)
class Preparation:
    """What is done to frames before they are combined: ``(linear(frame - bias) - dark) / level``.

    Parameters
    ----------
    bias, dark : MasterFile, optional
        Subtracted; pixels that are bad in one are used of no frame.
    dark_scales, levels : sequence of float
        By frame: the factor on the dark, and the divisor.
    linearity : sequence of float
        Coefficients of `toros.imaging.linearity`, applied above the bias, or above nothing where
        the frames have lost theirs with the overscan.
    stars : sequence of numpy.ndarray, optional
        By frame: the blocks of `toros.imaging.flat_stars` that are not used.
    """

    bias: MasterFile | None
    dark: MasterFile | None
    dark_scales: Sequence[float]
    levels: Sequence[float]
    linearity: Sequence[float] = ()
    stars: Sequence[NDArray[np.bool_]] | None = None

    def at(self, rows: slice, width: int) -> PreparedRows:
        """Read what is needed for some rows."""
        shape = (rows.stop - rows.start, width)
        masters = [
            Master(np.zeros(shape, np.float32), None, np.zeros(shape, np.bool_))
            if file is None
            else file.rows(rows, with_error=False)
            for file in (self.bias, self.dark)
        ]
        bad = masters[0].mask | masters[1].mask
        return PreparedRows(self, rows, masters[0].pixels, masters[1].pixels, bad)


@dataclass(frozen=True)
class PreparedRows:
    """A `Preparation` for some rows; a master that there is not is 0."""

    preparation: Preparation
    rows: slice
    bias: Pixels
    dark: Pixels
    bad: NDArray[np.bool_]

    def apply(self, index: int, pixels: Pixels) -> None:
        """Make the rows `pixels` [y, x] of frame `index` ready, in place; masked ones are ∞."""
        todo, bias = self.preparation, self.bias
        if todo.linearity:
            nothing = np.zeros_like(pixels)
            self._subtract(pixels, bias, nothing, 0.0, 1.0)
            with np.errstate(invalid="ignore"):
                counts = linearise(pixels, todo.linearity)
            pixels[:] = np.where(pixels == MASKED, MASKED, counts)
            bias = nothing
        self._subtract(pixels, bias, self.dark, todo.dark_scales[index], todo.levels[index])
        if todo.stars is not None:
            mask_blocks(pixels, todo.stars[index], self.rows.start, MASKED)

    def _subtract(
        self, pixels: Pixels, bias: Pixels, dark: Pixels, scale: float, level: float
    ) -> None:
        prepare(
            pixels.reshape(-1),
            bias.reshape(-1),
            dark.reshape(-1),
            self.bad.reshape(-1),
            np.float32(scale),
            np.float32(level),
            MASKED,
        )


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
    UnusableFrame
        If the pixels of one are no counts of a camera.
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
        require_counts(info)
    return infos


@contextmanager
def open_stack(
    infos: Sequence[ExposureInfo],
    options: ReductionOptions,
    preparation: Preparation | None = None,
) -> Iterator[Stack]:
    """Open frames that are to be combined.

    Parameters
    ----------
    infos : sequence of ExposureInfo
        The frames, all of one shape.
    preparation : Preparation, optional
        What is done to them before.

    Raises
    ------
    UnreadableFile, UnusableFrame
        If a frame cannot be read.
    """
    shape = infos[0].shape
    if shape is None:
        raise MixedShapes(f"{infos[0].path}: the size of the frame is unknown.")
    with open_alike(infos, shape, options) as sources:
        yield Stack(sources, shape, method_for(len(infos), options), options, preparation)


@contextmanager
def open_alike(
    infos: Sequence[ExposureInfo], shape: tuple[int, int], options: ReductionOptions
) -> Iterator[list[Source]]:
    """Open frames that are all of one shape; see `open_sources`.

    Raises
    ------
    MixedShapes
        If one is not.
    """
    with open_sources(infos, options) as sources:
        for source in sources:
            if source.image.shape != shape:
                raise MixedShapes(f"{source.image.path}: its header tells another size.")
        yield sources


def rows_per_strip(frame_count: int, width: int, options: ReductionOptions) -> int:
    """Return how many rows are read at a time of each of `frame_count` frames."""
    # As float32, for every thread, with what the decoding takes.
    affordable = options.memory_limit_bytes // (cores() * frame_count * width * 8)
    return max(1, min(_STRIP_BYTES // (2 * width), affordable))


class Stack:
    """Frames that are combined by rows, as these are asked for.

    So neither the frames nor their stack need be in memory as a whole. The memory that some rows
    take beside the result grows with the number of frames only as long as it is below
    `ReductionOptions.memory_limit_bytes`.

    Parameters
    ----------
    sources : sequence of Source
        The open frames.
    shape : tuple of int
        (height, width) of each.
    method : str
        How they are combined.
    preparation : Preparation, optional
        What is done to them before.

    Attributes
    ----------
    most : int
        Of how many frames its best pixels come.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        shape: tuple[int, int],
        method: Method,
        options: ReductionOptions,
        preparation: Preparation | None,
    ) -> None:
        self.shape = shape
        self.method = method
        self._sources = sources
        self._code = rule_for(method, options).code()
        self._preparation = preparation
        self._step = rows_per_strip(len(sources), shape[1], options)
        self.most = self._most()

    def rows(self, at: slice) -> Combined:
        """Combine some rows; called from several threads."""
        part = empty((at.stop - at.start, self.shape[1]))
        self.fill(at, part)
        return part

    def fill(self, at: slice, part: Combined) -> None:
        """Combine some rows into `part`; called from several threads."""
        self._read_ahead(at)
        for start in range(at.start, at.stop, self._step):
            rows = slice(start, min(start + self._step, at.stop))
            self._combine(rows, part.rows(slice(rows.start - at.start, rows.stop - at.start)))

    def _most(self) -> int:
        """Return the largest count of all pixels: some rows tell it, or all do."""
        found = 0
        for parts in (sample_rows(self.shape), strips(*self.shape)):
            found = max(mapped(lambda at: int(self.rows(at).count.max()), parts), default=0)
            if found == len(self._sources):
                break
        return found

    def _combine(self, rows: slice, part: Combined) -> None:
        value, error = part.pixels.reshape(-1), part.uncertainty.reshape(-1)
        count, pairs = part.count.reshape(-1), network(len(self._sources))
        as_counts = self._as_counts
        if as_counts:
            counts = np.empty((len(as_counts), value.size), np.uint16)
            for source, row in zip(as_counts, counts, strict=True):
                source.read_counts(rows, row)
            saturation = as_counts[0].saturation
            stack_counts(counts, pairs, saturation, self._code, value, error, count)
        else:
            pixels = self._prepared(rows, part.pixels.shape)
            stack_floats(pixels, pairs, self._code, value, error, count)

    def _prepared(self, rows: slice, shape: tuple[int, ...]) -> Pixels:
        pixels = np.empty((len(self._sources), shape[0] * shape[1]), np.float32)
        todo = self._preparation
        prepared = None if todo is None else todo.at(rows, shape[1])
        for index, (source, line) in enumerate(zip(self._sources, pixels, strict=True)):
            source.read_floats(rows, line)
            if prepared is not None:
                prepared.apply(index, line.reshape(shape))
        return pixels

    @cached_property
    def _as_counts(self) -> list[PlainSource]:
        """The frames, if they can be combined as they stand in their files, else none."""
        if self._preparation is not None:
            return []
        sources = self._sources
        plain = [one for one in sources if isinstance(one, PlainSource) and one.image.is_counts]
        alike = len({one.saturation for one in plain}) == 1
        return plain if alike and len(plain) == len(sources) else []

    def _read_ahead(self, at: slice) -> None:
        height, size = self.shape[0], at.stop - at.start
        start = min(at.start + _AHEAD * size, height)
        coming = slice(start, min(start + size, height))
        if coming.stop > coming.start:
            for source in self._sources:
                source.image.will_need(source.descriptor, coming)
