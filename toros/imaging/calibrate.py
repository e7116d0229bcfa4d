"""From a raw light to a calibrated image with its uncertainty and its mask."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from toros.common.errors import AlreadyCalibrated, NoMasterDark, UnusableFrame
from toros.imaging.cosmic_bands import read_noise_for_rays, without_cosmic_rays
from toros.imaging.headers import ExposureInfo, read_exposure
from toros.imaging.light_header import light_header, measured_cards
from toros.imaging.light_noise import noise_of, variance_of
from toros.imaging.light_pixels import Correction, open_light, require_picture
from toros.imaging.light_status import (
    Doubt,
    Status,
    doubt_of_exposure,
    doubt_of_sky,
    status_card,
)
from toros.imaging.light_steps import (
    Band,
    Corrected,
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


@dataclass(frozen=True)
class CalibratedResult:
    """What came of a light.

    Parameters
    ----------
    path, source : pathlib.Path
        The calibrated image, and the raw frame.
    unit : str
        ``"electron"``, or ``"adu"`` where the gain is unknown.
    bias, dark, flat : pathlib.Path, optional
        The masters that were used.
    dark_scale : float
        By how much the master dark was scaled.
    gain_e_adu, read_noise_e : float, optional
        What the uncertainty comes from.
    sky_level, sky_noise : float
        Median of the sky and its scatter per pixel [unit].
    saturated, masked : int
        Number of saturated pixels, and of all that are masked.
    complete : bool
        Whether no master was missing.
    exptime_s : float, optional
        Exposure time, as its header tells it [s].
    fwhm : float, optional
        Full width at half maximum of its stars [pixel]; None where too few stand alone.
    fwhm_stars : int
        Of how many that is the median.
    bad_pixels, fringe : pathlib.Path, optional
        The bad-pixel mask and the fringe frame that were used.
    fringe_amplitude : float, optional
        How much of the fringe frame was subtracted.
    bled, cosmic_rays : int
        Number of pixels in bleed trails, and of those that cosmic rays were replaced in.
    data_sums : tuple of int
        DATASUM of the image, of UNCERT and of MASK.
    notes : tuple of str
        What a person should know; also in the file's HISTORY.
    """

    path: Path
    source: Path
    unit: str
    bias: Path | None
    dark: Path | None
    flat: Path | None
    dark_scale: float
    gain_e_adu: float | None
    read_noise_e: float | None
    sky_level: float
    sky_noise: float
    saturated: int
    masked: int
    complete: bool
    exptime_s: float | None = None
    fwhm: float | None = None
    fwhm_stars: int = 0
    bad_pixels: Path | None = None
    fringe: Path | None = None
    fringe_amplitude: float | None = None
    bled: int = 0
    cosmic_rays: int = 0
    data_sums: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def doubts(self) -> tuple[Doubt, ...]:
        """Why it may not be what it seems."""
        found = (
            doubt_of_sky(self.source.name, self.unit, self.sky_level, self.sky_noise),
            doubt_of_exposure(self.exptime_s, has_dark=self.dark is not None),
        )
        return tuple(doubt for doubt in found if doubt is not None)

    @property
    def status(self) -> tuple[Status, str]:
        """STATUS of its header, and what it means."""
        return status_card(complete=self.complete, doubts=self.doubts)


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
    recipe = recipe_for(info, used, options)
    with open_light(info, options) as light:
        require_picture(light)
        pedestal = bias is not None or light.without_pedestal
        correction = Correction(
            light=light,
            recipe=recipe,
            linearity=linearity_for(pedestal, options, notes),
            gain_e_adu=noise.gain_e_adu,
            variance_adu2=variance_of(light, noise, used, options, notes),
            flat_floor=options.flat_floor,
        )
        strip: Callable[[slice], Strip] = correction.strip
        fit = None
        if fringe is not None:
            pattern = whole_master(fringe, info, options.memory_limit_bytes)
            fit, strip = without_fringes(correction.strip, light.shape, pattern)
            notes.append(f"Fringes of {fit.amplitude:.4g} ± {fit.error:.2g} subtracted.")
        rays_noise_e = read_noise_for_rays(noise, options, notes)
        result = CalibratedResult(
            path=target,
            source=path,
            unit="electron" if noise.gain_e_adu else "adu",
            bias=bias,
            dark=dark,
            flat=flat,
            dark_scale=used.dark_scale,
            gain_e_adu=noise.gain_e_adu,
            read_noise_e=noise.read_noise_e,
            sky_level=0.0,
            sky_noise=0.0,
            fwhm=0.0,
            saturated=0,
            masked=0,
            complete=None not in (bias, dark, flat),
            exptime_s=info.exptime_s,
            bad_pixels=bad_pixels,
            fringe=fringe,
            fringe_amplitude=fit.amplitude if fit is not None else None,
            notes=tuple(notes),
        )
        # Sky and stars are measured while the header is made.
        with begun(lambda: sampled(strip, light.shape, path), alone=alone) as sample:
            header = light_header(light.header, info, result, noise.read_noise_adu, missing or {})
            everything = Band(
                slice(0, light.shape[0]),
                strip,
                correction.encode if correction.is_of_counts and fit is None else None,
            )
            bands: Iterable[Band] = [everything]
            if rays_noise_e is not None:
                bands = without_cosmic_rays(
                    strip, light.shape, rays_noise_e, lambda: sample().sky_level, options
                )
            corrected = Corrected(
                shape=light.shape,
                bands=bands,
                sample=sample,
                finish_mask=partial(mark_bleeding, correction, options),
                finish_header=lambda cards, measured: measured_cards(
                    cards, replace(result, **asdict(measured))
                ),
            )
            measured = write_light(target, header, corrected, options, alone=alone)
    return replace(result, **asdict(measured))


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
