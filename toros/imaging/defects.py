"""The bad-pixel mask as a product: made from masters, written, read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from toros.common.errors import MixedShapes, NoFilesFound, UnreadableFile
from toros.imaging.bad_pixels import (
    BadPixelLimits,
    Bits,
    Defect,
    Judge,
    dark_judge,
    find_defects,
    flat_judge,
    part_of,
    without,
)
from toros.imaging.fits_io import image_hdu, open_fits, read_pixels, write_fits
from toros.imaging.flat_extremes import FlatFrames, extremes_of, may_tell
from toros.imaging.frames import MasterRows
from toros.imaging.headers import ExposureInfo, read_exposure
from toros.imaging.master_file import MasterFile, open_master
from toros.imaging.matching import is_bias_subtracted
from toros.imaging.nonlinear import linearity_judge
from toros.imaging.options import ReductionOptions
from toros.imaging.products import add_history, master_header, set_card

_DEFAULTS = BadPixelLimits()
_OPTIONS = ReductionOptions()
# No detector that is used has more dead pixels.
_MOST_DEAD = 0.05


@dataclass(frozen=True)
class MaskResult:
    """What came of a bad-pixel mask.

    Parameters
    ----------
    path : pathlib.Path
        Its file.
    inputs : tuple of pathlib.Path
        The masters that it is made from.
    masked : int
        Bad pixels.
    hot, dead, nonlinear, noisy, column, no_value : int
        Of each kind; a pixel may be of several.
    notes : tuple of str
        What a person should know.
    doubts : tuple of str
        Those of the notes that a person should look into.
    """

    path: Path
    inputs: tuple[Path, ...]
    masked: int
    hot: int
    dead: int
    nonlinear: int
    noisy: int
    column: int
    no_value: int
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    kind: str = "bad_pixel_mask"


def make_bad_pixel_mask(
    target: Path,
    *,
    dark: Path | None,
    flats: Sequence[Path] = (),
    frames: Sequence[FlatFrames] = (),
    limits: BadPixelLimits = _DEFAULTS,
    options: ReductionOptions = _OPTIONS,
) -> MaskResult:
    """Find the bad pixels of a camera in its masters, and write the mask.

    Parameters
    ----------
    target : pathlib.Path
        The file to write.
    dark : pathlib.Path, optional
        The master dark of the longest exposure.
    flats : sequence of pathlib.Path
        Master flats of any filters; two of one filter whose levels differ twofold or more tell
        the non-linear pixels.
    frames : sequence of FlatFrames
        Of the flats, where the raw frames are at hand: those of one flat that differ so tell it
        too.
    options : ReductionOptions
        How flats are made of them.

    Raises
    ------
    NoFilesFound, UnreadableFile, MixedShapes
        If there is no master, or one cannot be read, or is of another size.
    """
    paths = [path for path in (dark, *flats) if path is not None]
    if not paths:
        raise NoFilesFound("There is no master to find bad pixels in.")
    infos = [read_exposure(path) for path in paths]
    notes: list[str] = []
    doubts: list[str] = []
    with ExitStack() as opened:
        masters = [opened.enter_context(open_master(path, infos[0])) for path in paths]
        judges: list[Judge] = []
        if dark is not None:
            judges.append(_judge_of_dark(infos[0], masters[0], notes, limits))
        first = 0 if dark is None else 1
        for info, master in zip(infos[first:], masters[first:], strict=True):
            judges.append(_judge_of_flat(info, master, doubts, limits))
        judges += _judges_of_linearity(infos[first:], masters[first:], notes, limits)
        for flat in frames:
            judges += _judges_of_frames(flat, opened, notes, limits, options)
        mask, counts = find_defects(judges, masters[0].shape, limits)
    return _write(target, infos, mask, counts, notes, doubts)


def _judge_of_dark(
    info: ExposureInfo, master: MasterRows, notes: list[str], limits: BadPixelLimits
) -> Judge:
    if not is_bias_subtracted(info):
        notes.append("The master dark holds the bias: hot pixels are judged above its median.")
    combined = info.header.get("NCOMBINE")
    frames = combined if isinstance(combined, int) else 1
    return dark_judge(master, info.exptime_s or 0.0, frames, info.gain_e_adu, limits)


def _judge_of_flat(
    info: ExposureInfo, flat: MasterFile, doubts: list[str], limits: BadPixelLimits
) -> Judge:
    judge = flat_judge(flat, limits)
    dead = part_of(Defect.DEAD, judge, flat.shape)
    if dead <= _MOST_DEAD:
        return judge
    doubts.append(
        f"{100 * dead:.0f} % of the pixels of {info.path.name} answer far less or more than those "
        "around them, as those of a colour camera or the light of a spectrograph do: none of them "
        "is taken for dead."
    )
    return without(Defect.DEAD, judge)


def _judges_of_linearity(
    infos: Sequence[ExposureInfo],
    flats: Sequence[MasterRows],
    notes: list[str],
    limits: BadPixelLimits,
) -> list[Judge]:
    by_filter: dict[str | None, list[tuple[float, MasterRows]]] = {}
    for info, flat in zip(infos, flats, strict=True):
        level = info.header.get("FLATLEV")
        if isinstance(level, int | float):
            by_filter.setdefault(info.filter, []).append((float(level), flat))
    judges = []
    for name, of_one in by_filter.items():
        of_one.sort(key=lambda pair: pair[0])
        faint, bright = of_one[0], of_one[-1]
        if len(of_one) > 1 and bright[0] >= 2 * faint[0]:
            judges.append(linearity_judge(faint[1], bright[1], limits))
            notes.append(
                f"Linearity from flats in {name} of {faint[0]:.0f} and {bright[0]:.0f} ADU."
            )
    return judges


def _judges_of_frames(
    flat: FlatFrames,
    opened: ExitStack,
    notes: list[str],
    limits: BadPixelLimits,
    options: ReductionOptions,
) -> list[Judge]:
    """Return what the faint and the bright frames of one flat tell, if they do."""
    found = opened.enter_context(extremes_of(flat, options)) if may_tell(flat) else None
    if found is None:
        return []
    notes.append(
        f"Linearity from the frames of {flat.master.name} about {found.levels[0]:.0f} and "
        f"{found.levels[1]:.0f} ADU."
    )
    return [linearity_judge(found.faint, found.bright, limits)]


def _write(
    target: Path,
    infos: Sequence[ExposureInfo],
    mask: Bits,
    counts: Mapping[Defect, int],
    notes: Sequence[str],
    doubts: Sequence[str],
) -> MaskResult:
    header = master_header("defects", infos[:1], "")
    set_card(header, "NCOMBINE", len(infos), "number of masters it is made from")
    for defect in Defect:
        name = (defect.name or "").lower()
        bit = defect.value.bit_length() - 1
        set_card(header, f"BIT{bit}", name, f"meaning of bit value {defect.value}")
        set_card(header, f"NBIT{bit}", counts[defect], "pixels that have it")
    masked = int(np.count_nonzero(mask))
    set_card(header, "NMASKED", masked, "bad pixels")
    add_history(header, [f"Made from: {info.path.name}" for info in infos])
    add_history(header, [*notes, *doubts])
    write_fits(target, fits.HDUList([fits.PrimaryHDU(mask, header=header)]))
    return MaskResult(
        path=target,
        inputs=tuple(info.path for info in infos),
        masked=masked,
        hot=counts[Defect.HOT],
        dead=counts[Defect.DEAD],
        nonlinear=counts[Defect.NONLINEAR],
        noisy=counts[Defect.NOISY],
        column=counts[Defect.COLUMN],
        no_value=counts[Defect.NO_VALUE],
        notes=(*notes, *doubts),
        doubts=tuple(doubts),
    )


def read_bad_pixels(info: ExposureInfo, path: Path) -> NDArray[np.bool_]:
    """Read a bad-pixel mask for the frame `info`: any value but 0 is bad.

    Raises
    ------
    UnreadableFile
        If the file cannot be read.
    MixedShapes
        If it has another size.
    """
    with open_fits(path) as hdus:
        mask = read_pixels(image_hdu(hdus, path), path) != 0
    if mask.ndim != 2:
        raise UnreadableFile(f"{path}: is no plain image.")
    if mask.shape != info.shape:
        raise MixedShapes(
            f"{path.name} is {mask.shape[1]}×{mask.shape[0]}, not the size of {info.path.name}."
        )
    return np.asarray(mask)
