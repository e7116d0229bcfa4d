"""Copies the frames of a file batch that is elsewhere than the raw data."""

from __future__ import annotations

import glob
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from toros.common.atomic import atomic_path
from toros.common.errors import TorosError, UnusableFrame
from toros.imaging.headers import sha256_of
from toros.preprocessor.run import Outcome, Run, Unit
from toros.preprocessor.sources import frames_in


@dataclass(frozen=True)
class Copying:
    """One file, and where it goes."""

    source: Path
    target: Path


class Copy:
    """Copies each frame, checks the copy by its digest, and never touches one that is there."""

    name = "copy"

    def units(self, session: Session, run: Run) -> Sequence[Unit[Copying]]:
        """Return one unit for each frame of the source; none when it is read where it is."""
        if run.source == run.folder:
            return []
        names = [path.relative_to(run.source) for path in frames_in(run.source)]
        return [
            Unit(name.as_posix(), Copying(run.source / name, run.folder / name)) for name in names
        ]

    def work(self, run: Run, unit: Unit[Copying]) -> None:
        """Copy one file, whole or not at all."""
        source, target = unit.inputs.source, unit.inputs.target
        wanted = sha256_of(source)
        if target.exists():
            if sha256_of(target) != wanted:
                raise UnusableFrame(
                    f"{source} is not the file that was copied to {target} before; "
                    "raw files are never replaced: send it in a file batch of another name."
                )
            return
        for leftover in target.parent.glob(f".{glob.escape(target.stem)}.????????{target.suffix}"):
            leftover.unlink(missing_ok=True)  # half a copy, of a process that was killed
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
            if sha256_of(temporary) != wanted:
                raise UnusableFrame(f"{source} changed, or was damaged, while it was copied.")

    def record(self, session: Session, run: Run, unit: Unit[Copying], product: None) -> Outcome:
        """Record nothing but that it is done."""
        return Outcome()

    def fail(self, session: Session, run: Run, unit: Unit[Copying], error: TorosError) -> None:
        """Leave it at the record of the unit: there is no exposure yet."""
