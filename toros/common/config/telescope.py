"""Settings of the telescope module."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from toros.common.config.section import Section

Seconds = Annotated[float, Field(ge=0)]


class Limits(Section):
    """Where and when a target may be observed. Each holds through the whole of a block."""

    min_altitude_deg: float = Field(30.0, ge=0, lt=90, description="Lowest altitude.")
    max_altitude_deg: float = Field(
        88.0,
        gt=0,
        le=90,
        description="Highest altitude: an altazimuth mount or a dome slit is lost at the zenith.",
    )
    max_airmass: float = Field(2.0, ge=1, description="Greatest airmass.")
    min_moon_separation_deg: float = Field(
        30.0, ge=0, le=180, description="Least angle between target and Moon."
    )
    max_sun_altitude_deg: float = Field(
        -15.0, ge=-90, le=0, description="The Sun is lower than this during every exposure."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_altitude_deg >= self.max_altitude_deg:
            raise ValueError(
                f"min_altitude_deg ({self.min_altitude_deg:g}) must be below max_altitude_deg "
                f"({self.max_altitude_deg:g})"
            )
        return self


class Mode(StrEnum):
    """Who decides what the telescope does."""

    MANUAL = "manual"
    SCRIPTED = "scripted"
    AUTONOMOUS = "autonomous"


class FocusSettings(Section):
    """Focus runs: star sizes at several positions, and the parabola through their squares."""

    enabled: bool = Field(True, description="Focus runs where there is a focuser.")
    points: int = Field(7, ge=5, le=31, description="Positions of one run.")
    step: int = Field(300, ge=1, description="Steps of the focuser between two positions.")
    exptime_s: float = Field(5.0, gt=0, le=300, description="Exposure time of each.")
    min_stars: int = Field(5, ge=1, description="Stars that a frame must show to be counted.")
    sun_altitude_deg: float = Field(
        -10.0, ge=-90, le=0, description="The first run of a night begins below this Sun."
    )
    temperature_change_c: float = Field(
        2.0, gt=0, description="A new run when the focuser's temperature changed by so much."
    )
    filter_offsets: dict[str, int] = Field(
        {},
        description="Steps from the best focus of the first filter to that of each other; when "
        "some are given, a focus run is made before a filter without.",
    )


class MeritSettings(Section):
    """How much each merit of a moment counts in the plan: 0 not at all, 1 fully.

    A merit m of importance c multiplies the worth of a block by 1 - c (1 - m).
    """

    airmass: float = Field(0.4, ge=0, le=1, description="Low airmass: 1 / airmass.")
    time_to_set: float = Field(
        0.1, ge=0, le=1, description="Sets soon: 1 at the last moment, 0 with two hours left."
    )
    alert_age: float = Field(
        1.0, ge=0, le=1, description="Soon after its alert: halves with each half-life."
    )
    alert_half_life_h: float = Field(
        4.0, gt=0, description="Half-life of the worth of an alert's targets, hours."
    )
    interval: float = Field(
        0.8, ge=0, le=1, description="The wanted interval since the last visit has passed."
    )
    moon: float = Field(0.3, ge=0, le=1, description="Moon down, new or far away.")

    def importance(self) -> dict[str, float]:
        """Return the importance of each merit by its name."""
        return {
            "airmass": self.airmass,
            "time_to_set": self.time_to_set,
            "alert_age": self.alert_age,
            "interval": self.interval,
            "moon": self.moon,
        }


class FlatSettings(Section):
    """Twilight flats."""

    filters: tuple[str, ...] = Field(
        (),
        description="Filters to take flats in, the least sensitive first: evenings go down the "
        "list, mornings up. None: those that tonight's queue uses, by their usual brightness.",
    )
    morning: bool = Field(True, description="What the evening left is taken at dawn.")
    dither_arcsec: float = Field(
        60.0, ge=0, description="Shift between two flats, so that no star stays in the median."
    )
    count: int = Field(5, ge=0, le=1000, description="Flats per filter; 0: none.")
    level_fraction: float = Field(
        0.4, gt=0, lt=1, description="Level aimed at, as a fraction of the greatest count."
    )
    accepted_fraction: tuple[float, float] = Field(
        (0.15, 0.7), description="Range of levels in which a flat is kept."
    )
    min_exptime_s: Seconds = Field(
        0.5, description="Shortest exposure: below it the shutter's travel shows."
    )
    max_exptime_s: Seconds = Field(30.0, description="Longest exposure: beyond it stars show.")
    sun_altitude_deg: tuple[float, float] = Field(
        (-1.0, -12.0), description="Sun's altitudes between which flats are taken, higher first."
    )
    altitude_deg: float = Field(
        75.0,
        gt=0,
        lt=88,
        description="Altitude of the field, opposite the Sun (Chromey & "
        "Hasselbacher 1996: the sky is flattest there).",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low, high = self.accepted_fraction
        if not 0 < low < self.level_fraction < high <= 1:
            raise ValueError("accepted_fraction must be (low, high) with level_fraction between")
        if self.min_exptime_s > self.max_exptime_s:
            raise ValueError("min_exptime_s must not exceed max_exptime_s")
        if self.sun_altitude_deg[0] <= self.sun_altitude_deg[1]:
            raise ValueError("sun_altitude_deg must be (higher, lower)")
        return self


class TelescopeSettings(Section):
    """Settings of the telescope module."""

    mode: Mode = Field(
        Mode.AUTONOMOUS,
        description="manual: step by step orders only; scripted: nights of what people queue; "
        "autonomous: alerts too. An order `mode` changes it until the next one.",
    )
    opens_below_sun_deg: float | None = Field(
        None,
        ge=-18,
        le=20,
        description="In autonomous mode the night opens by itself when the Sun sinks below "
        "this; null: it waits for open_night.",
    )

    name: str = Field("TOROS", description="Name of the telescope in FITS headers (TELESCOP).")
    focal_length_mm: float | None = Field(
        None, gt=0, description="Focal length; gives FOCALLEN and PIXSCALE in FITS headers."
    )
    aperture_mm: float | None = Field(None, gt=0, description="Aperture; APTDIA in FITS headers.")
    read_noise_e: float | None = Field(
        None, ge=0, description="Read noise in electrons where it is known (RDNOISE)."
    )
    limits: Limits = Field(Limits(), description="Where and when a target may be observed.")

    horizon_deg: float = Field(
        10.0, ge=-2, lt=90, description="No slew below this altitude, whoever asks for it."
    )
    horizon: tuple[tuple[float, float], ...] = Field(
        (),
        description="Mask of what stands around: [azimuth, altitude] points, degrees; straight "
        "between them, and nowhere below horizon_deg.",
    )
    meridian_limit_h: float | None = Field(
        None,
        ge=0,
        le=6,
        description="A German mount may track so far past the meridian, hours, before it must "
        "flip; null: it need not.",
    )
    sun_cone_deg: float = Field(
        30.0,
        ge=0,
        le=180,
        description="No slew nearer to, or past, the Sun than this while it is up.",
    )

    exptime_s: float = Field(60.0, gt=0, le=3600, description="Exposure time when none is asked.")
    count: int = Field(3, ge=1, le=1000, description="Frames of a target when none is asked.")
    filter: str | None = Field(
        None, description="Filter when none is asked; none: the wheel's first."
    )
    priority: float = Field(5.0, ge=0, le=10, description="Priority when none is asked.")
    alert_priority: float = Field(8.0, ge=0, le=10, description="Priority of an alert's targets.")
    merits: MeritSettings = Field(MeritSettings(), description="What makes a moment good.")
    slew_rate_deg_s: float = Field(
        2.0, gt=0, description="Pace of mount and dome, whichever is slower: for the plan."
    )
    filter_change_s: Seconds = Field(10.0, description="A change of the filter: for the plan.")
    overhead_s: Seconds = Field(
        30.0,
        description="Settling and checks before a block, beside slew and filter: an allowance of "
        "the plan.",
    )
    frame_overhead_s: Seconds = Field(
        5.0, description="Read-out and writing after each frame: an allowance of the plan."
    )

    bias_count: int = Field(5, ge=0, le=1000, description="Biases a night.")
    dark_count: int = Field(5, ge=0, le=1000, description="Darks a night at each exposure time.")
    dark_exptimes_s: tuple[float, ...] = Field(
        (), description="Exposure times of the darks; none: those of the queue's lights."
    )
    flats: FlatSettings = Field(FlatSettings(), description="Twilight flats.")

    cooling_set_point_c: float | None = Field(
        -20.0, ge=-120, le=40, description="Set point of the camera's cooler; none: left alone."
    )
    cooling_tolerance_c: float = Field(
        1.0, gt=0, description="The camera is cold when it is this close to the set point."
    )
    cooling_timeout_s: Seconds = Field(
        900.0, description="Frames are taken after this time though the set point is not reached."
    )

    focus: FocusSettings = Field(FocusSettings(), description="Focus runs.")
    warm_c_min: float = Field(
        5.0, ge=0, description="The camera is warmed at this rate, Celsius a minute; 0: at once."
    )
    warm_c: float = Field(
        5.0, ge=-120, le=40, description="Set point at which the cooler is switched off."
    )

    slew_timeout_s: Seconds = Field(300.0, description="A slew that lasts longer has failed.")
    park_timeout_s: Seconds = Field(300.0, description="A parking that lasts longer has failed.")
    filter_timeout_s: Seconds = Field(60.0, description="A filter change that lasts longer failed.")
    settle_s: Seconds = Field(3.0, description="Wait between arrival and exposure.")
    pointing_tolerance_deg: float = Field(
        0.02, gt=0, description="Largest distance between the ordered and the read position."
    )
    dome_tolerance_deg: float = Field(
        15.0,
        gt=0,
        description="Largest angle between the slit and the telescope's azimuth; a "
        "German mount looks through the slit from beside the dome's centre.",
    )
    dome_order_wait_s: float = Field(
        180.0, gt=0, le=300, description="How long the dome may take for one work order."
    )
    dome_poll_s: float = Field(
        10.0, gt=0, description="How often the dome is asked whether it is open and safe."
    )

    attempts: int = Field(2, ge=1, le=10, description="Attempts at an observation that fails.")
    retry_s: Seconds = Field(
        10.0, description="Pause after a failure; it doubles with each, up to retry_most_s."
    )
    retry_most_s: Seconds = Field(120.0, description="Longest pause after a failure.")
    resume_after_safe_s: Seconds = Field(
        300.0, description="The night resumes when it has been safe for so long."
    )
    resume_after_device_s: Seconds = Field(
        60.0,
        description="And when the devices have answered for so long, it being safe.",
    )
    idle_before_close_s: Seconds = Field(
        600.0, description="The night is closed when for so long nothing was left to observe."
    )
    close_when_done: bool = Field(
        True, description="Close when nothing is left; false: stay open until dawn for alerts."
    )
    batch_retry_s: float = Field(
        30.0, gt=0, description="Pause before the preprocessor is told of the night's files again."
    )
    batch_attempts: int = Field(
        120, ge=1, description="How often the preprocessor is told before that is given up."
    )
