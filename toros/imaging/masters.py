"""Master bias and dark frames; master flats are in `toros.imaging.flats` and offered here too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from toros.common.errors import UnusableFrame
from toros.imaging.clip_error import STEP_ADU
from toros.imaging.draft import (
    Draft,
    MasterResult,
    filled,
    finish,
    standard_error,
)
from toros.imaging.flats import make_master_flat
from toros.imaging.frames import Master, Pixels, without_pedestal
from toros.imaging.headers import ExposureInfo
from toros.imaging.kernels.masters import add_errors, dark_noises
from toros.imaging.linearity import linearise
from toros.imaging.mask_bits import MaskBit
from toros.imaging.master_file import MasterFile, open_master
from toros.imaging.medians import median_of
from toros.imaging.options import ReductionOptions
from toros.imaging.outliers import FEWEST, Kind, dead_frames, measure, odd_frames
from toros.imaging.planes import Combined
from toros.imaging.pool import mapped
from toros.imaging.products import NONE, Strip, master_header, set_card
from toros.imaging.read_noise import ReadNoise, measure_read_noise
from toros.imaging.sampling import sample_rows
from toros.imaging.stack import Stack, open_stack, read_inputs

__all__ = ["MasterResult", "make_master_bias", "make_master_dark", "make_master_flat"]

_DEFAULTS = ReductionOptions()
_HOLDS_BIAS = "No master bias: this master dark holds the bias too and cannot be scaled."
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
    noise = measure_read_noise(infos, options)
    read_noise_adu = noise.pixel
    header = master_header("bias", infos, "adu")
    _overscan_card(header, infos, options)
    set_card(header, "EXPTIME", 0.0, "[s] exposure time")
    set_card(header, "RDNOISEA", read_noise_adu, "[adu] read noise, measured")
    gain = infos[0].gain_e_adu or options.gain_e_adu
    set_card(
        header,
        "RDNOISE",
        read_noise_adu * gain if gain else None,
        "[electron] read noise, measured",
    )
    with open_stack(infos, options) as stack:
        rows = _as_stacked(stack, noise, options)
        draft = Draft("bias", infos, stack, rows, header)
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
    temporal = measure_read_noise(infos[:2], options)
    header = master_header("dark", infos, "adu")
    _overscan_card(header, infos, options)
    set_card(header, "EXPTIME", exptime_s, "[s] exposure time of each frame")
    with ExitStack() as opened:
        stack = opened.enter_context(open_stack(infos, options))
        if bias is None:
            set_card(header, "BIASCOR", NONE, "no master bias was subtracted")
            # The dark current cannot be told from the bias: no photon noise of hot pixels.
            rows = _as_stacked(stack, temporal, options)
        else:
            set_card(header, "BIASCOR", bias.name, "master bias subtracted")
            file = opened.enter_context(open_master(bias, infos[0]))
            gain = infos[0].gain_e_adu or options.gain_e_adu
            rows = _dark_alone(stack, file, temporal, gain, options)
        notes = () if bias else (_HOLDS_BIAS,)
        draft = Draft("dark", infos, stack, rows, header, notes)
        return finish(draft, target, exptime_s=exptime_s, left_out=left_out)


def _overscan_card(
    header: fits.Header, infos: Sequence[ExposureInfo], options: ReductionOptions
) -> None:
    """Tell by what matching knows whether a frame has the same pedestal."""
    off = all(without_pedestal(info, options) for info in infos)
    set_card(header, "OVERSCOR", off, "whether the overscan was subtracted")


def _as_stacked(
    stack: Stack, noise: ReadNoise, options: ReductionOptions
) -> Callable[[slice], Strip]:
    """Return a function that makes rows of a master from which nothing is subtracted."""

    def rows(at: slice) -> Strip:
        part = stack.rows(at)
        pixels, mask = filled(part, 0.0)
        return Strip(pixels, standard_error(stack, part, noise.rows(at), options, STEP_ADU), mask)

    return rows


def _dark_alone(
    stack: Stack,
    bias: MasterFile,
    temporal: ReadNoise,
    gain: float | None,
    options: ReductionOptions,
) -> Callable[[slice], Strip]:
    """Return a function that makes rows of a dark without its bias."""

    def current(at: slice) -> tuple[Pixels, NDArray[np.uint8], Combined, Master]:
        part, master = stack.rows(at), bias.rows(at)
        pixels, mask = filled(part, 0.0)
        pixels -= master.pixels
        return linearise(pixels, options.linearity), mask, part, master

    middle = median_of(np.concatenate(mapped(lambda at: current(at)[0], sample_rows(stack.shape))))

    def rows(at: slice) -> Strip:
        pixels, mask, part, master = current(at)
        excess = pixels - np.float32(middle)
        one = _noise_of_one_dark(excess, temporal, at, gain, stack.most)
        error = standard_error(stack, part, one, options, STEP_ADU)
        if master.uncertainty is not None:
            add_errors(error.reshape(-1), master.uncertainty.reshape(-1))
        mask |= master.mask * np.uint8(MaskBit.BAD_MASTER.value)
        return Strip(pixels, error, mask)

    return rows


def without_odd(
    infos: Sequence[ExposureInfo], kind: Kind, options: ReductionOptions
) -> tuple[list[ExposureInfo], tuple[tuple[Path, str], ...]]:
    """Return the frames that belong together, and the others with the reason."""
    if not options.leave_out_odd_frames or len(infos) < 2:
        return list(infos), ()
    if len(infos) < FEWEST:
        odd = dead_frames(infos, options)
    else:
        odd = odd_frames(mapped(lambda info: measure(info, options), infos), kind)
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


def _noise_of_one_dark(
    excess: Pixels, temporal: ReadNoise, at: slice, gain: float | None, frames: int
) -> Pixels:
    """Return the noise of one dark frame [ADU]: a hot pixel has more photon noise.

    Parameters
    ----------
    excess : numpy.ndarray
        The dark current above that of the ordinary pixel [ADU], in the rows `at`.
    temporal : ReadNoise
        Measured on pairs of frames: it holds the photon noise of the ordinary pixel already.
    """
    own = temporal.rows(at)
    if gain is None:
        return own if isinstance(own, np.ndarray) else np.full_like(excess, own)
    noise = np.empty_like(excess)
    hot = float(_HOT_SIGMAS * temporal.frame / np.sqrt(frames))
    # By pixel it is added afterwards: one kernel does for all frames.
    measured = np.float32(0 if isinstance(own, np.ndarray) else own**2)
    dark_noises(excess.reshape(-1), hot, measured, np.float32(gain), noise.reshape(-1))
    return np.hypot(noise, own) if isinstance(own, np.ndarray) else noise
