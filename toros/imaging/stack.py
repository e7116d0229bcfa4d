"""Reading frames by rows and stacking them, within a bound on memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toros.common.errors import AlreadyCalibrated, MixedShapes, NoFilesFound
from toros.imaging.combine import Method, method_for, rule_for
from toros.imaging.frames import Master, Pixels
from toros.imaging.headers import ExposureInfo, read_exposure
from toros.imaging.kernels.flats import mask_blocks, prepare
from toros.imaging.kernels.rules import Rule
from toros.imaging.kernels.sorting import network
from toros.imaging.kernels.stacking import stack_counts, stack_floats
from toros.imaging.linearity import linearise
from toros.imaging.master_file import MasterFile
from toros.imaging.options import ReductionOptions
from toros.imaging.planes import Combined, Planes
from toros.imaging.pool import cores, in_threads
from toros.imaging.sources import MASKED, Source, open_sources

# Bytes of one frame in a strip: read in one piece, and all frames' together stay in the cache.
_STRIP_BYTES = 64 * 1024
# Strips that the disk may be ahead of the kernels.
_AHEAD = 16


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
        Coefficients of `toros.imaging.linearity`, applied above the bias.
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
        if todo.linearity and todo.bias is not None:
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


@dataclass(frozen=True)
class Stack:
    """A stack of whole frames, how it was made, and of how many frames its best pixels come."""

    planes: Planes
    method: Method
    most: int

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.planes.shape

    @property
    def combined(self) -> Combined:
        """The whole stack; not for large frames."""
        return self.planes.rows(slice(0, self.planes.shape[0]))


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
    infos: Sequence[ExposureInfo],
    options: ReductionOptions,
    preparation: Preparation | None = None,
) -> Stack:
    """Combine frames, strip by strip, in all cores.

    The memory that it takes beside the result does not grow with the frames' height, and with
    their number only as long as it is below `ReductionOptions.memory_limit_bytes`.

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
    method = method_for(len(infos), options)
    planes = Planes(shape, options.memory_limit_bytes // 2)
    with open_alike(infos, shape, options) as sources:
        step = rows_per_strip(len(infos), shape[1], options)
        work = _Work(sources, rule_for(method, options), preparation, planes, step, [])
        starts = range(0, shape[0], step)
        in_threads(work.combine, [slice(at, min(at + step, shape[0])) for at in starts])
    return Stack(planes, method, max(work.counts, default=0))


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


@dataclass(frozen=True)
class _Work:
    """The combination of one strip."""

    sources: Sequence[Source]
    rule: Rule
    preparation: Preparation | None
    planes: Planes
    step: int
    counts: list[int]

    def combine(self, rows: slice) -> None:
        """Read `rows` of every frame and combine them into the result."""
        if rows.start // self.step % _AHEAD == 0:
            self._read_ahead(rows)
        part = self.planes.to_fill(rows)
        value, error = part.pixels.reshape(-1), part.uncertainty.reshape(-1)
        count, code = part.count.reshape(-1), self.rule.code()
        pairs = network(len(self.sources))
        if self._all_counts:
            counts = np.empty((len(self.sources), value.size), np.uint16)
            for source, row in zip(self.sources, counts, strict=True):
                source.read_counts(rows, row)
            stack_counts(counts, pairs, self.sources[0].saturation, code, value, error, count)
        else:
            pixels = self._prepared(rows, part.pixels.shape)
            stack_floats(pixels, pairs, code, value, error, count)
        self.counts.append(int(count.max()))
        self.planes.store(rows, part)

    def _prepared(self, rows: slice, shape: tuple[int, ...]) -> Pixels:
        pixels = np.empty((len(self.sources), shape[0] * shape[1]), np.float32)
        prepared = None if self.preparation is None else self.preparation.at(rows, shape[1])
        for index, (source, line) in enumerate(zip(self.sources, pixels, strict=True)):
            source.read_floats(rows, line)
            if prepared is not None:
                prepared.apply(index, line.reshape(shape))
        return pixels

    @property
    def _all_counts(self) -> bool:
        """Whether the frames can be combined as they stand in their files."""
        return (
            self.preparation is None
            and all(source.image.is_counts for source in self.sources)
            and len({source.saturation for source in self.sources}) == 1
        )

    def _read_ahead(self, rows: slice) -> None:
        height, size = self.planes.shape[0], _AHEAD * self.step
        coming = slice(min(rows.start + size, height), min(rows.start + 2 * size, height))
        if coming.stop > coming.start:
            for source in self.sources:
                source.will_need(coming)
