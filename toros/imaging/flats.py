"""Master flat fields."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from toros.common.errors import UnusableFrame
from toros.imaging.draft import Draft, MasterResult, filled, finish, standard_error
from toros.imaging.frames import Frame, MaskBit, Pixels, read_frame, read_master_for
from toros.imaging.headers import ExposureInfo, read_exposure
from toros.imaging.matching import dark_scale, is_bias_subtracted
from toros.imaging.options import ReductionOptions
from toros.imaging.products import NONE, master_header, set_card
from toros.imaging.stack import read_inputs, stack

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
    good, levels, left_out = _levels(infos, pedestal)

    def prepare(index: int, frame: Frame, rows: slice) -> Frame:
        pixels, bad = pedestal.subtract(good[index], frame, rows)
        return Frame(pixels / np.float32(levels[index]), bad, frame.header)

    made = stack(good, options, prepare)
    pixels, mask = filled(made, 1.0)
    mask[pixels < options.flat_floor] |= MaskBit.BAD_FLAT.value
    usable = pixels[mask == 0]
    if usable.size == 0:
        raise UnusableFrame(f"The flat frames of {filters[0]} have no pixel that is usable.")
    mean = np.float32(np.mean(usable, dtype=np.float64))
    error = standard_error(made, _noise_of_one(pixels, good, levels, options)) / mean
    pixels = pixels / mean
    pixels[mask != 0] = 1.0
    header = master_header("flat", good, "")
    set_card(header, "FILTER", good[0].filter, "filter")
    set_card(header, "EXPTIME", good[0].exptime_s, "[s] exposure time of the first frame")
    set_card(header, "FLATLEV", float(np.median(levels)), "[adu] median level of the frames")
    set_card(header, "BIASCOR", bias.name if bias else NONE, "master bias subtracted")
    set_card(header, "DARKCOR", dark.name if dark else NONE, "master dark subtracted")
    draft = Draft("flat", good, made, pixels, error, mask, header, tuple(pedestal.notes))
    return finish(draft, target, filter_name=good[0].filter, left_out=left_out)


class _Pedestal:
    """What is under a flat's light: bias and dark current."""

    def __init__(
        self,
        infos: Sequence[ExposureInfo],
        bias: Path | None,
        dark: Path | None,
        options: ReductionOptions,
    ) -> None:
        self._bias = read_master_for(infos[0], bias) if bias else None
        self._dark = read_master_for(infos[0], dark) if dark else None
        self.notes: list[str] = []
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
        if self._dark is not None:
            pixels -= self._dark.pixels[rows] * np.float32(self._scales[info.path])
            mask[self._dark.mask[rows]] |= MaskBit.BAD_MASTER.value
        return pixels, mask


def _levels(
    infos: Sequence[ExposureInfo], pedestal: _Pedestal
) -> tuple[list[ExposureInfo], list[float], tuple[tuple[Path, str], ...]]:
    """Return the well-exposed frames, their levels [ADU], and the others with the reason."""
    good: list[ExposureInfo] = []
    levels: list[float] = []
    left_out: list[tuple[Path, str]] = []
    for info in infos:
        pixels, mask = pedestal.subtract(info, read_frame(info.path, info), slice(None))
        if np.mean((mask & MaskBit.SATURATED.value) != 0) > _MOST_SATURATED:
            left_out.append((info.path, "Most of its pixels are saturated."))
            continue
        usable = pixels[mask == 0]
        level = float(np.median(usable)) if usable.size else 0.0
        if level <= 0:
            left_out.append((info.path, "There is no light in it above the pedestal."))
            continue
        good.append(info)
        levels.append(level)
    if not good:
        reasons = "; ".join(f"{path.name}: {reason}" for path, reason in left_out)
        raise UnusableFrame(f"No flat frame is well exposed ({reasons})")
    return good, levels, tuple(left_out)


def _noise_of_one(
    pixels: Pixels, good: Sequence[ExposureInfo], levels: Sequence[float], options: ReductionOptions
) -> Pixels:
    """Return the photon noise of one frame at a level of 1, or 0 where no gain is known."""
    gain = good[0].gain_e_adu or options.gain_e_adu
    if gain is None:
        return np.zeros_like(pixels)
    # A frame of level L has a variance of p/(g·L) at response p; the mean over the frames:
    variance = sum(1 / (gain * level) for level in levels) / len(levels)
    noise: Pixels = np.sqrt(np.clip(pixels, 0, None) * np.float32(variance))
    return noise
