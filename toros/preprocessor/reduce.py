"""Reduces a folder with no daemons: the same steps as a file batch."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from toros.archive import queries
from toros.archive.models import FileBatch
from toros.common.clock import Clock
from toros.common.config.models import Config
from toros.common.digests import sha256_of
from toros.common.errors import NoFilesFound
from toros.preprocessor import batches
from toros.preprocessor.going_on import why_anew
from toros.preprocessor.places import batch_name, pack, places_of
from toros.preprocessor.reduction import ALL, MASTERS, archive_unusable, reduce_batch
from toros.preprocessor.report import report, status
from toros.preprocessor.run import Progress, Run, no_progress
from toros.preprocessor.sources import require_frame, require_recordable

log = logging.getLogger(__name__)

# Where a master was judged anew (requeued), so must be those that were judged by it: begin anew.
_INTERRUPTED = ("running", "stopped")


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
    folder: Path | Sequence[Path],
    out: Path,
    sessions: sessionmaker[Session],
    config: Config,
    clock: Clock,
    progress: Progress = no_progress,
    *,
    masters_only: bool = False,
    threads: int | None = None,
    cancelled: threading.Event | None = None,
    digest_of: Callable[[Path], str] = sha256_of,
    tell: Callable[[str], None] = log.info,
) -> BatchReport:
    """Reduce the frames of `folder`, or of several as one batch, into `out`.

    A run that was interrupted is gone on with, if nothing has changed since; one that came to its
    end begins anew.

    Parameters
    ----------
    folder : pathlib.Path or sequence of pathlib.Path
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
    digest_of : callable
        Returns the SHA-256 of a raw frame, where it was taken ahead.
    tell : callable
        Called with what a person should know of how it begins.

    Raises
    ------
    NoFilesFound
        When there is no such folder, or no FITS file in one.
    DatabaseNotReady
        When the archive fails in the middle, on a full disk for instance.
    """
    folders = require_frames([folder] if isinstance(folder, Path) else folder, out)
    out = out.absolute()
    try:
        return _reduce(
            [str(one) for one in folders],
            out,
            sessions,
            config,
            clock,
            progress,
            masters_only=masters_only,
            threads=threads,
            cancelled=cancelled,
            digest_of=digest_of,
            tell=tell,
        )
    except OperationalError as error:
        raise archive_unusable(error) from error


def require_frames(folders: Sequence[Path], out: Path) -> list[Path]:
    """Return the folders, each once; what `reduce_folder` raises of them is raised."""
    found = list(dict.fromkeys(one.absolute() for one in folders))
    for one in found:
        require_recordable(one)
        if one.is_file():
            raise NoFilesFound(f"{one} is a file: give the folder that it is in.")
        if not one.is_dir():
            raise NoFilesFound(f"There is no folder {one}.")
        require_frame(one, leave_out=out.absolute())
    return found


def _reduce(
    folders: Sequence[str],
    out: Path,
    sessions: sessionmaker[Session],
    config: Config,
    clock: Clock,
    progress: Progress,
    *,
    masters_only: bool,
    threads: int | None,
    cancelled: threading.Event | None,
    digest_of: Callable[[Path], str],
    tell: Callable[[str], None],
) -> BatchReport:
    batch = _record(sessions, folders, out, clock)
    run = Run(
        sessions=sessions,
        clock=clock,
        settings=config.preprocessor,
        file_batch_id=batch.id,
        generation=batch.generation,
        places=places_of(folders, folders),
        products=out,
        threads=threads or config.service("preprocessor").threads,
        progress=progress,
        cancelled=cancelled or threading.Event(),
        digest_of=digest_of,
    )
    run = _begun(run, batch, tell)
    steps = MASTERS if masters_only else ALL
    reduce_batch(run, batch, lambda session: None, steps)
    with sessions.begin() as session:
        row = batches.find(session, batch.id)
        return BatchReport(report(session, row), status(session, row))


def _record(
    sessions: sessionmaker[Session], folders: Sequence[str], out: Path, clock: Clock
) -> FileBatch:
    """Return the batch of these folders and these products."""
    packed = pack(folders)
    with sessions.begin() as session:
        found = batches.at(session, packed, out)
        if found is not None:
            return found
        batch = FileBatch(
            name=batches.free_name(session, batch_name(folders)),
            url=packed,
            folder=packed,
            products=str(out),
            state="new",
            created=clock.now(),
        )
        session.add(batch)
        return batch


def _begun(run: Run, batch: FileBatch, tell: Callable[[str], None]) -> Run:
    """Mark the batch as running; return the run that goes on with the last, or begins anew."""
    anew, failed = batch.state != "new", 0
    if batch.state in _INTERRUPTED:
        with run.sessions.begin() as session:
            units = queries.step_runs(session, batch)
            done, failed = (
                sum(unit.state == state for unit in units) for state in ("done", "failed")
            )
            reason = why_anew(session, batch, run)
        anew = reason is not None
        tell(
            f"An earlier run was interrupted: begun anew, since {reason}."
            if anew
            else f"An earlier run was interrupted: gone on with, {done} units are done."
        )
    batches.begin(run.sessions, batch, run.clock.now(), anew=anew)
    # What failed is tried again, and then also what was done without it.
    return replace(run, generation=batch.generation, retry=failed > 0 and not anew)
