"""The schema of the database: bringing it up to date, and refusing to work on an old one."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, delete
from sqlalchemy.exc import SQLAlchemyError

from toros.archive.models import StatusCode
from toros.common.database import make_sessions, sqlite_file
from toros.common.errors import DatabaseNotReady, SchemaNotCurrent, status_codes

MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(engine: Engine) -> None:
    """Bring the schema to the current revision, and the table of status codes up to date.

    Raises
    ------
    DatabaseNotReady
        When the database cannot be reached or written.
    """
    config = _alembic()
    file = sqlite_file(engine)
    try:
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        _write_status_codes(engine)
    except (SQLAlchemyError, OSError) as error:
        raise _unreachable(engine, error) from error


def current(engine: Engine) -> str | None:
    """Return the revision of the schema in the database, None where there is none."""
    file = sqlite_file(engine)
    if file is not None and not file.exists():
        return None  # connecting would make an empty file
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    except SQLAlchemyError as error:
        raise _unreachable(engine, error) from error


def newest() -> str | None:
    """Return the revision that this version of TOROS works with."""
    return ScriptDirectory.from_config(_alembic()).get_current_head()


def check_current(engine: Engine) -> None:
    """Refuse a database whose schema is not the current one.

    Raises
    ------
    SchemaNotCurrent
        Saying what to do.
    DatabaseNotReady
        When the database cannot be reached.
    """
    found, wanted = current(engine), newest()
    if found != wanted:
        raise SchemaNotCurrent(
            f"The database {_name(engine)} is at revision {found or 'none'}, this version of TOROS "
            f"works with {wanted}: run 'toros db upgrade'."
        )


def _alembic() -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def _write_status_codes(engine: Engine) -> None:
    with make_sessions(engine).begin() as session:
        session.execute(delete(StatusCode))
        session.add_all(
            StatusCode(code=code, description=text) for code, text in status_codes().items()
        )


def _name(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=True)


def _unreachable(engine: Engine, error: Exception) -> DatabaseNotReady:
    cause = str(getattr(error, "orig", None) or error).splitlines()[0]
    return DatabaseNotReady(f"The database {_name(engine)} cannot be used: {cause}.")
