"""Settings of the preprocessor module."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from toros.common.config.section import Section


class LinearitySettings(Section):
    """The linearity of one camera."""

    instrument: str = Field(min_length=1, description="The camera, as in INSTRUME.")
    coefficients: tuple[float, ...] = Field(
        description=(
            "c1, c2, ... of true = counts * (1 + c1 * counts + c2 * counts^2 ...), counts in ADU "
            "above the bias."
        )
    )


class FringeSettings(Section):
    """The fringe frame of one camera and filter."""

    instrument: str = Field(min_length=1, description="The camera, as in INSTRUME.")
    filter: str = Field(min_length=1, description="The filter, as in FILTER.")
    path: Path = Field(description="A FITS file of the pattern alone, of the size of the frames.")


class TransferSettings(Section):
    """How file batches are fetched and unpacked."""

    timeout_s: float = Field(
        default=30.0, gt=0, le=600, description="How long a server may say nothing."
    )
    longest_s: float = Field(
        default=14400.0, gt=0, description="How long one attempt at one file may take."
    )
    attempts: int = Field(
        default=4,
        ge=1,
        le=100,
        description="How often a file is tried; each attempt goes on where the last broke off.",
    )
    retry_s: float = Field(
        default=1.0,
        ge=0,
        description="Pause before the second attempt, twice as long before each further one.",
    )
    max_gb: float = Field(
        default=500.0,
        gt=0,
        description="The most that one source may hold, unpacked, in 10^9 bytes.",
    )
    max_files: int = Field(default=50000, ge=1, description="The most files of one source.")


def _off(given: object) -> object:
    """Return ``"off"`` for what YAML makes of an ``off`` without quotes."""
    return "off" if given is False else given


class PreprocessorSettings(Section):
    """Settings of the preprocessor module."""

    missing_masters: Literal["calibrate", "fail"] = Field(
        default="calibrate",
        description=(
            "What becomes of a frame for which a master is missing: 'calibrate' it with what is "
            "there (its header, the archive and the report say so), or 'fail' it."
        ),
    )
    masters_from_other_batches: bool = Field(
        default=True,
        description="Use masters of other file batches where a file batch has none that match.",
    )
    masters_max_age_days: float = Field(
        default=30.0,
        gt=0,
        description="How far in time, in days, a master of another file batch may be.",
    )
    scale_darks: bool = Field(
        default=True,
        description=(
            "Scale a bias-subtracted master dark of another exposure time where none of the same "
            "exposure time matches."
        ),
    )
    max_dark_scale: float = Field(
        default=2.0,
        gt=0,
        description="Never scale a dark up by more than this: its noise is scaled with it.",
    )
    exptime_tolerance_s: float = Field(
        default=0.01,
        ge=0,
        description="Exposure times that differ by no more than this, in seconds, are the same.",
    )
    temperature_tolerance: float = Field(
        default=1.0,
        ge=0,
        description="CCD temperatures that differ by no more than this, in Celsius, are the same.",
    )
    combine: Literal["sigma_clip", "median", "mean"] = Field(
        default="sigma_clip", description="How the frames of a master are combined."
    )
    sigma_clip_low: float = Field(
        default=3.0, gt=0, description="Clip below so many deviations from the median."
    )
    sigma_clip_high: float = Field(
        default=3.0, gt=0, description="Clip above so many deviations from the median."
    )
    min_frames_to_clip: int = Field(
        default=5,
        ge=3,
        description="With fewer frames, three or four give their median, one or two their mean.",
    )
    gain: float | None = Field(
        default=None,
        gt=0,
        description="Electrons per ADU where the header does not say; null: measured where it can.",
    )
    read_noise: float | None = Field(
        default=None,
        ge=0,
        description="Electrons, where the header does not say; null: measured where it can.",
    )
    overscan: Annotated[Literal["fit", "row", "median", "off"], BeforeValidator(_off)] = Field(
        default="fit",
        description=(
            "How the overscan of frames that have one (BIASSEC) is subtracted: the medians of its "
            "rows fitted, these medians as they are, one median, or not at all."
        ),
    )
    overscan_degree: int = Field(
        default=3, ge=0, le=20, description="Degree of the polynomial through the overscan."
    )
    linearity: tuple[LinearitySettings, ...] = Field(
        default=(), description="Linearity of cameras; others are taken as linear."
    )
    fringe_frames: tuple[FringeSettings, ...] = Field(
        default=(), description="Fringe frames, fitted to the sky of each light and subtracted."
    )
    leave_out_odd_frames: bool = Field(
        default=True,
        description=(
            "Leave frames out of a master whose level, noise or shape is not that of the others."
        ),
    )
    bias_temperature_tolerance: float = Field(
        default=3.0,
        gt=0,
        description="Biases whose CCD temperatures differ by more, in Celsius, are not combined.",
    )
    mask_bleeding: bool = Field(
        default=True, description="Mask the trails that bleed out of saturated stars."
    )
    cosmic_rays: bool = Field(
        default=False,
        description=(
            "Find cosmic rays in lights (L.A.Cosmic), replace them, and mark them in the mask."
        ),
    )
    cosmic_ray_sigma: float = Field(
        default=4.5, gt=0, description="How many deviations a cosmic ray stands out by."
    )
    cosmic_ray_contrast: float = Field(
        default=5.0,
        gt=0,
        description="How much sharper than a star it is; more where cores of stars are taken.",
    )
    read_out_axis: Literal["y", "x"] = Field(
        default="y", description="Along which axis of the image saturated stars bleed."
    )
    bad_pixel_masks: bool = Field(
        default=True, description="Find bad pixels in the masters and mask them in the lights."
    )
    hot_pixel_rate: float = Field(
        default=1.0,
        ge=0,
        description="A pixel is hot from so many electrons per second above the median dark.",
    )
    dead_pixel_response: float = Field(
        default=0.5, ge=0, lt=1, description="A pixel is dead below this part of those around it."
    )
    memory_limit_mb: int = Field(
        default=512,
        ge=64,
        description="Memory for the stack of one master, and for the masters of a light, in MB.",
    )
    validate_masters: bool = Field(
        default=True,
        description=(
            "Compare each new master with the nearest good one of other file batches, and do not "
            "use it where they differ too much (only with masters_from_other_batches)."
        ),
    )
    validation_sigma: float = Field(
        default=6.0,
        gt=0,
        description="A pixel of a master has changed from so many deviations on.",
    )
    validation_max_fraction: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="A new master is not used if more than this part of its pixels has changed.",
    )
    validation_tolerance_adu: float = Field(
        default=5.0,
        ge=0,
        description="So many ADU more are no change of a bias or dark: the level of biases drifts.",
    )
    validation_tolerance_flat: float = Field(
        default=0.03,
        ge=0,
        description="So much more is no change of a flat, whose mean is 1: twilight is uneven.",
    )
    compression: Literal["none", "rice", "gzip"] = Field(
        default="none",
        description=(
            "How calibrated images are written: as they are, tile-compressed with RICE (a quarter "
            "of the size; quantised), or with GZIP (nothing is lost, little is gained)."
        ),
    )
    quantise_level: float = Field(
        default=16.0,
        ge=1,
        le=1000,
        description=(
            "With RICE, steps of quantisation in the noise of a pixel: it adds at most "
            "1/(12 level^2) to the variance."
        ),
    )
    previews: bool = Field(
        default=True, description="Write a PNG preview beside each calibrated image."
    )
    report: bool = Field(
        default=True,
        description="Write report.html beside the products: what became of the file batch.",
    )
    transfer: TransferSettings = Field(
        default=TransferSettings(),
        description="How file batches from archive files and over HTTP(S) are had.",
    )
