"""The preprocessor: takes file batches from elsewhere and reduces them."""

from __future__ import annotations

import threading
from datetime import date, datetime
from pathlib import Path

from sqlalchemy.orm import Session

from toros.archive import queries
from toros.archive.models import FileBatch
from toros.common.errors import TorosError
from toros.common.module import Context
from toros.common.requests import Task
from toros.common.work_order import Json
from toros.preprocessor import batches
from toros.preprocessor.reduction import reduce_batch
from toros.preprocessor.rejecting import reject_master
from toros.preprocessor.report import Document, status, summary
from toros.preprocessor.run import Run
from toros.preprocessor.sources import frames_in, local_folder
from toros.sky.night import night_of
from toros.sky.site import Site


class Preprocessor:
    """The state of the module: what it is built from, and what it does now."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._now: dict[str, Json] = {"file_batch": None}

    def describe(self) -> dict[str, Json]:
        """Return what is being done, for `status`."""
        with self._lock:
            return {"reducing": dict(self._now)}

    def calibrate(self, task: Task, url: str, name: str | None) -> Document:
        """Reduce the folder at `url`; a folder that is known goes on where it was."""
        data = self._context.config.data
        source = local_folder(url, [data.raw, *data.allowed_sources])
        with self._context.sessions.begin() as session:
            batch = batches.named(session, str(source), name)
        if batch is None:
            batch = self._new_batch(source, name)
        return self._reduce(task, batch)

    def resume(self, task: Task, key: int | str) -> Document:
        """Go on with a batch: what is not done, and what failed or lacked a master."""
        return self._reduce(task, self._known(key), retry=True)

    def restart(self, task: Task, key: int | str) -> Document:
        """Reduce a batch again from its raw files."""
        batch = self._known(key)
        # An order that a dead process left goes on with the generation that it began.
        return self._reduce(task, batch, anew=batch.work_order != task.id)

    def file_batch_status(self, key: int | str) -> Document:
        """Return the state of a batch."""
        with self._context.sessions.begin() as session:
            return status(session, batches.find(session, key))

    def reject_master(self, name: str, why: str) -> Document:
        """Reject a master; what used it is requeued, and made again when its batch is resumed."""
        context = self._context
        return reject_master(context.sessions, name, why, context.clock.now()).document()

    def list_file_batches(self, limit: int) -> list[Document]:
        """Return the newest batches."""
        with self._context.sessions.begin() as session:
            return [summary(batch) for batch in queries.file_batches(session, limit)]

    def _known(self, key: int | str) -> FileBatch:
        with self._context.sessions.begin() as session:
            return batches.find(session, key)

    def _new_batch(self, source: Path, name: str | None) -> FileBatch:
        """Record a new batch: where its raw files will be read and its products written."""
        frames = frames_in(source)
        raw = self._context.config.data.raw
        in_place = source.resolve().is_relative_to(raw.resolve())
        night = f"{self._night(frames):%Y%m%d}"
        with self._context.sessions.begin() as session:
            chosen = batches.free_name(session, name or source.name)
            batch = FileBatch(
                name=chosen,
                url=str(source),
                folder=str(source if in_place else raw / night / chosen),
                products=str(self._context.config.data.products / night / chosen),
                state="new",
                created=self._context.clock.now(),
            )
            session.add(batch)
        return batch

    def _night(self, frames: list[Path]) -> date:
        """Return the night of the first frame that has a date, else tonight's."""
        config = self._context.config.site
        site = Site(config.name, config.latitude, config.longitude, config.elevation)
        return night_of(site, first_date(frames) or self._context.clock.now())

    def _reduce(
        self, task: Task, batch: FileBatch, *, anew: bool = False, retry: bool = False
    ) -> Document:
        context = self._context
        again = batches.begin(
            context.sessions, batch, context.clock.now(), anew=anew, work_order=task.id
        )
        run = Run(
            sessions=context.sessions,
            clock=context.clock,
            settings=context.config.preprocessor,
            file_batch_id=batch.id,
            generation=batch.generation,
            source=Path(batch.url),
            folder=Path(batch.folder),
            products=Path(batch.products),
            threads=context.config.service("preprocessor").threads,
            retry=retry or again,
            progress=lambda step, done, total: self._show(batch, step, done, total),
            cancelled=task.cancelled,
        )
        result: Document = {}

        def finish(session: Session) -> None:
            result.update(status(session, batches.find(session, batch.id)))
            task.complete(session, result)

        try:
            reduce_batch(run, batch, finish)
        finally:
            with self._lock:
                self._now = {"file_batch": None}
        return result

    def _show(self, batch: FileBatch, step: str, done: int, total: int) -> None:
        with self._lock:
            self._now = {
                "file_batch": batch.id, "name": batch.name, "step": step, "done": done,
                "total": total,
            }  # fmt: skip


def first_date(frames: list[Path]) -> datetime | None:
    """Return when the first frame with a readable date was exposed."""
    from toros.imaging.headers import read_exposure

    for frame in frames:
        try:
            found = read_exposure(frame).date_obs
        except TorosError:
            continue  # the ingest step records what is wrong with it
        if found is not None:
            return found
    return None
