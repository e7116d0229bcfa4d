"""Whether a reduction that was interrupted can be gone on with, or must begin anew."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.orm import Session

from toros import __version__
from toros.archive import queries
from toros.archive.models import FileBatch, StepRun
from toros.common.errors import TorosError
from toros.preprocessor.run import Run, Unit
from toros.preprocessor.steps.ingest import Ingest

# Later steps take all frames together: with one more they would have made something else.
_ONE_BY_ONE = ("copy", Ingest.name)


def why_anew(session: Session, batch: FileBatch, run: Run) -> str | None:
    """Return what is not as it was when the last run of `batch` was interrupted, None if all is.

    Its products are those of an undisturbed run only if the frames, the settings and the version
    of TOROS are the same all along.

    Raises
    ------
    NoFilesFound
        When there are no frames any more.
    """
    return _changed_frame(session, batch, run) or _changed_product(session, batch, run)


def _changed_frame(session: Session, batch: FileBatch, run: Run) -> str | None:
    units = {unit.key: unit for unit in Ingest().units(session, run)}
    begun = queries.step_runs(session, batch)
    known = {row.key: row for row in begun if row.step == Ingest.name}
    if gone := sorted(known.keys() - units.keys()):
        return f"{gone[0]} is gone"
    added = sorted(units.keys() - known.keys())
    if added and any(row.step not in _ONE_BY_ONE for row in begun):
        return f"{added[0]} is new"
    changed = (key for key, row in known.items() if _is_changed(session, run, units[key], row))
    first = next(changed, None)
    return f"{first} is not as it was" if first is not None else None


def _is_changed(session: Session, run: Run, unit: Unit[Path], row: StepRun) -> bool:
    if row.state not in ("done", "failed"):
        return False  # not read yet
    try:
        now = Ingest().work(run, unit)
    except (TorosError, OSError):
        return row.state == "done"
    frame = queries.exposure_at(session, unit.inputs)
    return frame is None or frame.sha256 != now.sha256


def _changed_product(session: Session, batch: FileBatch, run: Run) -> str | None:
    settings = run.settings.model_dump(mode="json")
    for product in queries.products(session, batch):
        if not Path(product.path).is_file():
            return f"{Path(product.path).name} is gone"
        if product.version != __version__:
            return f"it was begun with TOROS {product.version}"
        if product.parameters.get("settings") != settings:
            return "its settings were others"
    return None
