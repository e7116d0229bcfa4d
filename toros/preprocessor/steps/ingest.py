"""Reads the header of every frame into the archive."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from toros.archive import queries
from toros.archive.models import Exposure, FileBatchExposure
from toros.common.errors import (
    AlreadyCalibrated,
    NoFilesFound,
    TorosError,
    UnknownImageType,
    UnreadableFile,
)
from toros.common.fits_files import FitsFiles, is_folder
from toros.imaging.headers import ExposureInfo, read_exposure, recorded, require_counts
from toros.preprocessor.run import Outcome, Problem, Run, Unit
from toros.preprocessor.sources import frames_in, recordable, require_recordable

KINDS = ("bias", "dark", "flat", "light")


@dataclass(frozen=True)
class Ingested:
    """A frame's header and its bytes' digest."""

    info: ExposureInfo
    sha256: str
    size_bytes: int


class Ingest:
    """One unit a file: its header, read and recorded as an exposure of the batch."""

    name = "ingest"
    makes_products = False

    def units(self, session: Session, run: Run) -> Sequence[Unit[Path]]:
        """Return one unit for each FITS file of the batch, and for each folder that is closed."""
        found: dict[str, Path] = {}  # of folders within one another, each file once
        closed: set[Path] = set()
        for place in run.places:
            files = FitsFiles(place.folder)
            with suppress(NoFilesFound):
                for path in frames_in(files, leave_out=run.products):
                    found.setdefault(os.path.realpath(path), path)
            closed |= files.closed
        if not found:
            folders = ", ".join(str(place.folder) for place in run.places)
            raise NoFilesFound(f"There is no FITS file in {folders}.")
        paths = [*found.values(), *sorted(closed)]
        return [Unit(recordable(run.key(path)), path) for path in paths]

    def work(self, run: Run, unit: Unit[Path]) -> Ingested:
        """Read the header and the digest."""
        path = unit.inputs
        require_recordable(path)
        if is_folder(path):
            raise UnreadableFile(f"{path} may not be read: what is in it is not known.")
        info = read_exposure(path)
        require_counts(info)
        return Ingested(info, run.digest_of(path), path.stat().st_size)

    def record(self, session: Session, run: Run, unit: Unit[Path], product: Ingested) -> Outcome:
        """Record the exposure; one that cannot be used is left out, saying why."""
        row = member(session, run, unit.inputs)
        _describe(row, product.info)
        row.sha256, row.size_bytes = product.sha256, product.size_bytes
        reason = _reason_to_leave_out(product.info)
        row.state = "left_out" if reason else "ingested"
        row.code, row.error = (reason.code, reason.message) if reason else (0, None)
        if reason is None:
            return Outcome()
        return Outcome(problem=Problem(reason.code, reason.message, logging.WARNING))

    def fail(self, session: Session, run: Run, unit: Unit[Path], error: TorosError) -> None:
        """Record the exposure with what was wrong with its file; a folder is none."""
        if is_folder(unit.inputs):
            return
        row = member(session, run, unit.inputs)
        row.state, row.code, row.error = "failed", error.code, error.message
        row.sha256 = row.size_bytes = None  # its bytes are not known to be those of a frame


def member(session: Session, run: Run, path: Path) -> Exposure:
    """Return the exposure of `path`, as a member of the batch; the telescope may know it."""
    name = recordable(str(path))
    row = queries.exposure_at(session, Path(name))
    if row is None:
        row = Exposure(path=name, state="raw")
        session.add(row)
        session.flush()
    if session.get(FileBatchExposure, (run.file_batch_id, row.id)) is None:
        session.add(FileBatchExposure(file_batch_id=run.file_batch_id, exposure_id=row.id))
    return row


def _describe(row: Exposure, info: ExposureInfo) -> None:
    values = recorded(info) | {
        "header": dict(info.header),
        "decided_by": dict(info.decided_by),
        "notes": list(info.notes),
    }
    for name, value in values.items():
        setattr(row, name, value)


def _reason_to_leave_out(info: ExposureInfo) -> TorosError | None:
    name = info.path.name
    if info.processed:
        return AlreadyCalibrated(f"{name} is left out: {info.processed}")
    if info.image_type is None:
        return UnknownImageType(f"{name} is left out: nothing says what kind of frame it is.")
    if info.image_type not in KINDS:
        kind = info.image_type
        return UnknownImageType(
            f"{name} is left out: a frame of kind {kind!r} is not reduced here."
        )
    return None
