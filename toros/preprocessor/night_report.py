"""The report on a file batch for people: one HTML file that needs nothing else."""

from __future__ import annotations

import logging
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toros.archive.models import Event
from toros.common.atomic import write_bytes
from toros.common.errors import CalibrationError
from toros.preprocessor import batches
from toros.preprocessor.run import Run

if TYPE_CHECKING:
    from jinja2 import Template

    from toros.preprocessor.page import Page

log = logging.getLogger(__name__)

NAME = "report.html"


def write_report(run: Run) -> Path | None:
    """Write the report of a run beside its products, if it is configured.

    Without it nothing is lost: that it could not be written is recorded, and the batch goes on.
    """
    if not run.settings.report:
        return None
    from toros.preprocessor.page import page_of

    target = run.products / NAME
    with run.sessions() as session:
        page = page_of(session, batches.find(session, run.file_batch_id))
    try:
        write_bytes(target, render(page))
    except OSError as error:
        message = f"The report {target} could not be written: {error}."
        log.warning("%s", message)
        with run.sessions.begin() as session:
            session.add(_event(run, message))
        return None
    return target


def render(page: Page) -> bytes:
    """Return the page as UTF-8; what headers and file names hold is text there, never markup."""
    text = _template().render(page=page)
    # A file name that is no UTF-8 cannot be written as such.
    return text.encode("utf-8", "replace")


@lru_cache(maxsize=1)
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("toros.preprocessor"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters["utc"] = _utc
    environment.filters["megabytes"] = _megabytes
    return environment.get_template("night_report.html")


def _shown(value: Any) -> Any:
    """Nothing for None; characters that no page may hold are shown as such."""
    if value is None:
        return ""
    if isinstance(value, str) and not value.isprintable() and not hasattr(value, "__html__"):
        return "".join(one if one.isprintable() or one in "\n\t" else "\ufffd" for one in value)
    return value


def _utc(moment: datetime | None, style: str = "%Y-%m-%d %H:%M:%S") -> str:
    return f"{moment:{style}}" if moment is not None else "–"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size < 1e9 else f"{size / 1e9:,.2f} GB"


def _event(run: Run, message: str) -> Event:
    return Event(
        time=run.clock.now(),
        module="preprocessor",
        kind="problem",
        level="warning",
        message=message,
        code=CalibrationError.code,
        data={"file_batch": run.file_batch_id},
    )
