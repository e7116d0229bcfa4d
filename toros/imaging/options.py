"""What the user of this room may choose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class ReductionOptions:
    """Choices of a reduction. The defaults suit a cooled CCD and a night of ordinary length.

    Parameters
    ----------
    combine : str
        How the frames of a master are combined: ``"sigma_clip"`` (mean of what one clip about the
        median leaves, deviation from the MAD), ``"median"`` or ``"mean"``.
    sigma_low, sigma_high : float
        Clip so many deviations below and above the median.
    min_frames_to_clip : int
        With fewer frames the MAD of a pixel means little: three or four are combined by their
        median, one or two by their mean.
    exptime_tolerance_s : float
        Exposure times [s] that differ by no more than this are the same.
    dark_temperature_tolerance_c : float
        CCD temperatures [°C] that differ by no more than this are the same.
    scale_darks : bool
        Scale a bias-subtracted master dark where none has the light's exposure time.
    max_dark_scale : float
        Never scale a dark up by more than this: its noise and its hot pixels are scaled with it.
    flat_floor : float
        Pixels where a master flat (normalised to 1) is below this are masked and not divided.
    memory_limit_bytes : int
        Bound on the memory for the stack of one master.
    gain_e_adu, read_noise_e : float, optional
        Used where the header does not say.
    overscan : str
        How the overscan of a frame that has one is subtracted: ``"fit"`` (the medians of its rows,
        fitted), ``"row"`` (these medians as they are), ``"median"`` (one level), ``"off"``.
    overscan_degree : int
        Degree of the fitted polynomial.
    linearity : tuple of float
        Coefficients of `toros.imaging.linearity`; none: the detector is taken as linear.
    leave_out_odd_frames : bool
        Leave frames out of a master whose level, noise or shape is not that of the others.
    mask_bleeding : bool
        Mask the trails that bleed out of saturated stars.
    read_out_axis : str
        Along which axis charge is shifted as the detector is read out: ``"y"`` or ``"x"``.
    cosmic_rays : bool
        Find cosmic rays in lights, replace them, and mark them in the mask.
    cosmic_ray_sigma, cosmic_ray_contrast : float
        Limits of `toros.imaging.cosmic_rays.CosmicRayOptions`.
    compression : str
        How calibrated lights are written: ``"none"``, ``"rice"`` or ``"gzip"``.
    quantise_level : float
        Of ``"rice"``: steps of quantisation in the noise of a pixel.
    """

    combine: Literal["sigma_clip", "median", "mean"] = "sigma_clip"
    sigma_low: float = 3.0
    sigma_high: float = 3.0
    min_frames_to_clip: int = 5
    exptime_tolerance_s: float = 0.01
    dark_temperature_tolerance_c: float = 1.0
    scale_darks: bool = True
    max_dark_scale: float = 2.0
    flat_floor: float = 0.05
    memory_limit_bytes: int = 512 * 1024**2
    gain_e_adu: float | None = None
    read_noise_e: float | None = None
    overscan: Literal["fit", "row", "median", "off"] = "fit"
    overscan_degree: int = 3
    linearity: tuple[float, ...] = ()
    leave_out_odd_frames: bool = True
    mask_bleeding: bool = True
    read_out_axis: Literal["y", "x"] = "y"
    cosmic_rays: bool = False
    cosmic_ray_sigma: float = 4.5
    cosmic_ray_contrast: float = 5.0
    compression: Literal["none", "rice", "gzip"] = "none"
    quantise_level: float = 16.0
