"""Which flats are combined, at what level each, and where stars are in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toros.common.errors import UnusableFrame
from toros.imaging.flat_pedestal import Pedestal
from toros.imaging.flat_stars import Blocks, star_blocks
from toros.imaging.frames import Pixels
from toros.imaging.headers import ExposureInfo
from toros.imaging.kernels.flats import BLOCK_PX, mean_blocks
from toros.imaging.medians import median_of
from toros.imaging.options import ReductionOptions
from toros.imaging.outliers import Measure, measure_strips, odd_frames, strips_of
from toros.imaging.pool import in_threads, mapped, strips
from toros.imaging.sampling import sample_rows
from toros.imaging.sources import Source
from toros.imaging.stack import Preparation, open_alike

# A flat with more of its pixels saturated is over-exposed, not merely hot here and there.
_MOST_SATURATED = 0.5
# Where flats have lost more than this in different parts, their medians are not of the same pixels.
_LOST_ALIKE = 0.005


@dataclass(frozen=True)
class Levels:
    """The flats to combine, their levels [ADU], their stars, and the others with the reason."""

    flats: list[ExposureInfo]
    levels: list[float]
    stars: list[NDArray[np.bool_]]
    left_out: tuple[tuple[Path, str], ...]


@dataclass(frozen=True)
class _Flat:
    """One open flat above its pedestal [ADU]; what is masked is ∞."""

    info: ExposureInfo
    source: Source
    preparation: Preparation

    def rows(self, rows: slice) -> tuple[Pixels, float]:
        """Return some rows, and which part of them is masked in the raw frame."""
        width = self.source.image.shape[1]
        pixels = np.empty((rows.stop - rows.start, width), np.float32)
        self.source.read_floats(rows, pixels.reshape(-1))
        lost = float(np.mean(np.isinf(pixels)))
        self.preparation.at(rows, width).apply(0, pixels)
        return pixels, lost

    def sample(self) -> tuple[Pixels, float]:
        """Return pixels of the whole frame, and which part of them is masked in the raw frame."""
        parts = [self.rows(rows) for rows in sample_rows(self.source.image.shape)]
        weights = [len(part) for part, _ in parts]
        lost = np.average([lost for _, lost in parts], weights=weights)
        return np.concatenate([part for part, _ in parts]), float(lost)


@dataclass(frozen=True)
class _Seen:
    flat: _Flat
    level: float
    lost: float


def measure_levels(
    infos: Sequence[ExposureInfo], pedestal: Pedestal, options: ReductionOptions
) -> Levels:
    """Measure flats above their pedestal.

    Raises
    ------
    UnreadableFile
        If one cannot be read.
    MixedShapes
        If they differ in size.
    UnusableFrame
        If none is well exposed.
    """
    with open_alike(infos, infos[0].shape or (0, 0), options) as sources:
        flats = [
            _Flat(info, source, pedestal.preparation([info], [1.0]))
            for info, source in zip(infos, sources, strict=True)
        ]
        found = mapped(_measure, flats)
        left_out = [
            (flat.info.path, why)
            for flat, why in zip(flats, found, strict=True)
            if isinstance(why, str)
        ]
        seen = _comparable([one for one in found if isinstance(one, _Seen)])
        odd: dict[int, str] = {}
        if options.leave_out_odd_frames:
            odd = odd_frames(mapped(_shape, seen), "flat")
        left_out += [(seen[index].flat.info.path, why) for index, why in sorted(odd.items())]
        good = [one for index, one in enumerate(seen) if index not in odd]
        if not good:
            reasons = "; ".join(f"{path.name}: {reason}" for path, reason in left_out)
            raise UnusableFrame(f"No flat frame is well exposed ({reasons})")
        kept, levels = [one.flat.info for one in good], [one.level for one in good]
        stars = star_blocks(
            _blocks([one.flat.source for one in good], pedestal.preparation(kept, levels))
        )
    return Levels(kept, levels, stars, tuple(left_out))


def _measure(flat: _Flat) -> _Seen | str:
    """Return what is seen of a flat, or why it is left out."""
    sample, lost = flat.sample()
    if lost > _MOST_SATURATED:
        return "Most of its pixels are saturated or have no value."
    usable = sample[np.isfinite(sample)]
    level = median_of(usable) if usable.size else 0.0
    if level <= 0:
        return "There is no light in it above the pedestal."
    return _Seen(flat, level, lost)


def _comparable(seen: list[_Seen]) -> list[_Seen]:
    """Return the flats with levels of the same pixels: those that none of them has lost.

    Where the bright middle of one is saturated, the level of the rest of it is that of its edges.
    """
    lost = [one.lost for one in seen]
    if not seen or max(lost) - min(lost) <= _LOST_ALIKE:
        return seen
    common = np.logical_and.reduce(mapped(lambda one: np.isfinite(one.flat.sample()[0]), seen))
    if not common.any():
        return seen

    def of_common(one: _Seen) -> _Seen:
        level = median_of(one.flat.sample()[0][common])
        return replace(one, level=level) if level > 0 else one

    return mapped(of_common, seen)


def _shape(seen: _Seen) -> Measure:
    flat = seen.flat
    sampled = [flat.rows(rows)[0] for rows in strips_of(flat.source.image.shape[0])]
    for strip in sampled:
        strip[~np.isfinite(strip)] = seen.level
    return measure_strips(sampled)


def _blocks(sources: Sequence[Source], preparation: Preparation) -> list[Blocks]:
    """Return flats at a level of 1 in blocks; what is masked counts as 1."""
    height, width = sources[0].image.shape
    made = [np.empty((height // BLOCK_PX, width // BLOCK_PX), np.float32) for _ in sources]

    def make(part: slice) -> None:
        """Fill some rows of blocks of every flat."""
        rows = slice(part.start * BLOCK_PX, part.stop * BLOCK_PX)
        prepared = preparation.at(rows, width)
        pixels = np.empty((rows.stop - rows.start, width), np.float32)
        for index, source in enumerate(sources):
            source.read_floats(rows, pixels.reshape(-1))
            prepared.apply(index, pixels)
            mean_blocks(pixels, made[index][part])

    in_threads(make, strips(height // BLOCK_PX, BLOCK_PX * width))
    return made
