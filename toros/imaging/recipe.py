"""What a light is calibrated with, as planes that the kernel takes: made once for many lights.

The planes of one set of masters serve every light that uses it, so the last ones are kept, as far
as the memory limit allows; where it does not, they are made strip by strip from the files.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from toros.common.errors import UnreadableFile
from toros.common.file_stamp import file_stamp
from toros.imaging.defects import read_bad_pixels
from toros.imaging.frames import MaskBit, Master, Pixels
from toros.imaging.headers import ExposureInfo
from toros.imaging.master_file import MasterFile, open_master
from toros.imaging.options import ReductionOptions
from toros.imaging.pool import in_threads

Bits = NDArray[np.uint8]
# Rows of a master that are made ready at a time.
_ROWS = 64


@dataclass(frozen=True)
class Base:
    """What is under the light, flat or [y, x]; see `kernels.correcting.correct`."""

    pedestal: Pixels
    offset: Pixels
    variance: Pixels
    bad: Bits


@dataclass(frozen=True)
class Response:
    """The flat, nowhere 0, with its error and its bits."""

    flat: Pixels
    error: Pixels
    bad: Bits


P = TypeVar("P", Base, Response)


@dataclass(frozen=True)
class Recipe:
    """Returns the planes of some rows."""

    base: Callable[[slice], Base]
    response: Callable[[slice], Response]


@dataclass(frozen=True, kw_only=True)
class Ingredients:
    """Which masters, and how they are used.

    Parameters
    ----------
    dark_scale : float
        Factor on the dark.
    dark_holds_bias : bool
        Whether the dark is the pedestal of the photons, where there is no bias.
    """

    bias: Path | None
    dark: Path | None
    flat: Path | None
    bad_pixels: Path | None = None
    dark_scale: float = 1.0
    dark_holds_bias: bool = False


@contextmanager
def recipe_for(
    info: ExposureInfo, used: Ingredients, options: ReductionOptions
) -> Iterator[Recipe]:
    """Make the planes for the frame `info`.

    Raises
    ------
    UnreadableFile, MixedShapes
        If a master cannot be read or has another size.
    """
    shape = info.shape or (0, 0)

    @lru_cache(maxsize=1)
    def bad_pixels() -> NDArray[np.bool_]:
        if used.bad_pixels is None:
            return np.zeros(shape, np.bool_)
        return read_bad_pixels(info, used.bad_pixels)

    def base(rows: slice) -> Base:
        bias = files.of(used.bias).rows(rows) if used.bias else None
        dark = files.of(used.dark).rows(rows) if used.dark else None
        made = _base(bias, dark, used, (rows.stop - rows.start, shape[1]))
        if used.bad_pixels is not None:
            made.bad[bad_pixels()[rows]] |= MaskBit.BAD_PIXEL.value
        return made

    def response(rows: slice) -> Response:
        if used.flat is None:
            size = (rows.stop - rows.start, shape[1])
            return Response(
                np.ones(size, np.float32), np.zeros(size, np.float32), np.zeros(size, np.uint8)
            )
        return _response(files.of(used.flat).rows(rows), options)

    stamps = [
        None if path is None else _stamp(path)
        for path in (used.bias, used.dark, used.bad_pixels, used.flat)
    ]
    under = (shape, *stamps[:3], used.dark_scale, used.dark_holds_bias)
    over = (shape, stamps[3], options.flat_floor)
    limit = options.memory_limit_bytes
    with ExitStack() as opened:
        files = _Files(info, opened)
        yield Recipe(
            _kept(("base", *under), base, shape, 13, limit),
            _kept(("response", *over), response, shape, 9, limit),
        )


class _Files:
    """The masters' files, opened where they are wanted: not when the planes are there already."""

    def __init__(self, info: ExposureInfo, opened: ExitStack) -> None:
        self._info, self._opened = info, opened
        self._files: dict[Path, MasterFile] = {}
        self._lock = threading.Lock()

    def of(self, path: Path) -> MasterFile:
        """Return the open master."""
        with self._lock:
            if path not in self._files:
                self._files[path] = self._opened.enter_context(open_master(path, self._info))
            return self._files[path]


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        return file_stamp(path)
    except OSError as error:
        raise UnreadableFile(f"{path}: cannot be opened: {error}.") from error


def _base(
    bias: Master | None, dark: Master | None, used: Ingredients, size: tuple[int, int]
) -> Base:
    nothing = np.zeros(size, np.float32)
    pedestal, variance, bad = nothing, nothing, np.zeros(size, np.bool_)
    if bias is not None:
        pedestal, bad = bias.pixels, bad | bias.mask
        variance = _squared(bias)
    offset = pedestal
    if dark is not None:
        scale = np.float32(used.dark_scale)
        offset = offset + scale * dark.pixels
        variance = variance + scale * scale * _squared(dark)
        bad = bad | dark.mask
        if bias is None and used.dark_holds_bias:
            pedestal = dark.pixels
    bits = np.where(bad, np.uint8(MaskBit.BAD_MASTER), np.uint8(0))
    return Base(pedestal, offset, variance, bits)


def _squared(master: Master) -> Pixels:
    if master.uncertainty is None:
        return np.zeros_like(master.pixels)
    # A NaN would spread to the light; where a master's error is unknown, its mask says so.
    squared: Pixels = np.nan_to_num(master.uncertainty) ** 2
    return squared


def _response(flat: Master, options: ReductionOptions) -> Response:
    dead = flat.mask | (flat.pixels < options.flat_floor)
    # Nothing is divided there: the value stays finite, and masked.
    pixels = np.where(dead, np.float32(1), flat.pixels)
    error = np.zeros_like(pixels) if flat.uncertainty is None else np.nan_to_num(flat.uncertainty)
    return Response(pixels, error, np.where(dead, np.uint8(MaskBit.BAD_FLAT), np.uint8(0)))


# What was made last, for as many bytes as the memory limit allows.
_cache: OrderedDict[tuple[Any, ...], Base | Response] = OrderedDict()
_cache_lock = threading.Lock()


def _kept(
    key: tuple[Any, ...],
    make: Callable[[slice], P],
    shape: tuple[int, int],
    bytes_per_pixel: int,
    limit: int,
) -> Callable[[slice], P]:
    """Return a function that gives the planes of rows: from memory, or made anew."""
    # Half for either kind; an estimate: where planes are the same array they are counted twice.
    if shape[0] * shape[1] * bytes_per_pixel > limit // 2:
        return make
    # One thread makes the planes, those that need the same wait for it.
    with _cache_lock:
        found = _cache.get(key)
        if found is None:
            found = _whole(make, shape)
            _cache[key] = found
        _cache.move_to_end(key)
        while len(_cache) > 1 and sum(_size(planes) for planes in _cache.values()) > limit:
            _cache.popitem(last=False)
    planes = cast("P", found)
    return lambda rows: _rows(planes, rows)


def forget() -> None:
    """Forget the planes that are kept."""
    with _cache_lock:
        _cache.clear()


def _size(planes: Base | Response) -> int:
    arrays = {id(array): array.nbytes for array in vars(planes).values()}
    return sum(arrays.values())


def _rows(planes: P, rows: slice) -> P:
    arrays = {item.name: getattr(planes, item.name)[rows] for item in fields(planes)}
    return type(planes)(**arrays)


def _whole(make: Callable[[slice], P], shape: tuple[int, int]) -> P:
    first = make(slice(0, min(1, shape[0])))
    # A plane that stands for two (no dark: what is subtracted is the pedestal) is kept once.
    names: dict[str, str] = {}
    for item in fields(first):
        same = [name for name in names if getattr(first, name) is getattr(first, item.name)]
        names[item.name] = names[same[0]] if same else item.name
    arrays = {
        name: np.empty(shape, getattr(first, name).dtype) for name in sorted(set(names.values()))
    }

    def fill(rows: slice) -> None:
        made = make(rows)
        for name, array in arrays.items():
            array[rows] = getattr(made, name)

    starts = range(0, shape[0], _ROWS)
    in_threads(fill, [slice(at, min(at + _ROWS, shape[0])) for at in starts])
    return type(first)(**{name: arrays[same] for name, same in names.items()})
