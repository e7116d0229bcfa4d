"""The telescope's requests: one row each."""

from __future__ import annotations

from typing import Any

from toros.common.requests import NoFields, Request, RequestTable
from toros.telescope import manual, queue_orders
from toros.telescope.desk import TelescopeDesk
from toros.telescope.order_fields import (
    AlertFields,
    CalibrationFields,
    CoolFields,
    ExposeFields,
    FocusFields,
    ModeFields,
    ObservationFields,
    PointFields,
    ScheduleFields,
    TargetsFields,
)

# Orders that move hardware stand in one lane: mount and camera do one thing at a time. Those that
# must never wait behind them have lanes of their own.
HARDWARE, QUEUE, CONTROL, ABORT = "hardware", "queue", "control", "abort"
ANSWER_S = 10.0
MOTION_S = 120.0


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
            "focus",
            "Find the best focus on a field high up, with the dome open.",
            FocusFields,
            manual.find_focus,
            **_MOTION,
        ),
        _request("cool_camera", "Cool the camera.", CoolFields, manual.cool_camera, **_MOTION),
        _request(
            "warm_camera",
            "Switch the camera's cooler off.",
            NoFields,
            manual.warm_camera,
            **_MOTION,
        ),
        _request(
            "take_calibration_frames",
            "Take biases or darks with the dome closed, or flats of what is in front.",
            CalibrationFields,
            manual.take_calibration_frames,
            **_FRAMES,
        ),
    ]
)
