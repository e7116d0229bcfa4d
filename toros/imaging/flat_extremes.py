"""The faint and the bright frames of one flat, as two flats: they tell who is not linear."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toros.imaging.flat_levels import measure_levels
from toros.imaging.flat_pedestal import open_pedestal, scales_of_dark
from toros.imaging.flats import make_master_flat
from toros.imaging.headers import read_exposure
from toros.imaging.master_file import MasterFile, open_master
from toros.imaging.options import ReductionOptions
from toros.imaging.stack import read_inputs

# The faint must have this part of the counts of the bright, or less.
_APART = 0.5
# With fewer frames in one of both, what a star in twilight leaves would be taken for a pixel's own.
_FEWEST = 5


@dataclass(frozen=True)
class FlatFrames:
    """The raw frames of a master flat, and what was subtracted from them.

    Parameters
    ----------
    master : pathlib.Path
        The flat that was made of them all.
    frames : sequence of pathlib.Path
        The raw frames.
    bias, dark : pathlib.Path, optional
        The masters.
    """

    master: Path
    frames: Sequence[Path]
    bias: Path | None = None
    dark: Path | None = None


@dataclass(frozen=True)
class Extremes:
    """Two flats of the same pixels, and their levels [ADU]."""

    faint: MasterFile
    bright: MasterFile
    levels: tuple[float, float]


def may_tell(flat: FlatFrames) -> bool:
    """Return whether the frames of a flat differ enough in level, as its header says."""
    cards = read_exposure(flat.master).header
    lowest, highest = cards.get("FLATMIN"), cards.get("FLATMAX")
    if not isinstance(lowest, int | float) or not isinstance(highest, int | float):
        return False
    return len(flat.frames) >= 2 * _FEWEST and lowest <= _APART * highest


@contextmanager
def extremes_of(flat: FlatFrames, options: ReductionOptions) -> Iterator[Extremes | None]:
    """Make a flat of the faint and one of the bright frames; None where they are too few.

    Both are gone at the end: what they tell is in the bad-pixel mask.

    Raises
    ------
    UnreadableFile, MixedShapes, UnusableFrame
        As `make_master_flat`.
    """
    split = _split(flat, options)
    if split is None:
        yield None
        return
    (low, faint_paths), (high, bright_paths) = split
    with tempfile.TemporaryDirectory(prefix="toros-flats-") as folder:
        made = [
            make_master_flat(
                paths,
                Path(folder, f"{name}.fits"),
                bias=flat.bias,
                dark=flat.dark,
                options=options,
            ).path
            for name, paths in (("faint", faint_paths), ("bright", bright_paths))
        ]
        info = read_exposure(flat.master)
        with open_master(made[0], info) as faint, open_master(made[1], info) as bright:
            yield Extremes(faint, bright, (low, high))


def _split(
    flat: FlatFrames, options: ReductionOptions
) -> tuple[tuple[float, list[Path]], tuple[float, list[Path]]] | None:
    """Return the level [ADU] of the faint frames and their paths, and those of the bright."""
    infos = read_inputs(flat.frames, "flat")
    scales, _ = scales_of_dark(infos, flat.bias, flat.dark, options)
    with open_pedestal(infos, flat.bias, flat.dark, scales, options) as pedestal:
        seen = measure_levels(infos, pedestal, options)
    frames = sorted(zip(seen.levels, (info.path for info in seen.flats), strict=True))
    middle = float(np.sqrt(frames[0][0] * frames[-1][0]))
    parts = (
        [one for one in frames if one[0] <= middle],
        [one for one in frames if one[0] > middle],
    )
    if min(map(len, parts)) < _FEWEST:
        return None
    low, high = (float(np.median([at for at, _ in part])) for part in parts)
    faint, bright = ([path for _, path in part] for part in parts)
    return ((low, faint), (high, bright)) if low <= _APART * high else None
