"""The database: migrations on a real file, and the refusal of what is not current."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.exc import IntegrityError, StatementError
from sqlalchemy.orm import Session, sessionmaker

from toros.archive import schema
from toros.archive.models import Base, Combination, CombinationInput, Event, StatusCode
from toros.common.database import make_engine
from toros.common.errors import ConfigurationError, DatabaseNotReady, status_codes

TABLES = {
    "file_batch",
    "exposure",
    "file_batch_exposure",
    "combination",
    "combination_input",
    "metric",
    "step_run",
    "status_code",
    "work_order",
    "alert",
    "target",
    "observation",
    "candidate",
    "event",
}


def test_the_contract_s_tables_are_there(sessions: sessionmaker[Session]) -> None:
    assert set(Base.metadata.tables) == TABLES


def test_the_migrations_make_what_the_models_say(any_database_url: str) -> None:
    engine = make_engine(any_database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_an_empty_database_is_refused_until_it_is_upgraded(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'deep' / 'new.db'}")
    with pytest.raises(DatabaseNotReady, match="run 'toros db upgrade'"):
        schema.check_current(engine)
    schema.upgrade(engine)
    schema.upgrade(engine)  # twice is no harm
    schema.check_current(engine)
    engine.dispose()


def _by_migrations(path: Path) -> Engine:
    """Return a database that Alembic has brought to the newest revision, from nothing."""
    engine = make_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        schema._migrate(connection)
    return engine


def _statements(connection: Connection) -> dict[str, list[str]]:
    """Return the clauses of the statement that makes each table and index."""
    rows = connection.execute(text("SELECT name, sql FROM sqlite_master")).all()
    # Constraints stand in any order.
    return {name: sorted(re.split(r",\s*(?![^(]*\))", _inner(sql or ""))) for name, sql in rows}


def _inner(sql: str) -> str:
    words = " ".join(sql.split())
    return words.partition("(")[2].rpartition(")")[0].strip() if "TABLE" in words else words


def test_a_new_archive_is_what_the_migrations_make(tmp_path: Path) -> None:
    migrated = _by_migrations(tmp_path / "migrated.db")
    fresh = make_engine(f"sqlite:///{tmp_path / 'fresh.db'}")
    schema.upgrade(fresh)
    with migrated.connect() as old, fresh.connect() as new:
        assert _statements(new) == _statements(old)
        versions = [
            MigrationContext.configure(connection).get_current_revision()
            for connection in (old, new)
        ]
    assert versions == [schema.newest(), schema.newest()]
    assert schema.current(fresh) == schema.newest()
    migrated.dispose()
    fresh.dispose()


def test_the_newest_revision_is_alembic_s() -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == schema.newest()


def test_an_archive_of_an_earlier_version_is_migrated(tmp_path: Path) -> None:
    engine = make_engine(f"sqlite:///{tmp_path / 'old.db'}")
    with engine.begin() as connection:
        schema._migrate(connection, "0001")
    assert schema.current(engine) == "0001"
    schema.upgrade(engine)
    schema.check_current(engine)
    with engine.connect() as connection:
        assert "rejected TEXT" in _statements(connection)["combination"]
    engine.dispose()


def test_what_is_no_database_is_said_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 100)
    engine = make_engine(f"sqlite:///{path}")
    with pytest.raises(DatabaseNotReady, match="file is not a database"):
        schema.upgrade(engine)
    engine.dispose()
    with pytest.raises(ConfigurationError, match=r"database\.url"):
        make_engine("nonsense")


def test_every_status_code_stands_in_the_archive(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        found = {row.code: row.description for row in session.scalars(select(StatusCode))}
    assert found == status_codes()


def test_times_are_aware_and_naive_ones_are_refused(sessions: sessionmaker[Session]) -> None:
    moment = datetime(2017, 8, 17, 12, 41, 4, 430500, tzinfo=UTC)
    with sessions.begin() as session:
        session.add(Event(time=moment, module="dome", kind="safety", message="rain"))
    with sessions() as session:
        assert session.scalars(select(Event.time)).one() == moment
    naive = Event(time=moment.replace(tzinfo=None), module="dome", kind="x", message="")
    with pytest.raises(StatementError, match="aware times only"), sessions.begin() as session:
        session.add(naive)


def test_an_input_is_an_exposure_or_a_product(sessions: sessionmaker[Session]) -> None:
    with sessions.begin() as session:
        product = Combination(
            kind="master_bias",
            path="a",
            version="0",
            created=datetime.now(UTC),  # noqa: TID251
        )
        session.add(product)
    with pytest.raises(IntegrityError), sessions.begin() as session:
        session.add(CombinationInput(combination_id=product.id, role="bias"))
