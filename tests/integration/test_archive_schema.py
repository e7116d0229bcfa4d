"""The database: migrations on a real file, and the refusal of what is not current."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import select
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
