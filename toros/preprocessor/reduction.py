"""The reduction of a file batch: its steps, one after the other."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from toros.archive.models import FileBatch
from toros.common.errors import Cancelled, DatabaseNotReady, LostOwnership, TorosError
from toros.imaging.master_words import let_go
from toros.imaging.spare_memory import give_up, shrink_to
from toros.preprocessor import batches
from toros.preprocessor.engine import run_step
from toros.preprocessor.night_report import NAME as REPORT
from toros.preprocessor.night_report import write_report
from toros.preprocessor.run import Run, Step
from toros.preprocessor.steps.bad_pixels import BadPixels
from toros.preprocessor.steps.calibrate import Calibrate
from toros.preprocessor.steps.copy import Copy
from toros.preprocessor.steps.ingest import Ingest
from toros.preprocessor.steps.master_bias import MasterBias
from toros.preprocessor.steps.master_dark import MasterDark
from toros.preprocessor.steps.master_flat import MasterFlat
from toros.preprocessor.steps.vet import Vet

log = logging.getLogger(__name__)

MASTERS: tuple[Step[Any, Any], ...] = (
    Copy(),
    Ingest(),
    Vet(),
    MasterBias(),
    MasterDark(),
    MasterFlat(),
    BadPixels(),
)
ALL: tuple[Step[Any, Any], ...] = (*MASTERS, Calibrate())


def reduce_batch(
    run: Run,
    batch: FileBatch,
    finish: Callable[[Session], None],
    steps: tuple[Step[Any, Any], ...] = ALL,
    arrive: Callable[[Run], Run] = lambda run: run,
    tidy: Callable[[Run], None] = lambda run: None,
) -> None:
    """Do every step that is not done yet, and record the end of the batch.

    Parameters
    ----------
    run : Run
        What to do and where.
    batch : FileBatch
        Its record, marked as running.
    finish : callable
        Called in the transaction that records the end: there a work order is completed.
    arrive : callable
        Called first: looks what the sources hold, and says where it is brought.
    tidy : callable
        Called before the end is recorded: removes what was only needed on the way. Whoever hears
        that a batch is done finds nothing half-written, whenever a process is killed.

    Raises
    ------
    TorosError
        When the batch as a whole cannot be reduced; what single frames suffer is recorded only.
    """
    try:
        run = arrive(run)
        _sweep(run)
        _do_all(steps, run)
        write_report(run)
        tidy(run)
        with run.sessions.begin() as session:
            batches.end(session, batch, run.clock, None)
            finish(session)
    except OperationalError as error:
        # Nothing can be recorded: the batch stays as it stands in the archive, to be resumed.
        raise archive_unusable(error) from error
    except LostOwnership:
        # Another worker has it: the record is theirs.
        raise
    except Cancelled as error:
        batches.stop(run.sessions, batch, error)
        raise
    except TorosError as error:
        with run.sessions.begin() as session:
            batches.end(session, batch, run.clock, error)
        raise
    except Exception as error:
        failure = TorosError(f"{type(error).__name__}: {error}")
        with run.sessions.begin() as session:
            batches.end(session, batch, run.clock, failure)
        raise
    log.info("File batch %s is done.", batch.name)


def _do_all(steps: tuple[Step[Any, Any], ...], run: Run) -> None:
    try:
        for step in steps:
            run.raise_if_cancelled()
            run_step(step, run)
            shrink_to(run.settings.memory_limit_mb * 1024**2)
    finally:
        # A disk whose files are mapped cannot be unmounted.
        let_go()
        give_up()


def archive_unusable(error: OperationalError) -> DatabaseNotReady:
    """Return what a person is told when the archive fails in the middle of the work."""
    cause = str(error.orig).rstrip(".")
    return DatabaseNotReady(f"The archive cannot be used: {cause}. Mend it and resume the batch.")


def _sweep(run: Run) -> None:
    """Remove the products that a killed process left half-written, under their hidden names."""
    for kind in ("master", "bad_pixel_mask", "calib"):
        # The name that `atomic_path` gives, and no other: the folder may be a person's own.
        for leftover in run.products.glob(f".{kind}_*.????????.*"):
            log.info("%s was left half-written and is removed.", leftover)
            leftover.unlink(missing_ok=True)
    for leftover in run.products.glob(f".{Path(REPORT).stem}.????????.html"):
        leftover.unlink(missing_ok=True)
