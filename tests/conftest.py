"""Fixtures that every suite shares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, sessionmaker

from toros.archive.schema import upgrade
from toros.common.database import make_engine, make_sessions


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """A scratch SQLite database with the current schema."""
    url = f"sqlite:///{tmp_path / 'scratch.db'}"
    engine = make_engine(url)
    upgrade(engine)
    engine.dispose()
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
