"""The fields of the telescope's requests."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from toros.common.config.telescope import Mode
from toros.common.requests import Fields
from toros.common.work_order import UtcTime

Ra = Annotated[float, Field(ge=0, lt=360, description="Right ascension, ICRS degrees.")]
Dec = Annotated[float, Field(ge=-90, le=90, description="Declination, ICRS degrees.")]
Exptime = Annotated[float, Field(gt=0, le=3600, description="Exposure time, seconds.")]
Count = Annotated[int, Field(ge=1, le=1000, description="Frames.")]
Binning = Annotated[int, Field(ge=1, le=16, description="Binning, the same in x and y.")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True)]


class Constraints(Fields):
    """Limits of one target in place of the telescope's, and how often it is wanted."""

    min_altitude_deg: float | None = Field(None, ge=0, lt=90)
    max_altitude_deg: float | None = Field(None, gt=0, le=90)
    max_airmass: float | None = Field(None, ge=1)
    min_moon_separation_deg: float | None = Field(None, ge=0, le=180)
    max_sun_altitude_deg: float | None = Field(None, ge=-90, le=0)
    interval_h: float | None = Field(
        None,
        ge=0,
        le=1e6,
        description="Hours after the last visit from which on it is worth its full weight again.",
    )


class ObservationFields(Fields):
    """One target for the queue."""

    ra: Ra
    dec: Dec
    filter: Name | None = None
    exptime: Exptime | None = None
    count: Count | None = None
    object: Name | None = None
    binning: Binning = 1
    constraints: Constraints | None = None
    not_before: UtcTime | None = None
    expires: UtcTime | None = None


class AlertTarget(BaseModel):
    """One target of an alert; what else its sender knows of it is left alone."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: Name
    ra: Ra
    dec: Dec
    weight: float = Field(ge=0, allow_inf_nan=False)
    filter: Name | None = None
    exptime: Exptime | None = None
    count: Count | None = None
    priority: float | None = Field(None, ge=0, le=10)
    not_before: UtcTime | None = None
    expires: UtcTime | None = None


class TargetsFields(Fields):
    """The targets of one revision of an alert."""

    alert: Name
    revision: int = Field(ge=0)
    targets: list[AlertTarget] = Field(max_length=10000)


class AlertFields(Fields):
    """Names an alert."""

    alert: Name


class PointFields(Fields):
    """Where to point."""

    ra: Ra
    dec: Dec
    filter: Name | None = None


class ExposeFields(Fields):
    """Frames of where the telescope points now."""

    exptime: Exptime | None = None
    count: Count = 1
    filter: Name | None = None
    object: Name | None = None
    binning: Binning = 1


class CalibrationFields(Fields):
    """A set of calibration frames."""

    kind: Annotated[str, StringConstraints(to_lower=True, pattern="^(?i:bias|dark|flat)$")]
    count: Count
    exptime: Exptime | None = None
    filter: Name | None = None


class FocusFields(Fields):
    """In which filter the focus is to be found; the wheel's first if it is not said."""

    filter: Name | None = None


class CoolFields(Fields):
    """To what temperature; the configured set point if it is not said."""

    temperature: float | None = Field(
        None, ge=-120, le=40, allow_inf_nan=False, description="Set point, Celsius."
    )


class ModeFields(Fields):
    """Which mode is to hold; only asked for if it is not said."""

    mode: Mode | None = None


class ScheduleFields(Fields):
    """Which night to plan; tonight if it is not said."""

    night: date | None = None
