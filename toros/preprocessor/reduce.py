"""Reduces a folder with no daemons: the same steps as a file batch."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from toros.archive.models import FileBatch
from toros.common.clock import Clock
from toros.common.config.models import Config
from toros.common.errors import NoFilesFound
from toros.preprocessor import batches
from toros.preprocessor.reduction import ALL, MASTERS, archive_unusable, reduce_batch
from toros.preprocessor.report import report, status
from toros.preprocessor.run import Progress, Run, no_progress
from toros.preprocessor.sources import frames_in


@dataclass(frozen=True)
class BatchReport:
    """What became of a folder.

    Parameters
    ----------
    document : dict
        The JSON document of CONTRACT §1: exposures, products, problems.
    status : dict
        The batch as `file_batch_status` shows it, with counts for each step.
    """

    document: dict[str, Any]
    status: dict[str, Any] = field(default_factory=dict)

    @property
    def failed(self) -> list[dict[str, Any]]:
        """The problems that cost a product; a frame calibrated with less is none."""
        return [problem for problem in self.document["problems"] if problem["failed"]]


def reduce_folder(
    folder: Path,
    out: Path,
    sessions: sessionmaker[Session],
    config: Config,
    clock: Clock,
    progress: Progress = no_progress,
    *,
    masters_only: bool = False,
    threads: int | None = None,
    cancelled: threading.Event | None = None,
) -> BatchReport:
    """Reduce the frames of `folder` into `out`.

    Parameters
    ----------
    folder : pathlib.Path
        FITS files, in subfolders too; they are read where they are and never modified.
    out : pathlib.Path
        Where masters and calibrated images go; made if it is missing.
    sessions : sessionmaker
        Of an archive, a scratch one for instance.
    progress : callable
        Called with the step's name, the units done and the units in all.
    masters_only : bool
        Stop when the masters are made.
    threads : int, optional
        Units worked on at a time; by default as configured for the preprocessor.
    cancelled : threading.Event, optional
        Once set, the units that have begun are finished and `Cancelled` is raised.

    Raises
    ------
    NoFilesFound
        When there is no such folder, or no FITS file in it.
    DatabaseNotReady
        When the archive fails in the middle, on a full disk for instance.
    """
    folder, out = folder.absolute(), out.absolute()
    if not folder.is_dir():
        raise NoFilesFound(f"There is no folder {folder}.")
    frames_in(folder, leave_out=out)
    try:
        return _reduce(
            folder,
            out,
            sessions,
            config,
            clock,
            progress,
            masters_only=masters_only,
            threads=threads,
            cancelled=cancelled,
        )
    except OperationalError as error:
        raise archive_unusable(error) from error


def _reduce(
    folder: Path,
    out: Path,
    sessions: sessionmaker[Session],
    config: Config,
    clock: Clock,
    progress: Progress,
    *,
    masters_only: bool,
    threads: int | None,
    cancelled: threading.Event | None,
) -> BatchReport:
    batch = _record(sessions, folder, out, clock)
    retry = batches.begin(sessions, batch, clock.now(), anew=batch.state != "new")
    run = Run(
        sessions=sessions,
        clock=clock,
        settings=config.preprocessor,
        file_batch_id=batch.id,
        generation=batch.generation,
        source=folder,
        folder=folder,
        products=out,
        threads=threads or config.service("preprocessor").threads,
        retry=retry,
        progress=progress,
        cancelled=cancelled or threading.Event(),
    )
    steps = MASTERS if masters_only else ALL
    reduce_batch(run, batch, lambda session: None, steps)
    with sessions.begin() as session:
        row = batches.find(session, batch.id)
        return BatchReport(report(session, row), status(session, row))


def _record(sessions: sessionmaker[Session], folder: Path, out: Path, clock: Clock) -> FileBatch:
    """Return the batch of this folder and these products; the command always begins anew."""
    with sessions.begin() as session:
        found = batches.at(session, str(folder), out)
        if found is not None:
            return found
        batch = FileBatch(
            name=batches.free_name(session, folder.name),
            url=str(folder),
            folder=str(folder),
            products=str(out),
            state="new",
            created=clock.now(),
        )
        session.add(batch)
        return batch
