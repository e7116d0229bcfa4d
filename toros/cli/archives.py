"""The archive that a command without daemons records to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from toros.common.config import Config


@contextmanager
def opened_archive(settings: Config, config: Path | None, target: Path) -> Iterator[Engine]:
    """Yield the configured archive, or one beside the products where no configuration is named."""
    from toros.archive import schema
    from toros.common.database import make_engine, sqlite_url

    if config is None:
        engine = make_engine(sqlite_url(target.absolute() / "archive.db"))
        schema.upgrade(engine)
    else:
        engine = make_engine(settings.database.url)
        schema.check_current(engine)
    try:
        yield engine
    finally:
        engine.dispose()
