"""Brings the frames of a file batch that is elsewhere to the raw data."""

from __future__ import annotations

import glob
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import delete
from sqlalchemy.orm import Session

from toros.archive.models import StepRun
from toros.common.atomic import atomic_path, hidden_prefix
from toros.common.errors import SourceGone, TorosError, TransferIncomplete, UnusableFrame
from toros.imaging.headers import sha256_of
from toros.preprocessor.checksums import require_digest
from toros.preprocessor.places import Incoming
from toros.preprocessor.run import Outcome, Run, Unit
from toros.preprocessor.sources import recordable, require_recordable
from toros.preprocessor.steps.ingest import member


@dataclass(frozen=True)
class Copying:
    """One file, and where it goes."""

    incoming: Incoming
    target: Path


class Copy:
    """Brings each frame whole, checks it by its digest, and never touches one that is there."""

    name = "copy"
    makes_products = False

    def units(self, session: Session, run: Run) -> Sequence[Unit[Copying]]:
        """Return one unit for each frame to bring, and one for each source that is not there."""
        units, sources = [], []
        for place in run.places:
            sources.append(f"source {place.label}".rstrip())
            for one in place.incoming:
                key = recordable(place.named(one.name)) if one.is_frame else sources[-1]
                units.append(Unit(key, Copying(one, place.folder / one.name)))
        # A source may be there again, which was not when the batch was left.
        session.execute(
            delete(StepRun).where(
                StepRun.file_batch_id == run.file_batch_id,
                StepRun.generation == run.generation,
                StepRun.step == self.name,
                StepRun.key.in_(sources),
            )
        )
        return units

    def work(self, run: Run, unit: Unit[Copying]) -> None:
        """Bring one file, whole or not at all."""
        one, target = unit.inputs.incoming, unit.inputs.target
        if one.error is not None:
            raise one.error
        require_recordable(target)
        if target.exists():
            _require_same(one, target)
        elif one.url is not None:
            if run.web is None:
                raise TransferIncomplete(f"{one.url} is not fetched here.")
            run.web.fetch(one.url, target, one.sha256)
        elif one.path is not None:
            _take(one, one.path, target)

    def record(self, session: Session, run: Run, unit: Unit[Copying], product: None) -> Outcome:
        """Record nothing but that it is done."""
        return Outcome()

    def fail(self, session: Session, run: Run, unit: Unit[Copying], error: TorosError) -> None:
        """Record the exposure that did not come, unless an earlier one of its name is here."""
        if not unit.inputs.incoming.is_frame:
            return
        row = member(session, run, unit.inputs.target)
        if row.sha256 is None:
            row.state, row.code, row.error = "failed", error.code, error.message


def _digest(one: Incoming) -> str | None:
    """Return the digest that a file must have: the one that was given, else that of the source."""
    if one.sha256 is not None or one.path is None:
        return one.sha256
    try:
        return sha256_of(one.path)
    except FileNotFoundError as error:
        raise SourceGone(f"{one.path} is not there any more.") from error


def _require_same(one: Incoming, target: Path) -> None:
    wanted = _digest(one)
    if wanted is not None and sha256_of(target) != wanted:
        raise UnusableFrame(
            f"{one.path or one.url} is not the file that was copied to {target} before; "
            "raw files are never replaced: send it in a file batch of another name."
        )
    if one.staged and one.path is not None:
        one.path.unlink(missing_ok=True)


def _take(one: Incoming, source: Path, target: Path) -> None:
    wanted = _digest(one)
    if one.staged:
        if not source.exists():
            raise SourceGone(f"{target.name} was taken away; send its archive file again.")
        target.parent.mkdir(parents=True, exist_ok=True)
        source.replace(target)
        return
    hidden = f"{glob.escape(hidden_prefix(target))}????????{glob.escape(target.suffix)}"
    for leftover in target.parent.glob(hidden):
        leftover.unlink(missing_ok=True)  # half a copy, of a process that was killed
    with atomic_path(target) as temporary:
        try:
            shutil.copyfile(source, temporary)
        except FileNotFoundError as error:
            raise SourceGone(f"{source} is not there any more.") from error
        if one.sha256 is not None:
            require_digest(temporary, one.sha256, str(source))
        elif sha256_of(temporary) != wanted:
            raise UnusableFrame(f"{source} changed, or was damaged, while it was copied.")
