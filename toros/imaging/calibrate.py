"""From a raw light to a calibrated image with its uncertainty and its mask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import ccdproc
import numpy as np
from astropy import units as u
from astropy.nddata import CCDData, StdDevUncertainty
from astropy.stats import sigma_clipped_stats
from numpy.typing import NDArray

from toros.common.errors import AlreadyCalibrated, NoMasterDark, UnusableFrame
from toros.imaging.bleeding import bleed_mask
from toros.imaging.defects import read_bad_pixels
from toros.imaging.frames import Frame, MaskBit, Master, Pixels, read_frame, read_master_for
from toros.imaging.fringes import fit_fringes
from toros.imaging.headers import ExposureInfo, read_exposure
from toros.imaging.light_header import light_header
from toros.imaging.linearity import linearise_raw
from toros.imaging.matching import dark_scale, is_bias_subtracted
from toros.imaging.noise import scatter
from toros.imaging.options import ReductionOptions
from toros.imaging.products import write_image

_DEFAULTS = ReductionOptions()
# The sky level of so many pixels is as good as that of all.
_SKY_SAMPLE = 1_000_000
# Bias frames noisier than this times what the header tells are worth a note.
_READ_NOISE_EXCESS = 1.3


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
    bad_pixels, fringe : pathlib.Path, optional
        The bad-pixel mask and the fringe frame that were used.
    fringe_amplitude : float, optional
        How much of the fringe frame was subtracted.
    bled : int
        Number of pixels in bleed trails.
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
    bad_pixels: Path | None = None
    fringe: Path | None = None
    fringe_amplitude: float | None = None
    bled: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Masters:
    bias: Master | None
    dark: Master | None
    flat: Master | None
    dark_scale: float
    dark_holds_bias: bool


@dataclass(frozen=True)
class Noise:
    """Gain [e-/ADU] and read noise [ADU], each None where unknown."""

    gain_e_adu: float | None
    read_noise_adu: float | None

    @property
    def read_noise_e(self) -> float | None:
        """Read noise in electrons."""
        if self.gain_e_adu is None or self.read_noise_adu is None:
            return None
        return self.gain_e_adu * self.read_noise_adu


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

    Raises
    ------
    UnreadableFile, MixedShapes
        If a file cannot be read, or a master has another size.
    AlreadyCalibrated
        If the frame is no raw frame.
    NoMasterDark
        If the master dark has another exposure time and may not be scaled.
    UnusableFrame
        If a pedestal would be subtracted twice, or no pixel is usable.
    """
    info = read_exposure(path)
    if info.processed is not None:
        raise AlreadyCalibrated(f"{path}: {info.processed}")
    frame = read_frame(path, info, options=options)
    masters, notes = _read_masters(info, bias, dark, flat, options)
    noise = _noise(info, bias, flat, options, notes)
    mask = _mask(frame, masters, options)
    if bad_pixels is not None:
        mask[read_bad_pixels(info, bad_pixels)] |= MaskBit.BAD_PIXEL.value
    frame = _linear(frame, masters, options, notes)
    ccd = _correct(_with_deviation(frame, masters, noise, notes), masters, noise)
    pixels, uncertainty = _arrays(ccd, mask)
    fitted = _defringe(pixels, mask, info, fringe, notes)
    sky_level, sky_noise = _sky(pixels, mask, path)
    result = CalibratedResult(
        path=target,
        source=path,
        unit="electron" if noise.gain_e_adu else "adu",
        bias=bias,
        dark=dark,
        flat=flat,
        dark_scale=masters.dark_scale,
        gain_e_adu=noise.gain_e_adu,
        read_noise_e=noise.read_noise_e,
        sky_level=sky_level,
        sky_noise=sky_noise,
        saturated=int(((mask & MaskBit.SATURATED.value) != 0).sum()),
        masked=int((mask != 0).sum()),
        complete=None not in (bias, dark, flat),
        bad_pixels=bad_pixels,
        fringe=fringe,
        fringe_amplitude=fitted,
        bled=int(((mask & MaskBit.BLEED.value) != 0).sum()),
        notes=tuple(notes),
    )
    header = light_header(frame.header, info, result, noise.read_noise_adu, missing or {})
    write_image(target, header, pixels, uncertainty, mask)
    return result


def _read_masters(
    info: ExposureInfo,
    bias: Path | None,
    dark: Path | None,
    flat: Path | None,
    options: ReductionOptions,
) -> tuple[_Masters, list[str]]:
    notes: list[str] = []
    scale, holds_bias = 1.0, False
    if dark is not None:
        dark_info = read_exposure(dark)
        holds_bias = not is_bias_subtracted(dark_info)
        if bias is not None and holds_bias:
            raise UnusableFrame(f"{dark}: holds the bias too, which would be subtracted twice.")
        wanted = dark_scale(info.exptime_s, dark_info, options)
        if isinstance(wanted, str):
            raise NoMasterDark(f"{dark.name} does not fit {info.path.name}: {wanted}.")
        scale = wanted
        if scale != 1.0:
            notes.append(f"Master dark of {dark_info.exptime_s:g} s scaled by {scale:.6g}.")
    read = [read_master_for(info, master) if master else None for master in (bias, dark, flat)]
    return _Masters(read[0], read[1], read[2], scale, holds_bias), notes


def _noise(
    info: ExposureInfo,
    bias: Path | None,
    flat: Path | None,
    options: ReductionOptions,
    notes: list[str],
) -> Noise:
    """Take the gain and the read noise from the header, the options, or what masters measured."""
    gain = info.gain_e_adu or options.gain_e_adu
    if gain is None and flat is not None:
        flat_info = read_exposure(flat)
        measured_gain = flat_info.header.get("GAINMEAS")
        same = flat_info.gain_setting == info.gain_setting
        if same and isinstance(measured_gain, int | float) and measured_gain > 0:
            gain = float(measured_gain)
            notes.append(f"The gain of {gain:.4g} e-/ADU was measured on pairs of the flats.")
    measured = read_exposure(bias).header.get("RDNOISEA") if bias is not None else None
    measured_adu = float(measured) if isinstance(measured, int | float) else None
    told_e = info.read_noise_e or options.read_noise_e
    if told_e is None or not gain:
        return Noise(gain, measured_adu)
    if measured_adu is not None and measured_adu * gain > _READ_NOISE_EXCESS * told_e:
        notes.append(
            f"The header's read noise is {told_e:.1f} e-, but the bias frames show "
            f"{measured_adu * gain:.1f} e-: the uncertainty may be too small."
        )
    return Noise(gain, told_e / gain)


def _mask(frame: Frame, masters: _Masters, options: ReductionOptions) -> NDArray[np.uint8]:
    mask = frame.mask.copy()
    for master in (masters.bias, masters.dark):
        if master is not None:
            mask[master.mask] |= MaskBit.BAD_MASTER.value
    if masters.flat is not None:
        dead = masters.flat.mask | (masters.flat.pixels < options.flat_floor)
        mask[dead] |= MaskBit.BAD_FLAT.value
        # Nothing is divided there: the value stays finite, and masked.
        masters.flat.pixels[dead] = 1
    if options.mask_bleeding:
        saturated = (mask & MaskBit.SATURATED.value) != 0
        axis: Literal[0, 1] = 0 if options.read_out_axis == "y" else 1
        mask[bleed_mask(frame.pixels, saturated, axis)] |= MaskBit.BLEED.value
    return mask


def _linear(frame: Frame, masters: _Masters, options: ReductionOptions, notes: list[str]) -> Frame:
    if not options.linearity:
        return frame
    pedestal: Pixels | np.float32 = np.float32(0)
    if masters.bias is not None:
        pedestal = masters.bias.pixels
    elif not frame.without_pedestal:
        notes.append("No bias level is known: the linearity is not corrected.")
        return frame
    pixels = linearise_raw(frame.pixels, pedestal, options.linearity)
    return replace(frame, pixels=pixels)


def _defringe(
    pixels: Pixels,
    mask: NDArray[np.uint8],
    info: ExposureInfo,
    fringe: Path | None,
    notes: list[str],
) -> float | None:
    """Subtract the fringes from `pixels`, in place; return how much of the frame."""
    if fringe is None:
        return None
    pattern = read_master_for(info, fringe)
    fit = fit_fringes(pixels, pattern.pixels, (mask != 0) | pattern.mask)
    pixels -= np.float32(fit.amplitude) * np.where(pattern.mask, np.float32(0), pattern.pixels)
    notes.append(f"Fringes of {fit.amplitude:.4g} ± {fit.error:.2g} subtracted.")
    return fit.amplitude


def _with_deviation(frame: Frame, masters: _Masters, noise: Noise, notes: list[str]) -> CCDData:
    """Return the raw frame [ADU] with the standard deviation of photons and read-out.

    Photons are counted above the bias pedestal (`ccdproc.ccd_process` counts the pedestal too);
    the dark current's are among them. Where noise took a pixel below the pedestal, it has none.
    """
    if noise.read_noise_adu is None:
        notes.append("The read noise is unknown and left out of the uncertainty.")
    if noise.gain_e_adu is None:
        notes.append(
            "The gain is unknown: the uncertainty is the scatter of the sky, the same everywhere."
        )
        deviation = np.full_like(frame.pixels, scatter(np.diff(frame.pixels, axis=1)) / np.sqrt(2))
    else:
        photons = frame.pixels
        if masters.bias is not None:
            photons = photons - masters.bias.pixels
        elif masters.dark is not None and masters.dark_holds_bias:
            photons = photons - masters.dark.pixels
        elif not frame.without_pedestal:
            notes.append("No bias level is known: its counts are in the uncertainty, too large.")
        variance = np.clip(photons, 0, None) / np.float32(noise.gain_e_adu)
        if frame.read_noise_e is not None:
            variance += (frame.read_noise_e / np.float32(noise.gain_e_adu)) ** 2
        else:
            variance += np.float32((noise.read_noise_adu or 0.0) ** 2)
        deviation = np.sqrt(variance)
    return CCDData(frame.pixels, unit=u.adu, uncertainty=StdDevUncertainty(deviation))


def _correct(ccd: CCDData, masters: _Masters, noise: Noise) -> CCDData:
    """Subtract bias and dark, turn ADU into electrons, divide by the flat; with ccdproc."""
    if masters.bias is not None:
        ccd = ccdproc.subtract_bias(ccd, _ccd(masters.bias))
    if masters.dark is not None:
        # Scaled here: ccdproc's own scaling returns float64.
        scaled = _ccd(masters.dark, np.float32(masters.dark_scale))
        ccd = ccd.subtract(scaled)
    if noise.gain_e_adu is not None:
        gain = np.float32(noise.gain_e_adu) * u.electron / u.adu
        ccd = ccdproc.gain_correct(ccd, gain)
    if masters.flat is not None:
        flat = _ccd(masters.flat, unit=u.dimensionless_unscaled)
        # Given the norm, or ccdproc would take the mean of masked pixels too.
        ccd = ccdproc.flat_correct(ccd, flat, norm_value=1.0)
    return ccd


def _ccd(master: Master, factor: np.float32 | None = None, unit: u.UnitBase = u.adu) -> CCDData:
    """Return the master times `factor` as ccdproc takes it; masks are kept apart, by bits."""
    scale = np.float32(1) if factor is None else factor
    error = None
    if master.uncertainty is not None:
        # A NaN would spread to the light; where a master's error is unknown, its mask says so.
        error = StdDevUncertainty(np.nan_to_num(master.uncertainty) * scale)
    return CCDData(master.pixels * scale, unit=unit, uncertainty=error)


def _arrays(ccd: CCDData, mask: NDArray[np.uint8]) -> tuple[Pixels, Pixels]:
    pixels = np.asarray(ccd.data, dtype=np.float32)
    uncertainty = np.asarray(ccd.uncertainty.array, dtype=np.float32)
    bad = ~(np.isfinite(pixels) & np.isfinite(uncertainty))
    if bad.any():
        mask[bad] |= MaskBit.NO_DATA.value
        pixels[bad], uncertainty[bad] = 0, 0
    return pixels, uncertainty


def _sky(pixels: Pixels, mask: NDArray[np.uint8], path: Path) -> tuple[float, float]:
    """Return the median of the sky and its scatter per pixel, stars clipped."""
    good = pixels[mask == 0]
    if good.size == 0:
        raise UnusableFrame(f"{path}: no pixel of this frame is usable.")
    sample = good[:: max(1, good.size // _SKY_SAMPLE)]
    _, median, deviation = sigma_clipped_stats(sample, sigma=3.0, maxiters=10)
    return float(median), float(deviation)
