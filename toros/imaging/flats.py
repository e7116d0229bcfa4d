"""Master flat fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from toros.common.errors import UnusableFrame
from toros.imaging.draft import Draft, MasterResult, error_of, filled, finish, standard_error
from toros.imaging.flat_stars import Blocks, in_blocks, star_blocks
from toros.imaging.frames import Frame, MaskBit, Pixels, read_frame, read_master_for
from toros.imaging.headers import ExposureInfo, read_exposure
from toros.imaging.linearity import linearise
from toros.imaging.matching import dark_scale, is_bias_subtracted
from toros.imaging.options import ReductionOptions
from toros.imaging.outliers import Measure, measure_strips, odd_frames, strips_of
from toros.imaging.photon_transfer import MeasuredGain, measure_gain
from toros.imaging.products import NONE, master_header, set_card
from toros.imaging.stack import Preparation, read_inputs, stack

_DEFAULTS = ReductionOptions()
# A flat with more of its pixels saturated is over-exposed, not merely hot here and there.
_MOST_SATURATED = 0.5


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
    Masked pixels count neither for the level nor for the mean.

    Raises
    ------
    NoFilesFound, UnreadableFile, MixedShapes, AlreadyCalibrated
        See `read_inputs`.
    UnusableFrame
        If the filters differ, no frame is well exposed, or the dark cannot be used.
    """
    infos = read_inputs(paths, "flat")
    filters = sorted({info.filter or "unknown" for info in infos})
    if len(filters) > 1:
        raise UnusableFrame(f"The flat frames have several filters: {', '.join(filters)}.")
    pedestal = _Pedestal(infos, bias, dark, options)
    good, levels, stars, left_out = _levels(infos, pedestal, options)
    made = stack(good, options, pedestal.preparation(good, levels, stars))
    pixels, mask = filled(made, 1.0)
    mask[pixels < options.flat_floor] |= MaskBit.BAD_FLAT.value
    usable = pixels[mask == 0]
    if usable.size == 0:
        raise UnusableFrame(f"The flat frames of {filters[0]} have no pixel that is usable.")
    mean = np.float32(np.mean(usable, dtype=np.float64))
    measured = pedestal.measured_gain(good)
    gain = good[0].gain_e_adu or options.gain_e_adu or (measured.gain_e_adu if measured else None)
    one = _noise_of_one(pixels, levels, gain, pedestal.read_noise_adu)
    common = pedestal.error(pixels, good, levels)
    error = np.asarray(np.hypot(standard_error(made, one, options), common) / mean, np.float32)
    pixels = pixels / mean
    pixels[mask != 0] = 1.0
    header = master_header("flat", good, "")
    set_card(header, "FILTER", good[0].filter, "filter")
    set_card(header, "EXPTIME", good[0].exptime_s, "[s] exposure time of the first frame")
    set_card(header, "FLATLEV", float(np.median(levels)), "[adu] median level of the frames")
    _gain_cards(header, measured)
    set_card(header, "BIASCOR", bias.name if bias else NONE, "master bias subtracted")
    set_card(header, "DARKCOR", dark.name if dark else NONE, "master dark subtracted")
    draft = Draft("flat", good, made, pixels, error, mask, header, tuple(pedestal.notes))
    return finish(
        draft,
        target,
        filter_name=good[0].filter,
        left_out=left_out,
        measured_gain_e_adu=measured.gain_e_adu if measured else None,
    )


def _gain_cards(header: fits.Header, measured: MeasuredGain | None) -> None:
    if measured is not None:
        set_card(header, "GAINMEAS", measured.gain_e_adu, "[e-/ADU] measured on these flats")
        set_card(header, "GAINMERR", measured.error, "[e-/ADU] its standard error")


class _Pedestal:
    """What is under a flat's light: bias and dark current."""

    def __init__(
        self,
        infos: Sequence[ExposureInfo],
        bias: Path | None,
        dark: Path | None,
        options: ReductionOptions,
    ) -> None:
        self._options = options
        self._bias = read_master_for(infos[0], bias) if bias else None
        self._dark = read_master_for(infos[0], dark) if dark else None
        self.notes: list[str] = []
        self.read_noise_adu = _read_noise(bias, infos[0], options)
        self._scales = {info.path: 1.0 for info in infos}
        if bias is None and dark is None:
            self.notes.append("No master bias and no master dark: the pedestal is in this flat.")
        if dark is None:
            return
        dark_info = read_exposure(dark)
        if bias is not None and not is_bias_subtracted(dark_info):
            raise UnusableFrame(f"{dark}: holds the bias too, which would be subtracted twice.")
        for info in infos:
            scale = dark_scale(info.exptime_s, dark_info, options)
            if isinstance(scale, str):
                raise UnusableFrame(f"{dark}: cannot be subtracted from {info.path.name}: {scale}.")
            self._scales[info.path] = scale

    def subtract(
        self, info: ExposureInfo, frame: Frame, rows: slice
    ) -> tuple[Pixels, NDArray[np.uint8]]:
        pixels, mask = frame.pixels.copy(), frame.mask.copy()
        if self._bias is not None:
            pixels -= self._bias.pixels[rows]
            mask[self._bias.mask[rows]] |= MaskBit.BAD_MASTER.value
            pixels = linearise(pixels, self._options.linearity)
        if self._dark is not None:
            pixels -= self._dark.pixels[rows] * np.float32(self._scales[info.path])
            mask[self._dark.mask[rows]] |= MaskBit.BAD_MASTER.value
        return pixels, mask

    def preparation(
        self,
        flats: Sequence[ExposureInfo],
        levels: Sequence[float],
        stars: Sequence[NDArray[np.bool_]],
    ) -> Preparation:
        """Return what is done to the flats before they are combined."""
        masks = [one.mask for one in (self._bias, self._dark) if one is not None]
        return Preparation(
            bias=None if self._bias is None else self._bias.pixels,
            dark=None if self._dark is None else self._dark.pixels,
            bad=np.logical_or.reduce(masks) if masks else None,
            dark_scales=[self._scales[info.path] for info in flats],
            levels=levels,
            stars=stars if any(blocks.any() for blocks in stars) else None,
            linearity=self._options.linearity,
        )

    def measured_gain(self, flats: Sequence[ExposureInfo]) -> MeasuredGain | None:
        """Return the gain that pairs of the flats tell, None where they do not."""
        if self.read_noise_adu is None:
            return None
        bias = None if self._bias is None else self._bias.pixels
        return measure_gain(flats, bias, self.read_noise_adu, self._options)

    def error(
        self, pixels: Pixels, flats: Sequence[ExposureInfo], levels: Sequence[float]
    ) -> Pixels:
        """Return the uncertainty of the pedestal, common to all frames, at a level of 1."""
        total = np.zeros_like(pixels)
        if self._bias is not None:
            total = np.hypot(
                total, error_of(self._bias) * np.float32(np.mean(1 / np.array(levels)))
            )
        if self._dark is not None:
            parts = [self._scales[info.path] / at for info, at in zip(flats, levels, strict=True)]
            total = np.hypot(total, error_of(self._dark) * np.float32(np.mean(parts)))
        return np.asarray(np.nan_to_num(total), dtype=np.float32)


@dataclass(frozen=True)
class _Seen:
    info: ExposureInfo
    level: float
    measure: Measure
    blocks: Blocks


def _read_noise(bias: Path | None, info: ExposureInfo, options: ReductionOptions) -> float | None:
    """Return the read noise of one frame [ADU]: measured on the biases, else as it is told."""
    if bias is not None:
        measured = read_exposure(bias).header.get("RDNOISEA")
        if isinstance(measured, int | float):
            return float(measured)
    told, gain = info.read_noise_e or options.read_noise_e, info.gain_e_adu or options.gain_e_adu
    return told / gain if told and gain else None


def _levels(
    infos: Sequence[ExposureInfo], pedestal: _Pedestal, options: ReductionOptions
) -> tuple[list[ExposureInfo], list[float], list[NDArray[np.bool_]], tuple[tuple[Path, str], ...]]:
    """Return the flats to combine, their levels [ADU], their stars, and the others with why."""
    seen: list[_Seen] = []
    left_out: list[tuple[Path, str]] = []
    for info in infos:
        frame = read_frame(info.path, info, options=options)
        pixels, mask = pedestal.subtract(info, frame, slice(None))
        if np.mean((mask & MaskBit.SATURATED.value) != 0) > _MOST_SATURATED:
            left_out.append((info.path, "Most of its pixels are saturated."))
            continue
        usable = pixels[mask == 0]
        level = float(np.median(usable)) if usable.size else 0.0
        if level <= 0:
            left_out.append((info.path, "There is no light in it above the pedestal."))
            continue
        strips = measure_strips([pixels[rows] for rows in strips_of(pixels.shape[0])])
        blocks = in_blocks(pixels / np.float32(level), mask != 0)
        seen.append(_Seen(info, level, strips, blocks))
    odd = odd_frames([one.measure for one in seen], "flat") if options.leave_out_odd_frames else {}
    left_out += [(seen[index].info.path, why) for index, why in sorted(odd.items())]
    good = [one for index, one in enumerate(seen) if index not in odd]
    if not good:
        reasons = "; ".join(f"{path.name}: {reason}" for path, reason in left_out)
        raise UnusableFrame(f"No flat frame is well exposed ({reasons})")
    stars = star_blocks([one.blocks for one in good])
    return [one.info for one in good], [one.level for one in good], stars, tuple(left_out)


def _noise_of_one(
    pixels: Pixels, levels: Sequence[float], gain: float | None, read_noise_adu: float | None
) -> Pixels:
    """Return the noise of one frame at a level of 1, or 0 where no gain is known."""
    if gain is None:
        return np.zeros_like(pixels)
    # A frame of level L has a variance of p/(g·L) + (R/L)² at response p; the mean over frames:
    photons = sum(1 / (gain * level) for level in levels) / len(levels)
    read_out = sum(((read_noise_adu or 0.0) / level) ** 2 for level in levels) / len(levels)
    noise: Pixels = np.sqrt(
        np.clip(pixels, 0, None) * np.float32(photons) + np.float32(read_out), dtype=np.float32
    )
    return noise
