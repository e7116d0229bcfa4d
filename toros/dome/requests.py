"""The requests of the dome module."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from toros.common.requests import Fields, NoFields, Request, RequestTable, Task
from toros.common.work_order import Json
from toros.dome.state import DomeModule

# How long a reply is held: the boolean that these requests answer is known when they end.
HELD_S = 180.0

# Strict: neither true nor "12" is an angle.
Degrees = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Azimuth = Annotated[Degrees, Field(ge=0, le=360, description="Degrees, north through east.")]


class AzimuthFields(Fields):
    """An azimuth."""

    azim: Azimuth


class HorizontalFields(Fields):
    """Where the telescope points."""

    alt: Annotated[Degrees, Field(ge=0, le=90, description="Altitude, degrees.")]
    azim: Azimuth


Reason = Annotated[str, Field(max_length=500, description="Why, for whoever asks.")]


class ReasonFields(Fields):
    """Why somebody does something."""

    reason: Reason = ""


class OverrideFields(Fields):
    """Which sources of safety do not count, and for how long."""

    sources: Annotated[
        list[str], Field(min_length=1, description="Their names, as `safety_status` has them.")
    ]
    seconds: Annotated[
        float, Field(strict=True, gt=0, allow_inf_nan=False, description="It ends after so long.")
    ]
    reason: Annotated[Reason, Field(min_length=1)]


class EquatorialFields(Fields):
    """A target."""

    ra: Annotated[Degrees, Field(ge=0, le=360, description="Right ascension, ICRS degrees.")]
    dec: Annotated[Degrees, Field(ge=-90, le=90, description="Declination, ICRS degrees.")]


def _status(dome: DomeModule, _fields: NoFields, _task: Task) -> Json:
    return dome.status()


def _set_azim(dome: DomeModule, fields: AzimuthFields, task: Task) -> Json:
    return dome.aperture.turn_to(fields.azim, task)


def _set_for_coordinates(dome: DomeModule, fields: HorizontalFields, task: Task) -> Json:
    return dome.aperture.turn_for(fields.alt, fields.azim, task)


def _open(dome: DomeModule, _fields: NoFields, task: Task) -> Json:
    opened = dome.shutter.open(task)
    dome.events.record("shutter", f"The dome was opened by order {task.id}.", opened=opened)
    return opened


def _close(dome: DomeModule, _fields: NoFields, task: Task) -> Json:
    closed = dome.shutter.close()
    dome.events.record("shutter", f"The dome was closed by order {task.id}.", closed=closed)
    return closed


def _park(dome: DomeModule, _fields: NoFields, _task: Task) -> Json:
    return dome.aperture.park()


def _follow(dome: DomeModule, fields: EquatorialFields, task: Task) -> Json:
    return dome.aperture.follow(fields.ra, fields.dec, task)


def _unfollow(dome: DomeModule, _fields: NoFields, _task: Task) -> Json:
    return dome.aperture.unfollow()


def _sync(dome: DomeModule, fields: AzimuthFields, _task: Task) -> Json:
    return dome.aperture.sync(fields.azim)


def _safety_status(dome: DomeModule, _fields: NoFields, _task: Task) -> Json:
    return dome.safety_status()


def _lock(dome: DomeModule, fields: ReasonFields, task: Task) -> Json:
    dome.lock.set(task, locked=True, reason=fields.reason)
    return True


def _unlock(dome: DomeModule, fields: ReasonFields, task: Task) -> Json:
    dome.lock.set(task, locked=False, reason=fields.reason)
    return True


def _override(dome: DomeModule, fields: OverrideFields, task: Task) -> Json:
    return dome.override(fields.sources, fields.seconds, fields.reason, task)


def _end_override(dome: DomeModule, _fields: NoFields, task: Task) -> Json:
    return dome.end_override(task)


# Lanes of their own: a close waits neither for an opening, which it cancels, nor for a turn.
TABLE: RequestTable[DomeModule] = RequestTable(
    [
        Request(
            name="dome_status",
            fields=NoFields,
            handler=_status,
            summary="Where the dome is, whether it is open, and whether it is safe.",
        ),
        Request(
            name="safety_status",
            fields=NoFields,
            handler=_safety_status,
            summary="What each source of safety says, the operator's lock and the override.",
        ),
        Request(
            name="lock_dome",
            fields=ReasonFields,
            handler=_lock,
            summary="Close the dome and keep it closed until `unlock_dome`, over any restart.",
            journaled=True,
            lane="operator",
            wait_s=10.0,
            restart="repeat",
        ),
        Request(
            name="unlock_dome",
            fields=ReasonFields,
            handler=_unlock,
            summary="Take the operator's lock off.",
            journaled=True,
            lane="operator",
            wait_s=10.0,
        ),
        Request(
            name="override_safety",
            fields=OverrideFields,
            handler=_override,
            summary="Let some sources of safety not count for a while; not the operator's lock.",
            journaled=True,
            lane="operator",
            wait_s=10.0,
        ),
        Request(
            name="end_override",
            fields=NoFields,
            handler=_end_override,
            summary="Let every source of safety count again.",
        ),
        Request(
            name="open_dome",
            fields=NoFields,
            handler=_open,
            summary="Open the shutter, if it is safe; true when it reads open.",
            journaled=True,
            lane="open",
            wait_s=HELD_S,
        ),
        Request(
            name="close_dome",
            fields=NoFields,
            handler=_close,
            summary="Close the shutter; true when it reads closed.",
            journaled=True,
            lane="close",
            wait_s=HELD_S,
            restart="repeat",
        ),
        Request(
            name="set_azim",
            fields=AzimuthFields,
            handler=_set_azim,
            summary="Turn the slit to an azimuth; true when it reads there.",
            journaled=True,
            lane="azimuth",
            wait_s=HELD_S,
        ),
        Request(
            name="set_for_coordinates",
            fields=HorizontalFields,
            handler=_set_for_coordinates,
            summary="Turn the slit before a telescope that points at an altitude and azimuth.",
            journaled=True,
            lane="azimuth",
            wait_s=HELD_S,
        ),
        Request(
            name="park_position",
            aliases=("ParkPostion",),
            fields=NoFields,
            handler=_park,
            summary="Turn to the park position; true when it reads parked.",
            journaled=True,
            lane="azimuth",
            wait_s=HELD_S,
        ),
        Request(
            name="follow",
            fields=EquatorialFields,
            handler=_follow,
            summary="Turn the slit to a target and keep it there; true when it reads there.",
            journaled=True,
            lane="azimuth",
            wait_s=HELD_S,
        ),
        Request(
            name="unfollow",
            fields=NoFields,
            handler=_unfollow,
            summary="Follow no target.",
        ),
        Request(
            name="sync_azimuth",
            fields=AzimuthFields,
            handler=_sync,
            summary="Tell the dome where its slit is; true when it reads so.",
            journaled=True,
            lane="azimuth",
            wait_s=HELD_S,
        ),
    ]
)
