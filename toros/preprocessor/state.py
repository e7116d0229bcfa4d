"""The preprocessor: takes file batches from elsewhere and reduces them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

from sqlalchemy.orm import Session

from toros.archive import queries
from toros.archive.models import FileBatch
from toros.common.errors import AddressNotAllowed, SourceNotAllowed
from toros.common.fits_files import FitsFiles
from toros.common.module import Context
from toros.common.requests import Task
from toros.common.work_order import Json
from toros.preprocessor import batches
from toros.preprocessor.arrival import arrive, in_place, settle
from toros.preprocessor.checksums import split_digest
from toros.preprocessor.fetching import Fetcher, authorities
from toros.preprocessor.gathering import Gatherer
from toros.preprocessor.places import batch_name, pack, places_of, unpack_texts
from toros.preprocessor.reduction import reduce_batch
from toros.preprocessor.rejecting import accept_master, reject_master
from toros.preprocessor.report import Document, status, summary
from toros.preprocessor.run import Run
from toros.preprocessor.sources import is_inside, is_web, local_source, require_frame
from toros.sky.night import night_of
from toros.sky.site import Site


class Preprocessor:
    """The state of the module: what it is built from, and what it does now."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._now: dict[str, Json] = {"file_batch": None}
        data = context.config.data
        self._allowed = [str(data.raw), *data.allowed_sources]

    def describe(self) -> dict[str, Json]:
        """Return what is being done, for `status`."""
        with self._lock:
            return {"reducing": dict(self._now)}

    def calibrate(self, task: Task, sources: Sequence[str], name: str | None) -> Document:
        """Reduce what is at `sources` as one batch; one that is known goes on where it was."""
        checked = [self._checked(source) for source in dict.fromkeys(sources)]
        with self._context.sessions.begin() as session:
            batch = batches.named(session, pack(checked), name)
        if batch is None:
            batch = self._new_batch(checked, name)
        return self._reduce(task, batch)

    def _checked(self, source: str) -> str:
        """Return a source as it is recorded, if it is an allowed one."""
        transfer = self._context.config.preprocessor.transfer
        if is_web(source):
            try:
                Fetcher(transfer, self._allowed).rules(1).require(split_digest(source).address)
            except AddressNotAllowed as error:
                raise SourceNotAllowed(error.message) from error
            return source
        given = split_digest(source)
        path = local_source(given.address, self._allowed)
        return f"{path}#sha256={given.sha256}" if given.sha256 else str(path)

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

    def reject_master(self, task: Task, name: str, why: str) -> Document:
        """Reject a master; what used it is requeued, and its batches are resumed."""
        context, user = self._context, task.order.user
        return reject_master(context.sessions, name, why, context.clock.now(), user).document()

    def accept_master(self, task: Task, name: str, why: str) -> Document:
        """Accept a rejected master again; what was made without it is requeued."""
        context, user = self._context, task.order.user
        return accept_master(context.sessions, name, why, context.clock.now(), user).document()

    def list_file_batches(self, limit: int) -> list[Document]:
        """Return the newest batches."""
        with self._context.sessions.begin() as session:
            return [summary(batch) for batch in queries.file_batches(session, limit)]

    def _known(self, key: int | str) -> FileBatch:
        with self._context.sessions.begin() as session:
            return batches.find(session, key)

    def _new_batch(self, sources: Sequence[str], name: str | None) -> FileBatch:
        """Record a new batch; where it goes is known when its first frame is."""
        folders = [Path(source) for source in sources if not is_web(source)]
        folders = [folder for folder in folders if folder.is_dir()]
        if len(folders) == len(sources) == 1:
            # Nothing to record where there is nothing.
            require_frame(FitsFiles(folders[0], lambda link: is_inside(link, self._allowed)))
        with self._context.sessions.begin() as session:
            batch = FileBatch(
                name=batches.free_name(session, name or batch_name(sources)),
                url=pack(sources),
                folder="",
                products="",
                state="new",
                created=self._context.clock.now(),
            )
            session.add(batch)
        return batch

    def _settled(self, run: Run, gatherer: Gatherer, batch: FileBatch) -> Run:
        """Decide and record where the raw files and the products of a new batch are."""
        data = self._context.config.data

        def where(moment: datetime | None) -> tuple[list[Path], Path]:
            night = f"{self._night(moment):%Y%m%d}"
            ours = data.raw / night / batch.name
            return [
                Path(place.source) if self._in_raw(place.source) else ours / place.label
                for place in run.places
            ], data.products / night / batch.name

        placed = settle(run, gatherer, where)
        with self._context.sessions.begin() as session:
            row = batches.find(session, batch.id)
            row.folder = pack([str(place.folder) for place in placed.places])
            row.products = str(placed.products)
        return placed

    def _in_raw(self, source: str) -> bool:
        raw = self._context.config.data.raw.resolve()
        return not is_web(source) and Path(source).is_dir() and _under(Path(source), raw)

    def _night(self, moment: datetime | None) -> date:
        """Return the night of a frame, tonight's where its date is unknown."""
        config = self._context.config.site
        site = Site(config.name, config.latitude, config.longitude, config.elevation)
        return night_of(site, moment or self._context.clock.now())

    def _gatherer(self, batch: FileBatch, cancelled: threading.Event) -> Gatherer:
        config = self._context.config
        settings = config.preprocessor.transfer
        return Gatherer(
            settings=settings,
            allowed=self._allowed,
            staging=config.data.raw / ".incoming" / f"batch-{batch.id}",
            web=Fetcher(settings, self._allowed, authorities(config.tls.ca), cancelled),
            progress=lambda step, done, total: self._show(batch, step, done, total),
        )

    def _run(self, task: Task, batch: FileBatch, gatherer: Gatherer, *, retry: bool) -> Run:
        sources = unpack_texts(batch.url)
        folders = unpack_texts(batch.folder) if batch.folder else [""] * len(sources)
        context = self._context
        return Run(
            sessions=context.sessions,
            clock=context.clock,
            settings=context.config.preprocessor,
            file_batch_id=batch.id,
            generation=batch.generation,
            places=places_of(sources, folders),
            products=Path(batch.products),
            threads=context.config.service("preprocessor").threads,
            retry=retry,
            progress=lambda step, done, total: self._show(batch, step, done, total),
            cancelled=task.cancelled,
            web=gatherer.web,
        )

    def _reduce(
        self, task: Task, batch: FileBatch, *, anew: bool = False, retry: bool = False
    ) -> Document:
        context = self._context
        with context.sessions.begin() as session:
            known = batches.is_copied(session, batch)
        again = batches.begin(
            context.sessions, batch, context.clock.now(), anew=anew, work_order=task.id
        )
        gatherer = self._gatherer(batch, task.cancelled)
        result: Document = {}

        def arrived(run: Run) -> Run:
            if not batch.folder:
                run = replace(run, places=in_place(run.places, self._in_raw))
            found = arrive(run, gatherer, known=known, anew=anew)
            return found if batch.folder else self._settled(found, gatherer, batch)

        def finish(session: Session) -> None:
            found = batches.find(session, batch.id)
            result.update(status(session, found))
            task.complete(session, result)

        run = self._run(task, batch, gatherer, retry=retry or again)
        try:
            reduce_batch(
                run,
                batch,
                finish,
                arrive=arrived,
                tidy=lambda done: gatherer.clean(done.places),
            )
        finally:
            gatherer.tidy()
            with self._lock:
                self._now = {"file_batch": None}
        return result

    def _show(self, batch: FileBatch, step: str, done: int, total: int) -> None:
        with self._lock:
            self._now = {
                "file_batch": batch.id, "name": batch.name, "step": step, "done": done,
                "total": total,
            }  # fmt: skip


def _under(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder)
