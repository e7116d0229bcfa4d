"""Settings of the preprocessor module."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from toros.common.config.section import Section


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
    memory_limit_mb: int = Field(
        default=512, ge=64, description="Memory for the stack of one master, in MB."
    )
    previews: bool = Field(
        default=True, description="Write a PNG preview beside each calibrated image."
    )
