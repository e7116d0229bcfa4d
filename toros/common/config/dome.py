"""Settings of the dome module."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from toros.common.config.section import Section

# The names of the dome's own sources of safety.
TAKEN = re.compile(
    r"(safety monitor|weather station) \d+|Sun|telescope module|dome hardware|operator's lock"
)
Seconds = Annotated[float, Field(gt=0)]


class GeometrySettings(Section):
    """The dome and the place of the mount in it."""

    radius_m: float = Field(2.5, gt=0, description="Radius of the dome's sphere.")
    slit_width_m: float = Field(1.4, gt=0, description="Clear width of the slit.")
    beam_m: float = Field(0.6, gt=0, description="Diameter of the telescope's beam.")
    pier_east_m: float = Field(
        0.0, description="Crossing of the mount's axes, east of the dome's centre."
    )
    pier_north_m: float = Field(0.0, description="The same, north of it.")
    pier_up_m: float = Field(0.0, description="The same, above it.")
    german_axis_m: float = Field(
        0.0, ge=0, description="From the polar to the optical axis; 0: not a German mount."
    )
    altaz_axis_m: float = Field(
        0.0,
        description=(
            "Of an alt-azimuth mount: from the azimuth to the optical axis, to the right as seen "
            "along the beam; 0: none."
        ),
    )

    @model_validator(mode="after")
    def _one_mount(self) -> GeometrySettings:
        if self.german_axis_m and self.altaz_axis_m:
            raise ValueError("a mount is German or alt-azimuth: give one of the two axes")
        return self


class Limit(Section):
    """Unsafe beyond one value, safe again at the other; in between it stays what it was."""

    unsafe: float = Field(description="Unsafe beyond this.")
    safe: float = Field(description="Safe again at this or better.")

    @property
    def upper(self) -> bool:
        """Whether large values are the unsafe ones."""
        return self.unsafe >= self.safe


class WeatherLimits(Section):
    """Limits of what the weather stations measure; null: no limit."""

    rain_rate_mm_h: Limit | None = Limit(unsafe=0.0, safe=0.0)
    humidity_percent: Limit | None = Limit(unsafe=90.0, safe=85.0)
    dew_point_margin_c: Limit | None = Limit(unsafe=1.5, safe=3.0)
    wind_speed_m_s: Limit | None = Limit(unsafe=13.0, safe=10.0)
    wind_gust_m_s: Limit | None = Limit(unsafe=15.0, safe=12.0)
    cloud_cover_percent: Limit | None = Limit(unsafe=80.0, safe=70.0)
    sky_temperature_c: Limit | None = None
    temperature_c: Limit | None = None

    def given(self) -> dict[str, Limit]:
        """Return the limits that there are, by quantity."""
        return {name: limit for name, limit in self if isinstance(limit, Limit)}


class WeatherSettings(Section):
    """How the weather stations of `devices.weather` decide."""

    poll_s: Seconds = Field(15.0, description="How often each weather station is read.")
    max_age_s: Seconds = Field(120.0, description="A measurement older than this means unsafe.")
    hold_s: float = Field(
        120.0, ge=0, description="Safe again when every limit was kept for so long."
    )
    required: list[str] = Field(
        [], description="Quantities that each station must measure; without one it is unsafe."
    )
    limits: WeatherLimits = WeatherLimits()

    @model_validator(mode="after")
    def _known(self) -> WeatherSettings:
        for name in self.required:
            if name not in self.limits.given():
                raise ValueError(f"required: {name!r} has no limit")
        return self


class CommandSettings(Section):
    """A program that says whether it is safe, by its exit status."""

    name: str = Field(min_length=1, description="For people, such as 'mains power'.")
    command: list[str] = Field(
        min_length=1, description="Program and arguments; exit status 0: safe."
    )
    poll_s: Seconds = Field(30.0, description="How often it is run.")
    timeout_s: Seconds = Field(10.0, description="It is killed, and it is unsafe, after so long.")
    max_age_s: Seconds = Field(120.0, description="An answer older than this means unsafe.")


class DomeSettings(Section):
    """Settings of the dome module. Times are seconds of the observatory's clock."""

    geometry: GeometrySettings = Field(
        GeometrySettings(), description="The dome and the place of the mount in it."
    )
    shutter_timeout_s: Seconds = Field(180.0, description="The shutter takes no longer than this.")
    azimuth_timeout_s: Seconds = Field(180.0, description="A turn takes no longer than this.")
    azimuth_tolerance_deg: float = Field(
        1.0, gt=0, le=30, description="Arrived when the azimuth reads so close."
    )
    device_timeout_s: Seconds = Field(
        5.0, description="A device answers within this (seconds of the machine)."
    )
    status_poll_s: Seconds = Field(5.0, description="How often the hardware is read at rest.")
    safety_poll_s: Seconds = Field(5.0, description="How often each safety monitor is asked.")
    safety_max_age_s: Seconds = Field(
        60.0,
        description="An answer of a safety monitor or of the dome older than this means unsafe.",
    )
    weather: WeatherSettings = WeatherSettings()
    sun_altitude_max_deg: float | None = Field(
        0.0, ge=-90, le=90, description="Unsafe while the Sun is higher than this; null: never."
    )
    commands: list[CommandSettings] = Field(
        [], description="Programs that must say safe: disk space, mains power."
    )
    override_longest_s: Seconds = Field(
        3600.0, description="No override of a safety source lasts longer than this."
    )
    find_out_s: Seconds = Field(
        30.0,
        description="A shutter whose state is unknown for so long is closed, to learn where it is.",
    )
    close_retry_s: Seconds = Field(
        30.0, description="Pause before a shutter that did not close is closed again."
    )
    shutter_needs_parked_mount: bool = Field(
        False, description="The shutter moves only over a parked mount: they can collide."
    )
    mount_park_wait_s: Seconds = Field(
        90.0,
        description="The closing shutter waits no longer than this for a mount that does not park.",
    )
    telescope_silence_s: Seconds | None = Field(
        300.0,
        description=(
            "It is unsafe when the telescope module, if it is among this node's services, has not "
            "answered for so long; null: never."
        ),
    )
    close_on_exit: bool = Field(
        True, description="Close the dome when its module stops: nobody would watch it."
    )
    mail_gather_s: float = Field(
        20.0, ge=0, description="Changes of safety within so long share one mail."
    )
    follow_poll_s: Seconds = Field(10.0, description="How often a followed target is looked at.")
    follow_ahead_s: Seconds = Field(
        7200.0, description="A move of the dome looks so far ahead, to be the last for long."
    )
    follow_tolerance_deg: float | None = Field(
        10.0,
        gt=0,
        le=180,
        description="Farthest that the slit may be from its best azimuth; null: what is clear.",
    )
    slit_margin_m: float = Field(
        0.05, ge=0, description="Kept between the beam and each edge of the slit."
    )

    @field_validator("commands")
    @classmethod
    def _own_names(cls, commands: list[CommandSettings]) -> list[CommandSettings]:
        """Refuse a name that is another source's: an override of one would be of both."""
        names: set[str] = set()
        for command in commands:
            if command.name in names or TAKEN.fullmatch(command.name):
                raise ValueError(f"{command.name!r} is the name of another source of safety")
            names.add(command.name)
        return commands
