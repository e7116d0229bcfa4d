"""The schema of the database: bringing it up to date, and refusing to work on an old one."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    delete,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import SQLAlchemyError

from toros.archive.models import Base, StatusCode
from toros.common.config.source import without_password
from toros.common.database import sqlite_file
from toros.common.errors import DatabaseNotReady, SchemaNotCurrent, status_codes

MIGRATIONS = Path(__file__).parent / "migrations"
# Alembic's own table, as it makes it.
_VERSION = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)


def upgrade(engine: Engine) -> None:
    """Bring the schema to the current revision, and the table of status codes up to date.

    Raises
    ------
    DatabaseNotReady
        When the database cannot be reached or written.
    """
    file = sqlite_file(engine)
    try:
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
        with engine.begin() as connection:
            if _is_empty_sqlite(connection):
                # The archive beside the products of a folder: made in one go, without Alembic,
                # whose import alone takes longer. A test compares both ways.
                Base.metadata.create_all(connection, checkfirst=False)
                _VERSION.create(connection, checkfirst=False)
                connection.execute(insert(_VERSION).values(version_num=newest()))
            else:
                _migrate(connection)
            _write_status_codes(connection)
    except (SQLAlchemyError, OSError) as error:
        raise _unreachable(engine, error) from error


def current(engine: Engine) -> str | None:
    """Return the revision of the schema in the database, None where there is none."""
    file = sqlite_file(engine)
    if file is not None and not file.exists():
        return None  # connecting would make an empty file
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table(_VERSION.name):
                return None
            found: str | None = connection.scalar(select(_VERSION.c.version_num))
            return found
    except SQLAlchemyError as error:
        raise _unreachable(engine, error) from error


def newest() -> str:
    """Return the revision that this version of TOROS works with."""
    # As the files are named; a test asks Alembic.
    return max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


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


def _is_empty_sqlite(connection: Connection) -> bool:
    if connection.dialect.name != "sqlite":
        return False
    return not connection.scalar(text("SELECT count(*) FROM sqlite_master"))


def _migrate(connection: Connection, revision: str = "head") -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _write_status_codes(connection: Connection) -> None:
    connection.execute(delete(StatusCode))
    rows = [{"code": code, "description": text} for code, text in status_codes().items()]
    connection.execute(insert(StatusCode), rows)


def _name(engine: Engine) -> str:
    return without_password(engine.url.render_as_string(hide_password=True))


def _unreachable(engine: Engine, error: Exception) -> DatabaseNotReady:
    cause = str(getattr(error, "orig", None) or error).splitlines()[0]
    return DatabaseNotReady(f"The database {_name(engine)} cannot be used: {cause}.")
