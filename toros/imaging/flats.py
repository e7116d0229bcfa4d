"""Master flat fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from toros.common.errors import UnusableFrame
from toros.imaging.draft import Draft, MasterResult, finish, standard_error
from toros.imaging.flat_levels import measure_levels
from toros.imaging.flat_pedestal import Pedestal, open_pedestal, scales_of_dark
from toros.imaging.frames import Pixels
from toros.imaging.headers import ExposureInfo
from toros.imaging.kernels.flat_rows import normalise, photon_noise, respond
from toros.imaging.linearity import NOT_LINEAR
from toros.imaging.mask_bits import MaskBit
from toros.imaging.noise import middle_of_told, read_noise_of_one
from toros.imaging.options import ReductionOptions
from toros.imaging.photon_transfer import MeasuredGain, doubt_of_gain
from toros.imaging.planes import Combined, Planes
from toros.imaging.pool import in_threads, strips
from toros.imaging.products import NONE, Strip, master_header, set_card
from toros.imaging.sampling import sample_rows
from toros.imaging.stack import Stack, open_stack, read_inputs

_DEFAULTS = ReductionOptions()
_NO_PEDESTAL = "No master bias and no master dark: the pedestal is in this flat."


def make_master_flat(
    paths: Sequence[Path],
    target: Path,
    *,
    bias: Path | None,
    dark: Path | None,
    options: ReductionOptions = _DEFAULTS,
) -> MasterResult:
    """Combine flat fields of one filter into a master flat whose good pixels have a mean of 1.

    Each frame has the bias and the dark (scaled, where its exposure time differs) subtracted and
    is brought to a level of 1 before they are combined: twilight flats differ in brightness.
    Masked pixels count neither for the level nor for the mean. A frame to which the dark cannot be
    scaled is left out.

    Raises
    ------
    NoFilesFound, UnreadableFile, MixedShapes, AlreadyCalibrated
        See `read_inputs`.
    UnusableFrame
        If the filters differ, no frame is well exposed, or the dark serves none.
    """
    infos = read_inputs(paths, "flat")
    name = _one_filter(infos)
    scales, unserved = scales_of_dark(infos, bias, dark, options)
    infos = [info for info in infos if info.path in scales]
    with open_pedestal(infos, bias, dark, scales, options) as pedestal:
        seen = measure_levels(infos, pedestal, options)
        good, levels = seen.flats, seen.levels
        with open_stack(good, options, pedestal.preparation(good, levels, seen.stars)) as stack:
            planes, mean = _stacked(stack, options, name)
        measured = pedestal.measured_gain(good)
        told = good[0].gain_e_adu or options.gain_e_adu
        flat = _Flat(
            stack=stack,
            planes=planes,
            mean=mean,
            levels=levels,
            gain_e_adu=told or (measured.gain_e_adu if measured else None),
            pedestal=pedestal,
            shares=pedestal.shares(good, levels),
            options=options,
            noise_of_one=_scatter_of_one(planes, stack.shape) if len(good) == 1 else 0.0,
        )
        header = _header(good, levels, measured, bias, dark)
        doubt = doubt_of_gain(good[0], options, measured)
        doubts = () if doubt is None else (doubt,)
        notes = (*_notes(pedestal, options), *doubts)
        return finish(
            Draft("flat", good, stack, flat.rows, header, notes),
            target,
            filter_name=good[0].filter,
            left_out=(*unserved, *seen.left_out),
            measured_gain_e_adu=measured.gain_e_adu if measured else None,
            doubts=doubts,
        )


def _notes(pedestal: Pedestal, options: ReductionOptions) -> tuple[str, ...]:
    if pedestal.is_known:
        return ()
    notes = () if pedestal.dark is not None else (_NO_PEDESTAL,)
    return (*notes, NOT_LINEAR) if options.linearity else notes


def _one_filter(infos: Sequence[ExposureInfo]) -> str:
    filters = sorted({info.filter or "unknown" for info in infos})
    if len(filters) > 1:
        raise UnusableFrame(f"The flat frames have several filters: {', '.join(filters)}.")
    return filters[0]


@dataclass(frozen=True)
class _Flat:
    """The stack of flats, and what makes rows of the master of it.

    Parameters
    ----------
    stack, planes : Stack, Planes
        How the flats were combined, and what came of it.
    mean : float
        Of the usable pixels of the stack.
    levels : sequence of float
        Of the frames [ADU].
    shares : tuple of float
        How much of bias and dark is in the stack.
    noise_of_one : float
        Of a frame at a level of 1, where no gain tells it.
    """

    stack: Stack
    planes: Planes
    mean: np.float32
    levels: Sequence[float]
    gain_e_adu: float | None
    pedestal: Pedestal
    shares: tuple[np.float32, np.float32]
    options: ReductionOptions
    noise_of_one: float

    def rows(self, at: slice) -> Strip:
        """Return some rows, with a mean of 1; called from several threads."""
        part = self.planes.rows(at)
        pixels, mask = _response(part, self.options)
        one = (
            np.full_like(pixels, self.noise_of_one)
            if self.gain_e_adu is None
            else _noise_of_one(pixels, self.levels, self.gain_e_adu, self.pedestal.read_noise_adu)
        )
        error = standard_error(self.stack, part, one, self.options)
        bias, dark = self.pedestal.errors(at, self.stack.shape[1])
        normalise(
            pixels.reshape(-1),
            mask.reshape(-1),
            error.reshape(-1),
            bias.reshape(-1),
            self.shares[0],
            dark.reshape(-1),
            self.shares[1],
            self.mean,
        )
        return Strip(pixels, error, mask)


def _response(part: Combined, options: ReductionOptions) -> tuple[Pixels, NDArray[np.uint8]]:
    pixels = np.empty(part.pixels.shape, np.float32)
    mask = np.empty(pixels.shape, np.uint8)
    respond(
        part.pixels.reshape(-1),
        part.count.reshape(-1),
        np.float32(options.flat_floor),
        np.uint8(MaskBit.NO_DATA.value),
        np.uint8(MaskBit.BAD_FLAT.value),
        pixels.reshape(-1),
        mask.reshape(-1),
    )
    return pixels, mask


def _stacked(stack: Stack, options: ReductionOptions, name: str) -> tuple[Planes, np.float32]:
    """Return the whole stack and the mean of its usable pixels."""
    planes = Planes(stack.shape, options.memory_limit_bytes // 2)
    parts = strips(*stack.shape)
    sums = np.zeros(len(parts))
    counts = np.zeros(len(parts), np.int64)

    def add(index: int) -> None:
        part = planes.to_fill(parts[index])
        stack.fill(parts[index], part)
        planes.store(parts[index], part)
        pixels, mask = _response(part, options)
        usable = mask == 0
        # Strip by strip, so that the order in which threads end does not change the last digit.
        sums[index] = np.sum(pixels, where=usable, dtype=np.float64)
        counts[index] = np.count_nonzero(usable)

    in_threads(add, range(len(parts)))
    if not counts.sum():
        raise UnusableFrame(f"The flat frames of {name} have no pixel that is usable.")
    return planes, np.float32(sums.sum() / counts.sum())


def _header(
    infos: Sequence[ExposureInfo],
    levels: Sequence[float],
    measured: MeasuredGain | None,
    bias: Path | None,
    dark: Path | None,
) -> fits.Header:
    header = master_header("flat", infos, "")
    set_card(header, "FILTER", infos[0].filter, "filter")
    set_card(header, "EXPTIME", infos[0].exptime_s, "[s] exposure time of the first frame")
    set_card(header, "FLATLEV", float(np.median(levels)), "[adu] median level of the frames")
    set_card(header, "FLATMIN", float(min(levels)), "[adu] level of the faintest frame")
    set_card(header, "FLATMAX", float(max(levels)), "[adu] level of the brightest frame")
    if measured is not None:
        set_card(header, "GAINMEAS", measured.gain_e_adu, "[e-/ADU] measured on these flats")
        set_card(header, "GAINMERR", measured.error, "[e-/ADU] its standard error")
    set_card(header, "BIASCOR", bias.name if bias else NONE, "master bias subtracted")
    set_card(header, "DARKCOR", dark.name if dark else NONE, "master dark subtracted")
    return header


def _noise_of_one(
    pixels: Pixels, levels: Sequence[float], gain: float, read_noise_adu: float | None
) -> Pixels:
    """Return the noise of one frame at a level of 1."""
    # A frame of level L has a variance of p/(g·L) + (R/L)² at response p; the mean over frames:
    photons = sum(1 / (gain * level) for level in levels) / len(levels)
    read_out = sum(((read_noise_adu or 0.0) / level) ** 2 for level in levels) / len(levels)
    noise = np.empty(pixels.shape, np.float32)
    photon_noise(pixels.reshape(-1), np.float32(photons), np.float32(read_out), noise.reshape(-1))
    return noise


def _scatter_of_one(planes: Planes, shape: tuple[int, int]) -> float:
    """Return an upper bound of the noise of a single flat: its pixels' response is in it."""
    found = (read_noise_of_one(_with_holes(planes.rows(at))) for at in sample_rows(shape))
    return middle_of_told(found) or 0.0


def _with_holes(part: Combined) -> Pixels:
    return np.where(part.count == 0, np.float32(np.nan), part.pixels)
