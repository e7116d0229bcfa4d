"""The requests of the alert daemon."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StrictInt, StrictStr, model_validator

from toros.common.errors import UnreadableNotice
from toros.common.requests import Fields, Request, RequestTable, Task
from toros.common.work_order import Json
from toros.lvcgcn.process import read_notice_file
from toros.lvcgcn.state import AlertDesk

_AbsolutePath = Annotated[StrictStr, Field(min_length=1, max_length=4096, pattern="^/")]
_EventName = Annotated[StrictStr, Field(min_length=1, max_length=300)]


class ProcessFields(Fields):
    """A notice, in the order itself or in a file."""

    notice: StrictStr | None = Field(
        None, description="The notice: XML or JSON as it is, or anything in base64."
    )
    path: _AbsolutePath | None = Field(None, description="Or the absolute path of its file.")
    skymap: _AbsolutePath | None = Field(
        None, description="A sky map to use instead of the notice's: the path of its FITS file."
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.notice is None) == (self.path is None):
            raise ValueError("give notice or path, and not both")
        return self


class ListFields(Fields):
    """Which alerts to list."""

    event: _EventName | None = Field(None, description="Only this event's.")
    limit: Annotated[StrictInt, Field(ge=1, le=1000, description="The newest so many.")] = 50


class HostFields(Fields):
    """Whose hosts, and how many."""

    event: _EventName = Field(description="Name of the event.")
    top: Annotated[StrictInt, Field(ge=1, le=100_000)] | None = Field(
        None, description="How many; by default as many as an observatory is given."
    )


class RetractFields(Fields):
    """What to take back."""

    event: _EventName = Field(description="Name of the event.")


def notice_bytes(text: str) -> bytes:
    """Return the bytes of a notice that stands in a work order.

    Raises
    ------
    UnreadableNotice
        If it is neither XML nor JSON nor base64.
    """
    if text.lstrip("\ufeff \t\r\n")[:1] in ("<", "{"):
        return text.encode()
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnreadableNotice("The notice is neither XML, JSON nor whole base64.") from error


def _process(desk: AlertDesk, fields: ProcessFields, task: Task) -> Json:
    sky_map = Path(fields.skymap) if fields.skymap else None
    if fields.path is not None:
        return desk.process(read_notice_file(Path(fields.path)), "file", sky_map)
    return desk.process(notice_bytes(fields.notice or ""), "order", sky_map)


def _list(desk: AlertDesk, fields: ListFields, task: Task) -> Json:
    return desk.list_alerts(fields.limit, fields.event)


def _hosts(desk: AlertDesk, fields: HostFields, task: Task) -> Json:
    return desk.host_galaxies(fields.event, fields.top)


def _retract(desk: AlertDesk, fields: RetractFields, task: Task) -> Json:
    return desk.retract(fields.event)


TABLE: RequestTable[AlertDesk] = RequestTable(
    [
        Request(
            name="process_alert",
            fields=ProcessFields,
            handler=_process,
            summary="Take in a notice: rank its hosts and send them to the telescopes.",
            journaled=True,
            lane="alerts",
            wait_s=60.0,
            # A notice is known by its content: done again, it is the same revision.
            restart="repeat",
        ),
        Request(
            name="list_alerts",
            fields=ListFields,
            handler=_list,
            summary="The alerts that were received, the newest first.",
        ),
        Request(
            name="host_galaxies",
            fields=HostFields,
            handler=_hosts,
            summary="The likeliest host galaxies of an event.",
        ),
        Request(
            name="retract",
            fields=RetractFields,
            handler=_retract,
            summary="Take back an event's targets from every telescope.",
            journaled=True,
            lane="alerts",
            wait_s=60.0,
            restart="repeat",
        ),
    ]
)
