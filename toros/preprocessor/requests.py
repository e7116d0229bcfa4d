"""The requests of the preprocessor."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictInt, StrictStr

from toros.common.requests import Fields, Request, RequestTable, Task
from toros.common.work_order import Json
from toros.preprocessor.state import Preprocessor

BatchKey = StrictInt | Annotated[StrictStr, Field(min_length=1, max_length=200)]


Source = Annotated[StrictStr, Field(min_length=1, max_length=4096)]


class CalibrateFields(Fields):
    """A file batch to reduce."""

    url: Annotated[
        Source | Annotated[list[Source], Field(min_length=1, max_length=100)],
        Field(
            description=(
                "A folder, an archive file (tar, zip) or a list of files: an absolute path, a "
                "file: URL, or an address of http(s); '#sha256=…' at its end is verified. "
                "Several make one batch."
            )
        ),
    ]
    name: Annotated[
        StrictStr | None,
        Field(min_length=1, max_length=100, description="What to call it; else after its folder."),
    ] = None


class FileBatchFields(Fields):
    """One file batch."""

    file_batch: Annotated[BatchKey, Field(description="The id or the name of the batch.")]


class ListFields(Fields):
    """How many to list."""

    limit: Annotated[StrictInt, Field(ge=1, le=1000, description="The newest so many.")] = 50


class MasterFields(Fields):
    """A master, and why it is judged so."""

    master: Annotated[
        StrictStr, Field(min_length=1, max_length=4096, description="Its file name, or its path.")
    ]
    why: Annotated[StrictStr, Field(max_length=1000, description="For those who ask later.")] = ""


def _calibrate(state: Preprocessor, fields: CalibrateFields, task: Task) -> Json:
    sources = [fields.url] if isinstance(fields.url, str) else fields.url
    return state.calibrate(task, sources, fields.name)


def _resume(state: Preprocessor, fields: FileBatchFields, task: Task) -> Json:
    return state.resume(task, fields.file_batch)


def _restart(state: Preprocessor, fields: FileBatchFields, task: Task) -> Json:
    return state.restart(task, fields.file_batch)


def _status(state: Preprocessor, fields: FileBatchFields, task: Task) -> Json:
    return state.file_batch_status(fields.file_batch)


def _reject(state: Preprocessor, fields: MasterFields, task: Task) -> Json:
    return state.reject_master(task, fields.master, fields.why)


def _accept(state: Preprocessor, fields: MasterFields, task: Task) -> Json:
    return state.accept_master(task, fields.master, fields.why)


def _list(state: Preprocessor, fields: ListFields, task: Task) -> Json:
    return [*state.list_file_batches(fields.limit)]


RESUME: Request[Preprocessor, FileBatchFields] = Request(
    name="resume_file_batch",
    fields=FileBatchFields,
    handler=_resume,
    summary="Go on with a file batch; what failed is tried again.",
    journaled=True,
    restart="repeat",
)

TABLE: RequestTable[Preprocessor] = RequestTable(
    [
        Request(
            name="calibrate_file_batch",
            fields=CalibrateFields,
            handler=_calibrate,
            summary="Reduce folders or archive files of frames: masters, then every light.",
            journaled=True,
            restart="repeat",
        ),
        RESUME,
        Request(
            name="restart_file_batch",
            fields=FileBatchFields,
            handler=_restart,
            summary="Reduce a file batch again from its raw files.",
            journaled=True,
            restart="repeat",
        ),
        Request(
            name="reject_master",
            fields=MasterFields,
            handler=_reject,
            summary="Never use a master again; what was made with it is made again without.",
            lane="archive",
            journaled=True,
            restart="repeat",
        ),
        Request(
            name="accept_master",
            fields=MasterFields,
            handler=_accept,
            summary="Use a rejected master again; what was made without it is made again.",
            lane="archive",
            journaled=True,
            restart="repeat",
        ),
        Request(
            name="file_batch_status",
            fields=FileBatchFields,
            handler=_status,
            summary="The state of a file batch, with counts for each step.",
        ),
        Request(
            name="list_file_batches",
            fields=ListFields,
            handler=_list,
            summary="The newest file batches.",
        ),
    ]
)
