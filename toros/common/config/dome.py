"""Settings of the dome module."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from toros.common.config.section import Section

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Metres = Annotated[float, Field(allow_inf_nan=False)]


class GeometrySettings(Section):
    """The dome and the place of the mount in it."""

    radius_m: Metres = Field(2.5, gt=0, description="Radius of the dome's sphere.")
    slit_width_m: Metres = Field(1.4, gt=0, description="Clear width of the slit.")
    beam_m: Metres = Field(0.6, gt=0, description="Diameter of the telescope's beam.")
    pier_east_m: Metres = Field(
        0.0, description="Crossing of the mount's axes, east of the dome's centre."
    )
    pier_north_m: Metres = Field(0.0, description="The same, north of it.")
    pier_up_m: Metres = Field(0.0, description="The same, above it.")
    german_axis_m: Metres = Field(
        0.0, ge=0, description="From the polar to the optical axis; 0: not a German mount."
    )


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
    status_poll_s: Seconds = Field(5.0, description="How often the hardware is read at rest.")
    safety_poll_s: Seconds = Field(5.0, description="How often each safety monitor is asked.")
    safety_max_age_s: Seconds = Field(
        60.0, description="An answer of a safety monitor older than this means unsafe."
    )
    close_retry_s: Seconds = Field(
        30.0, description="Pause before a shutter that did not close is closed again."
    )
    telescope_silence_s: Seconds | None = Field(
        300.0,
        description=(
            "The open dome closes when the telescope module, if it is among this node's services, "
            "has not answered for so long; null: never."
        ),
    )
    close_on_exit: bool = Field(
        True, description="Close the dome when its module stops: nobody would watch it."
    )
    follow_poll_s: Seconds = Field(10.0, description="How often a followed target is looked at.")
    follow_tolerance_deg: float = Field(
        3.0, gt=0, le=30, description="The dome moves when its slit is farther off than this."
    )
