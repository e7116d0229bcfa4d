"""Which flats are combined, at what level each, and where stars are in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toros.common.errors import UnusableFrame
from toros.imaging.flat_pedestal import Pedestal
from toros.imaging.flat_stars import BLOCK_PX, Blocks, in_blocks, star_blocks
from toros.imaging.frames import Pixels
from toros.imaging.headers import ExposureInfo
from toros.imaging.options import ReductionOptions
from toros.imaging.outliers import Measure, measure_strips, odd_frames, strips_of
from toros.imaging.pool import in_threads
from toros.imaging.sampling import sample_rows
from toros.imaging.sources import Source, open_sources
from toros.imaging.stack import Preparation

# A flat with more of its pixels saturated is over-exposed, not merely hot here and there.
_MOST_SATURATED = 0.5
# Rows of blocks that are made in one go.
_BLOCKS = 8


@dataclass(frozen=True)
class Levels:
    """The flats to combine, their levels [ADU], their stars, and the others with the reason."""

    flats: list[ExposureInfo]
    levels: list[float]
    stars: list[NDArray[np.bool_]]
    left_out: tuple[tuple[Path, str], ...]


@dataclass(frozen=True)
class _Seen:
    info: ExposureInfo
    level: float
    measure: Measure
    blocks: Blocks


@dataclass(frozen=True)
class _Flat:
    """One open flat; what is masked is ∞."""

    source: Source
    preparation: Preparation
    shape: tuple[int, int]

    def raw(self, rows: slice) -> Pixels:
        pixels = np.empty((rows.stop - rows.start, self.shape[1]), np.float32)
        self.source.read_floats(rows, pixels.reshape(-1))
        return pixels

    def rows(self, rows: slice) -> Pixels:
        pixels = self.raw(rows)
        self.preparation.at(rows).apply(0, pixels)
        return pixels


def measure_levels(
    infos: Sequence[ExposureInfo], pedestal: Pedestal, options: ReductionOptions
) -> Levels:
    """Measure flats above their pedestal.

    Raises
    ------
    UnreadableFile
        If one cannot be read.
    UnusableFrame
        If none is well exposed.
    """
    seen: list[_Seen] = []
    left_out: list[tuple[Path, str]] = []
    for info in infos:
        with open_sources([info], options) as (source,):
            shape = source.image.shape
            flat = _Flat(source, pedestal.preparation([info], [1.0]), shape)
            found = _measure(info, flat)
        if isinstance(found, str):
            left_out.append((info.path, found))
        else:
            seen.append(found)
    odd = odd_frames([one.measure for one in seen], "flat") if options.leave_out_odd_frames else {}
    left_out += [(seen[index].info.path, why) for index, why in sorted(odd.items())]
    good = [one for index, one in enumerate(seen) if index not in odd]
    if not good:
        reasons = "; ".join(f"{path.name}: {reason}" for path, reason in left_out)
        raise UnusableFrame(f"No flat frame is well exposed ({reasons})")
    stars = star_blocks([one.blocks for one in good])
    return Levels([one.info for one in good], [one.level for one in good], stars, tuple(left_out))


def _measure(info: ExposureInfo, flat: _Flat) -> _Seen | str:
    """Return what is seen of a flat, or why it is left out."""
    wanted = sample_rows(flat.shape)
    lost = [np.isinf(flat.raw(rows)) for rows in wanted]
    if np.mean(np.concatenate(lost)) > _MOST_SATURATED:
        return "Most of its pixels are saturated."
    sample = np.concatenate([flat.rows(rows) for rows in wanted])
    usable = sample[np.isfinite(sample)]
    level = float(np.median(usable)) if usable.size else 0.0
    if level <= 0:
        return "There is no light in it above the pedestal."
    strips = [_filled(flat.rows(rows), level) for rows in strips_of(flat.shape[0])]
    return _Seen(info, level, measure_strips(strips), _blocks(flat, level))


def _filled(pixels: Pixels, level: float) -> Pixels:
    return np.where(np.isfinite(pixels), pixels, np.float32(level))


def _blocks(flat: _Flat, level: float) -> Blocks:
    height, width = flat.shape
    made: Blocks = np.empty((height // BLOCK_PX, width // BLOCK_PX), np.float32)
    step = _BLOCKS * BLOCK_PX

    def make(start: int) -> None:
        rows = slice(start, min(start + step, height // BLOCK_PX * BLOCK_PX))
        pixels = _filled(flat.rows(rows), level) / np.float32(level)
        made[rows.start // BLOCK_PX : rows.stop // BLOCK_PX] = in_blocks(pixels)

    in_threads(make, range(0, height // BLOCK_PX * BLOCK_PX, step))
    return made
