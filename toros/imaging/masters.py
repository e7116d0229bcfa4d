"""Master bias and dark frames; master flats are in `toros.imaging.flats` and offered here too."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from toros.common.errors import UnusableFrame
from toros.imaging.draft import (
    Draft,
    MasterResult,
    error_of,
    filled,
    finish,
    standard_error,
)
from toros.imaging.flats import make_master_flat
from toros.imaging.frames import MaskBit, Pixels, read_frame, read_master_for
from toros.imaging.headers import ExposureInfo
from toros.imaging.linearity import linearise
from toros.imaging.noise import read_noise_of_one, read_noise_of_pair
from toros.imaging.options import ReductionOptions
from toros.imaging.outliers import FEWEST, Kind, measure, odd_frames
from toros.imaging.products import NONE, master_header, set_card
from toros.imaging.stack import read_inputs, stack

__all__ = ["MasterResult", "make_master_bias", "make_master_dark", "make_master_flat"]

_DEFAULTS = ReductionOptions()
# The read noise hardly gains from more pairs than this.
_PAIRS = 5
# Raw frames are whole ADU.
_STEP_ADU = 1.0
# A pixel counts as hot where its level is so many deviations of the master above the others: the
# noise of its own level must not make its uncertainty.
_HOT_SIGMAS = 5.0


def make_master_bias(
    paths: Sequence[Path], target: Path, options: ReductionOptions = _DEFAULTS
) -> MasterResult:
    """Combine bias frames into a master bias [ADU] and measure the read noise.

    Raises
    ------
    NoFilesFound, UnreadableFile, MixedShapes, AlreadyCalibrated
        See `read_inputs`.
    """
    infos, left_out = without_odd(read_inputs(paths, "bias"), "bias", options)
    made = stack(infos, options)
    read_noise_adu = _read_noise(infos, options)
    pixels, mask = filled(made, 0.0)
    error = standard_error(made, read_noise_adu, options, _STEP_ADU)
    header = master_header("bias", infos, "adu")
    set_card(header, "EXPTIME", 0.0, "[s] exposure time")
    set_card(header, "RDNOISEA", read_noise_adu, "[adu] read noise, measured")
    gain = infos[0].gain_e_adu or options.gain_e_adu
    set_card(
        header,
        "RDNOISE",
        read_noise_adu * gain if gain else None,
        "[electron] read noise, measured",
    )
    draft = Draft("bias", infos, made, pixels, error, mask, header)
    return finish(draft, target, read_noise_adu=read_noise_adu, left_out=left_out)


def make_master_dark(
    paths: Sequence[Path],
    target: Path,
    *,
    bias: Path | None,
    options: ReductionOptions = _DEFAULTS,
) -> MasterResult:
    """Combine dark frames of one exposure time into a master dark [ADU].

    With a master `bias` it holds the dark current alone and can be scaled; without one it holds
    the bias too, says so, and fits only lights of the same exposure time.

    Raises
    ------
    NoFilesFound, UnreadableFile, MixedShapes, AlreadyCalibrated
        See `read_inputs`.
    UnusableFrame
        If the exposure times are unknown or differ.
    """
    infos = read_inputs(paths, "dark")
    exptime_s = _one_exptime(infos, options)
    infos, left_out = without_odd(infos, "dark", options)
    made = stack(infos, options)
    pixels, mask = filled(made, 0.0)
    temporal_adu = _read_noise(infos[:2], options)
    header = master_header("dark", infos, "adu")
    set_card(header, "EXPTIME", exptime_s, "[s] exposure time of each frame")
    notes: tuple[str, ...] = ()
    gain = infos[0].gain_e_adu or options.gain_e_adu
    if bias is None:
        # The dark current cannot be told from the bias: no photon noise of hot pixels.
        error = standard_error(made, temporal_adu, options, _STEP_ADU)
        notes = ("No master bias: this master dark holds the bias too and cannot be scaled.",)
        set_card(header, "BIASCOR", NONE, "no master bias was subtracted")
    else:
        master = read_master_for(infos[0], bias)
        pixels = linearise(pixels - master.pixels, options.linearity)
        one = _noise_of_one_dark(pixels, temporal_adu, gain, len(infos))
        error = np.hypot(standard_error(made, one, options, _STEP_ADU), error_of(master))
        mask[master.mask] |= MaskBit.BAD_MASTER.value
        set_card(header, "BIASCOR", bias.name, "master bias subtracted")
    draft = Draft("dark", infos, made, pixels, error, mask, header, notes)
    return finish(draft, target, exptime_s=exptime_s, left_out=left_out)


def without_odd(
    infos: Sequence[ExposureInfo], kind: Kind, options: ReductionOptions
) -> tuple[list[ExposureInfo], tuple[tuple[Path, str], ...]]:
    """Return the frames that belong together, and the others with the reason."""
    if not options.leave_out_odd_frames or len(infos) < FEWEST:
        return list(infos), ()
    odd = odd_frames([measure(info, options) for info in infos], kind)
    kept = [info for index, info in enumerate(infos) if index not in odd]
    return kept, tuple((infos[index].path, why) for index, why in sorted(odd.items()))


def _one_exptime(infos: Sequence[ExposureInfo], options: ReductionOptions) -> float:
    times = [info.exptime_s for info in infos if info.exptime_s is not None]
    if len(times) < len(infos):
        nameless = next(info.path for info in infos if info.exptime_s is None)
        raise UnusableFrame(f"{nameless}: the exposure time of this dark is unknown.")
    if max(times) - min(times) > options.exptime_tolerance_s:
        raise UnusableFrame(
            f"The dark frames were exposed for {min(times):g} to {max(times):g} s: "
            "a master dark is made of one exposure time."
        )
    return times[0]


def _read_noise(infos: Sequence[ExposureInfo], options: ReductionOptions) -> float:
    first = read_frame(infos[0].path, infos[0], options=options).pixels
    if len(infos) == 1:
        return read_noise_of_one(first)
    measured = []
    for _, info in pairwise(infos[: _PAIRS + 1]):
        second = read_frame(info.path, info, options=options).pixels
        measured.append(read_noise_of_pair(first, second))
        first = second
    return float(np.median(measured))


def _noise_of_one_dark(
    pixels: Pixels, temporal_adu: float, gain: float | None, frames: int
) -> Pixels:
    """Return the noise of one dark frame [ADU]: a hot pixel has more photon noise.

    `temporal_adu`, measured on pairs of frames, holds that of the ordinary pixel already.
    """
    measured = np.float32(temporal_adu**2)
    if gain is None:
        return np.full_like(pixels, temporal_adu)
    excess = pixels - np.median(pixels)
    excess[excess < _HOT_SIGMAS * temporal_adu / np.sqrt(frames)] = 0
    noise: Pixels = np.sqrt(measured + excess / np.float32(gain))
    return noise
