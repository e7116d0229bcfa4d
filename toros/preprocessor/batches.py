"""The record of a file batch: made once for a name, started again by a generation."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session, sessionmaker

from toros.archive import queries
from toros.archive.models import Event, FileBatch
from toros.common.clock import Clock
from toros.common.errors import InvalidField, TorosError, WrongState
from toros.preprocessor.grouping import slug

# A batch that a dead process left goes on where it was; a finished one tries its failures again.
UNFINISHED = ("running", "stopped", "requeued")

_DATE_DIGITS = 8


def find(session: Session, key: int | str) -> FileBatch:
    """Return the file batch of this id or name.

    Raises
    ------
    InvalidField
        When there is none.
    """
    batch = queries.file_batch(session, key)
    if batch is None:
        raise InvalidField(f"There is no file batch {key!r}; see list_file_batches.")
    return batch


def named(session: Session, url: str, name: str | None) -> FileBatch | None:
    """Return the batch that an order of `url` and `name` means, None if it is a new one.

    Raises
    ------
    WrongState
        When the name belongs to a batch from elsewhere.
    """
    if name is None:
        known = queries.file_batches_of(session, url)
        return known[0] if known else None
    found = queries.file_batch_named(session, _folder_name(name))
    if found is not None and found.url != url:
        raise WrongState(f"The file batch {name!r} is of {found.url}; give this one another name.")
    return found


def at(session: Session, url: str, products: Path) -> FileBatch | None:
    """Return the batch of this source whose products go into this folder."""
    known = queries.file_batches_of(session, url)
    return next((batch for batch in known if batch.products == str(products)), None)


def free_name(session: Session, wanted: str) -> str:
    """Return a name that no other batch has, fit for a folder: `wanted` or like it."""
    plain = _folder_name(wanted)
    chosen, number = plain, 1
    while queries.file_batch_named(session, chosen) is not None:
        number += 1
        chosen = f"{plain}-{number}"
    return chosen


def _folder_name(name: str) -> str:
    plain = slug(name)
    # A short number would be read as an id; a date is none.
    return f"batch-{plain}" if plain.isdecimal() and len(plain) < _DATE_DIGITS else plain


def is_copied(session: Session, batch: FileBatch) -> bool:
    """Return whether all that the sources of a batch held has been brought here.

    So it is when the last run that copied anything had no failure and went on to the next step.
    """
    units = queries.copies(session, batch)
    if not units or any(unit.state != "done" for unit in units):
        return False
    return queries.has_begun(session, batch, units[0].generation, "ingest")


def begin(
    sessions: sessionmaker[Session],
    batch: FileBatch,
    now: datetime,
    *,
    anew: bool = False,
    work_order: str | None = None,
) -> bool:
    """Mark a batch as running; return whether what failed before is to be tried again.

    Parameters
    ----------
    batch : FileBatch
        The record; its generation is brought up to date.
    anew : bool
        Begin a new generation: every step again.
    work_order : str, optional
        The order that asks for it.
    """
    with sessions.begin() as session:
        row = find(session, batch.id)
        unfinished = row.state in UNFINISHED
        if anew:
            row.generation += 1
        if anew or row.state == "new":
            row.work_order = work_order
        row.state, row.code, row.message, row.finished = "running", 0, "", None
        session.add(_event(row, now, "state", f"Reduction of file batch {row.name} begins.", 0))
        batch.generation = row.generation
    return not unfinished and not anew


def end(session: Session, batch: FileBatch, clock: Clock, error: TorosError | None) -> None:
    """Record, in the transaction of `session`, how the run over a batch ended."""
    row = find(session, batch.id)
    row.finished = clock.now()
    if error is None:
        problems = len(queries.problem_units(session, row))
        for unit in queries.made_with_rejected(session, row):
            unit.state = "requeued"  # the master was rejected while it was being used
        session.flush()
        row.state, row.code = "done", 0
        row.message = f"{problems} unit(s) with a problem." if problems else ""
        if queries.requeued(session, row):
            row.state, row.message = "requeued", "A master was judged anew: to be resumed."
        text = f"Reduction of file batch {row.name} is done. {row.message}".strip()
    else:
        row.state, row.code, row.message = "failed", error.code, error.message
        text = f"Reduction of file batch {row.name} failed: {error.message}"
    session.add(_event(row, clock.now(), "problem" if error else "state", text, row.code))


def stop(sessions: sessionmaker[Session], batch: FileBatch, error: TorosError) -> None:
    """Record that the run over a batch was stopped before its end."""
    with sessions.begin() as session:
        row = find(session, batch.id)
        row.state, row.code, row.message = "stopped", error.code, error.message


def _event(batch: FileBatch, now: datetime, kind: str, message: str, code: int) -> Event:
    return Event(
        time=now,
        module="preprocessor",
        kind=kind,
        level="error" if code else "info",
        message=message,
        code=code,
        data={"file_batch": batch.id, "name": batch.name},
    )
