"""The engine and the metadata that the journal and the archive share."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import DateTime, Dialect, Engine, MetaData, TypeDecorator, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker

from toros.common.config.source import without_password
from toros.common.errors import ConfigurationError

# Alembic needs names to alter constraints later.
NAMING = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

SQLITE_BUSY_SECONDS = 30.0
SQLITE_LOOK_S = 0.0005
_READS_ONLY = "toros_reads_only"
# How long a connection may take, and how long a network may swallow what is sent (seconds).
POSTGRESQL_CONNECT_S = 10
POSTGRESQL_SILENT_S = 30


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime, also on databases that forget time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times and store the others in UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone: the archive takes aware times only.")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the time as aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Base of all tables, those of the journal and those of the archive."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {datetime: UtcDateTime}  # noqa: RUF012 - SQLAlchemy's own idiom


def sqlite_url(path: Path) -> str:
    """Return the address of an SQLite database in a file, whatever signs its path has."""
    return f"sqlite:///{path}".replace("%", "%25").replace("?", "%3F")


def make_engine(url: str) -> Engine:
    """Return an engine for `url`.

    SQLite gets write-ahead logging, full durability and foreign keys, and its transactions begin
    with ``BEGIN IMMEDIATE``: a transaction that reads first and writes later would otherwise fail
    with "database is locked" as soon as two modules do so at once. Those of `reading` do not: they
    wait for nobody.

    Raises
    ------
    ConfigurationError
        When the address cannot be understood or its driver is not installed.
    """
    try:
        address = make_url(url)
        engine = create_engine(address, **_options(address))
    except (ArgumentError, ModuleNotFoundError) as error:
        raise ConfigurationError(
            f"database.url: {without_password(url)!r} is not a database address that can be used "
            f"here ({error})."
        ) from error
    if engine.dialect.name == "sqlite":
        _prepare_sqlite(engine)
    return engine


def _options(address: URL) -> dict[str, Any]:
    if address.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": SQLITE_BUSY_SECONDS, "check_same_thread": False}}
    options: dict[str, Any] = {"pool_pre_ping": True}
    if address.get_driver_name() in ("psycopg", "psycopg2"):
        # A network that swallows everything must not hold a worker up for minutes.
        options["connect_args"] = {
            "connect_timeout": POSTGRESQL_CONNECT_S,
            "tcp_user_timeout": POSTGRESQL_SILENT_S * 1000,
            "keepalives_idle": POSTGRESQL_SILENT_S,
        }
    return options


def _prepare_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy says BEGIN, not the driver
        cursor = connection.cursor()
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            cursor.execute(f"PRAGMA {pragma}")
        # From here on we wait ourselves: SQLite's own waiting grows to 100 ms between looks.
        cursor.execute("PRAGMA busy_timeout = 0")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Any) -> None:
        driver = connection.connection.dbapi_connection
        if connection.get_execution_options().get(_READS_ONLY):
            driver.execute("BEGIN")
            # The snapshot is taken by the first look: here, where it may wait for a recovery.
            _execute_patiently(driver, "SELECT 1 FROM sqlite_schema LIMIT 1")
        else:
            _execute_patiently(driver, "BEGIN IMMEDIATE")


def _execute_patiently(connection: Any, statement: str) -> None:
    """Execute what must wait for others, looking often."""
    deadline = time.monotonic() + SQLITE_BUSY_SECONDS
    pause = threading.Event()
    while True:
        try:
            connection.execute(statement).fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                # As SQLAlchemy raises it: callers know its errors, not the driver's.
                raise OperationalError(statement, None, error) from error
            pause.wait(SQLITE_LOOK_S)
        else:
            return


def sqlite_file(engine: Engine) -> Path | None:
    """Return the file of an SQLite database, None for other databases and for one in memory."""
    name = engine.url.database
    if engine.dialect.name != "sqlite" or not name or name == ":memory:":
        return None
    return Path(name)


def make_sessions(engine: Engine) -> sessionmaker[Session]:
    """Return the factory of sessions; objects stay readable after a commit."""
    return sessionmaker(engine, expire_on_commit=False)


@contextmanager
def reading(sessions: sessionmaker[Session]) -> Iterator[Session]:
    """Yield a session that only reads; on SQLite it does not wait for those who write."""
    with sessions() as session:
        session.connection(execution_options={_READS_ONLY: True})
        yield session
