"""Fixtures that every suite shares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy.orm import Session, sessionmaker

from tests.support.postgresql import PostgreSQL, postgresql
from toros.archive.schema import upgrade
from toros.common.database import make_engine, make_sessions

__all__ = ["postgresql"]

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """A scratch SQLite database with the current schema."""
    url = f"sqlite:///{tmp_path / 'scratch.db'}"
    engine = make_engine(url)
    upgrade(engine)
    engine.dispose()
    return url


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL) -> str:
    """A scratch PostgreSQL database with the current schema."""
    _, url = postgresql.make_database()
    engine = make_engine(url)
    upgrade(engine)
    engine.dispose()
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def any_database_url(request: pytest.FixtureRequest) -> str:
    """A scratch database with the current schema, of each kind in turn."""
    name = {"sqlite": "database_url", "postgresql": "postgresql_url"}[request.param]
    url: str = request.getfixturevalue(name)
    return url


@pytest.fixture
def sessions(database_url: str) -> Iterator[sessionmaker[Session]]:
    engine = make_engine(database_url)
    yield make_sessions(engine)
    engine.dispose()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real frames and alerts beside the project."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the sample data is not at {folder}")
    return folder
