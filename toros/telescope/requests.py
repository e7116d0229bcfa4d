"""The telescope's requests: one row each."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from toros.common.config.telescope import Mode
from toros.common.requests import Fields, NoFields, Request, RequestTable
from toros.common.work_order import UtcTime
from toros.telescope import manual, queue_orders
from toros.telescope.desk import TelescopeDesk

Ra = Annotated[float, Field(ge=0, lt=360, description="Right ascension, ICRS degrees.")]
Dec = Annotated[float, Field(ge=-90, le=90, description="Declination, ICRS degrees.")]
Exptime = Annotated[float, Field(gt=0, le=3600, description="Exposure time, seconds.")]
Count = Annotated[int, Field(ge=1, le=1000, description="Frames.")]
Binning = Annotated[int, Field(ge=1, le=16, description="Binning, the same in x and y.")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100, strip_whitespace=True)]

# Orders that move hardware stand in one lane: mount and camera do one thing at a time. Those that
# must never wait behind them have lanes of their own.
HARDWARE, QUEUE, CONTROL, ABORT = "hardware", "queue", "control", "abort"
ANSWER_S = 10.0
MOTION_S = 120.0


class Constraints(Fields):
    """Limits of one target in place of the telescope's."""

    min_altitude_deg: float | None = Field(None, ge=0, lt=90)
    max_altitude_deg: float | None = Field(None, gt=0, le=90)
    max_airmass: float | None = Field(None, ge=1)
    min_moon_separation_deg: float | None = Field(None, ge=0, le=180)
    max_sun_altitude_deg: float | None = Field(None, ge=-90, le=0)


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


class ModeFields(Fields):
    """Which mode is to hold; only asked for if it is not said."""

    mode: Mode | None = None


class ScheduleFields(Fields):
    """Which night to plan; tonight if it is not said."""

    night: date | None = None


def _request(name: str, summary: str, fields: Any, handler: Any, **rest: Any) -> Request[Any, Any]:
    return Request(name=name, summary=summary, fields=fields, handler=handler, **rest)


_QUEUE = {"journaled": True, "lane": QUEUE, "wait_s": ANSWER_S, "restart": "repeat"}
_CONTROL = {"journaled": True, "lane": CONTROL, "wait_s": ANSWER_S, "restart": "repeat"}
_MOTION = {"journaled": True, "lane": HARDWARE, "wait_s": MOTION_S}
_FRAMES = {"journaled": True, "lane": HARDWARE}

TABLE: RequestTable[TelescopeDesk] = RequestTable(
    [
        _request(
            "observation",
            "Put a target into the queue.",
            ObservationFields,
            queue_orders.observation,
            **_QUEUE,
        ),
        _request(
            "targets",
            "Make the queue of an alert what its newest revision says.",
            TargetsFields,
            queue_orders.targets,
            **_QUEUE,
        ),
        _request(
            "retract_alert",
            "Cancel what is left of an alert's targets.",
            AlertFields,
            queue_orders.retract_alert,
            **_QUEUE,
        ),
        _request(
            "schedule",
            "The plan of a night, and why each left-out target is left out.",
            ScheduleFields,
            queue_orders.schedule,
        ),
        _request(
            "prepare_night",
            "Cool the camera and take biases and darks with the dome closed.",
            NoFields,
            lambda desk, _fields, _task: desk.night.open(prepare_only=True),
            **_CONTROL,
        ),
        _request(
            "open_night",
            "Let the night run by itself until it is closed.",
            NoFields,
            lambda desk, _fields, _task: desk.night.open(),
            **_CONTROL,
        ),
        _request(
            "close_night",
            "End the night: park, close the dome, hand the files over.",
            NoFields,
            lambda desk, _fields, task: desk.night.close(
                f"close_night was ordered by {task.order.user or 'nobody named'}"
            ),
            **_CONTROL,
        ),
        _request(
            "mode",
            "Who decides: manual, scripted (the queue of people) or autonomous (alerts too).",
            ModeFields,
            queue_orders.set_mode,
            **_CONTROL,
        ),
        _request(
            "abort",
            "Stop exposure, slew and night at once; the dome stays as it is.",
            NoFields,
            manual.abort,
            journaled=True,
            lane=ABORT,
            wait_s=ANSWER_S,
        ),
        _request("point", "Point telescope and dome.", PointFields, manual.point, **_MOTION),
        _request("expose", "Take lights where it points.", ExposeFields, manual.expose, **_FRAMES),
        _request("park", "Park the mount.", NoFields, manual.park, **_MOTION),
        _request("unpark", "Unpark the mount.", NoFields, manual.unpark, **_MOTION),
        _request(
            "take_calibration_frames",
            "Take biases or darks with the dome closed, or flats of what is in front.",
            CalibrationFields,
            manual.take_calibration_frames,
            **_FRAMES,
        ),
    ]
)
