"""From a raw light to a calibrated image with its uncertainty and its mask."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from toros.common.errors import AlreadyCalibrated, NoMasterDark, UnusableFrame
from toros.imaging.cosmic_bands import read_noise_for_rays, without_cosmic_rays
from toros.imaging.headers import ExposureInfo, read_exposure
from toros.imaging.light_header import light_header, measured_cards
from toros.imaging.light_noise import Noise, noise_of, variance_of
from toros.imaging.light_pixels import Correction, RawLight, open_light, require_picture
from toros.imaging.light_result import CalibratedResult
from toros.imaging.light_steps import (
    Band,
    Corrected,
    Encode,
    linearity_for,
    mark_bleeding,
    sampled,
    without_fringes,
    write_light,
)
from toros.imaging.master_words import whole_master
from toros.imaging.matching import dark_scale, is_bias_subtracted
from toros.imaging.options import ReductionOptions
from toros.imaging.pool import begun
from toros.imaging.products import Strip
from toros.imaging.recipe import Ingredients, recipe_for

_DEFAULTS = ReductionOptions()


def calibrate_light(
    path: Path,
    target: Path,
    *,
    bias: Path | None,
    dark: Path | None,
    flat: Path | None,
    bad_pixels: Path | None = None,
    fringe: Path | None = None,
    options: ReductionOptions = _DEFAULTS,
    missing: Mapping[str, str] | None = None,
    alone: bool = False,
) -> CalibratedResult:
    """Calibrate one raw light: overscan, bias, linearity, dark, gain, flat, uncertainty, mask.

    Parameters
    ----------
    path, target : pathlib.Path
        The raw frame, which is only read, and the calibrated image to write.
    bias, dark, flat : pathlib.Path or None
        The masters. Without one, the frame is calibrated with what is there, and its header
        says so.
    bad_pixels : pathlib.Path, optional
        The bad-pixel mask.
    fringe : pathlib.Path, optional
        A fringe frame: its pattern, fitted to the sky, is subtracted.
    missing : mapping, optional
        For ``"bias"``, ``"dark"``, ``"flat"``: why there is none. Written into HISTORY.
    alone : bool
        Calibrate the rows in the calling thread, for who has a light for every core: two threads
        that write to one file wait for each other.

    Raises
    ------
    UnreadableFile, MixedShapes
        If a file cannot be read, or a master has another size.
    AlreadyCalibrated
        If the frame is no raw frame.
    NoMasterDark
        If the master dark has another exposure time and may not be scaled.
    UnusableFrame
        If a pedestal would be subtracted twice, no pixel is usable, or all have the same value.
    """
    info = read_exposure(path)
    if info.processed is not None:
        raise AlreadyCalibrated(f"{path}: {info.processed}")
    used, notes = _ingredients(info, bias, dark, flat, bad_pixels, options)
    noise = noise_of(info, bias, flat, options, notes)
    with open_light(info, options) as light:
        require_picture(light)
        correction = _correction(light, used, noise, options, notes)
        rows = _rows(correction, fringe, noise, options, notes)
        result = _without_measures(target, info, used, noise, fringe)
        result = replace(result, fringe_amplitude=rows.fringe_amplitude, notes=tuple(notes))
        # Sky and stars are measured while the header is made.
        with begun(lambda: sampled(rows.strip, light.shape, path), alone=alone) as sample:
            why_missing = dict(missing or {})
            if used.dark_holds_bias:
                why_missing["bias"] = "the master dark holds the bias"
            header = light_header(light.header, info, result, noise.read_noise_adu, why_missing)
            corrected = Corrected(
                shape=light.shape,
                bands=rows.bands(light.shape, lambda: sample().sky_level, options),
                sample=sample,
                finish_mask=partial(mark_bleeding, correction, options),
                finish_header=lambda cards, measured: measured_cards(
                    cards, replace(result, **asdict(measured))
                ),
            )
            measured = write_light(target, header, corrected, options, alone=alone)
    return replace(result, **asdict(measured))


def _correction(
    light: RawLight,
    used: Ingredients,
    noise: Noise,
    options: ReductionOptions,
    notes: list[str],
) -> Correction:
    pedestal = used.bias is not None or light.without_pedestal
    return Correction(
        light=light,
        recipe=recipe_for(light.info, used, options),
        linearity=linearity_for(pedestal, options, notes),
        gain_e_adu=noise.gain_e_adu,
        variance_adu2=variance_of(light, noise, used, options, notes),
        flat_floor=options.flat_floor,
    )


@dataclass(frozen=True)
class _Rows:
    """How the rows of a light are had when all is done to them that takes only some rows to do.

    Parameters
    ----------
    encode : callable, optional
        See `Band`.
    fringe_amplitude : float, optional
        How much of the fringe frame is subtracted.
    rays_noise_e : float, optional
        The read noise to tell cosmic rays from; None: they are not looked for.
    saturation_e : float
        What stars reach at most.
    """

    strip: Callable[[slice], Strip]
    encode: Encode | None
    fringe_amplitude: float | None
    rays_noise_e: float | None
    saturation_e: float

    def bands(
        self, shape: tuple[int, int], sky_level: Callable[[], float], options: ReductionOptions
    ) -> Iterable[Band]:
        if self.rays_noise_e is None:
            return [Band(slice(0, shape[0]), self.strip, self.encode)]
        return without_cosmic_rays(
            self.strip, shape, self.rays_noise_e, self.saturation_e, sky_level, options
        )


def _rows(
    correction: Correction,
    fringe: Path | None,
    noise: Noise,
    options: ReductionOptions,
    notes: list[str],
) -> _Rows:
    strip: Callable[[slice], Strip] = correction.strip
    encode = correction.encode if correction.is_of_counts else None
    amplitude = None
    if fringe is not None:
        light = correction.light
        pattern = whole_master(fringe, light.info, options.memory_limit_bytes)
        fit, strip = without_fringes(correction.strip, light.shape, pattern)
        notes.append(f"Fringes of {fit.amplitude:.4g} ± {fit.error:.2g} subtracted.")
        encode, amplitude = None, fit.amplitude
    full_adu = correction.light.info.saturation_adu
    saturation_e = math.inf if full_adu is None else full_adu * (noise.gain_e_adu or 1.0)
    rays_noise_e = read_noise_for_rays(noise, options, notes)
    return _Rows(strip, encode, amplitude, rays_noise_e, saturation_e)


def _without_measures(
    target: Path, info: ExposureInfo, used: Ingredients, noise: Noise, fringe: Path | None
) -> CalibratedResult:
    """Return what is known of a light before it is written: each measure keeps its place."""
    return CalibratedResult(
        path=target,
        source=info.path,
        unit="electron" if noise.gain_e_adu else "adu",
        bias=used.bias,
        dark=used.dark,
        flat=used.flat,
        dark_scale=used.dark_scale,
        gain_e_adu=noise.gain_e_adu,
        read_noise_e=noise.read_noise_e,
        sky_level=0.0,
        sky_noise=0.0,
        fwhm=0.0,
        saturated=0,
        masked=0,
        complete=used.complete,
        exptime_s=info.exptime_s,
        bad_pixels=used.bad_pixels,
        fringe=fringe,
    )


def _ingredients(
    info: ExposureInfo,
    bias: Path | None,
    dark: Path | None,
    flat: Path | None,
    bad_pixels: Path | None,
    options: ReductionOptions,
) -> tuple[Ingredients, list[str]]:
    notes: list[str] = []
    scale, holds_bias, lost_bias = 1.0, False, False
    if dark is not None:
        dark_info = read_exposure(dark)
        holds_bias = not is_bias_subtracted(dark_info)
        lost_bias = bias is not None and dark_info.header.get("BIASCOR") == bias.name
        if bias is not None and holds_bias:
            raise UnusableFrame(f"{dark}: holds the bias too, which would be subtracted twice.")
        wanted = dark_scale(info.exptime_s, dark_info, options)
        if isinstance(wanted, str):
            raise NoMasterDark(f"{dark.name} does not fit {info.path.name}: {wanted}.")
        scale = wanted
        if scale != 1.0:
            notes.append(f"Master dark of {dark_info.exptime_s:g} s scaled by {scale:.6g}.")
    used = Ingredients(
        bias=bias,
        dark=dark,
        flat=flat,
        bad_pixels=bad_pixels,
        dark_scale=scale,
        dark_holds_bias=holds_bias,
        dark_lost_bias=lost_bias,
    )
    return used, notes
