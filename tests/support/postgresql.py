"""A real PostgreSQL for the tests: started on a socket in a folder of its own, and ended."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.support.waiting import wait_until

# Debian keeps the server's programs beside the path.
DEBIAN = Path("/usr/lib/postgresql")
USER = "toros"


class PostgreSQL:
    """A server, which only processes of this machine can reach by a socket in its folder."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.folder = folder
        self._made = 0
        # The server refuses to run as root.
        self._who = _anybody() if os.geteuid() == 0 else None
        if self._who is not None:
            os.chown(folder, self._who.pw_uid, self._who.pw_gid)
        data = folder / "data"
        self._run([programs / "initdb", "-A", "trust", "-U", USER, "-E", "UTF8", "--locale=C",
                   "--no-sync", "-D", data])  # fmt: skip
        # Nothing here tests PostgreSQL's own durability: it need not wait for the disk.
        options = [f"unix_socket_directories={folder}", "listen_addresses=", "fsync=off"]
        command = [programs / "postgres", "-D", data]
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [*command, *(word for option in options for word in ("-c", option))],
                stderr=log,
                stdout=log,
                cwd=folder,
                **self._as_whom(),
            )
        wait_until(self._answers, "PostgreSQL to answer")

    def _as_whom(self) -> dict[str, int]:
        return {} if self._who is None else {"user": self._who.pw_uid, "group": self._who.pw_gid}

    def _run(self, command: list[str | Path]) -> None:
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder, **self._as_whom())

    def _answers(self) -> bool:
        assert self._process.poll() is None, (self.folder / "log").read_text()
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def execute(self, statement: str, *parameters: str) -> None:
        """Run one statement in the server's own database."""
        with psycopg.connect(
            host=str(self.folder), user=USER, dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(statement.encode(), parameters)

    def make_database(self) -> tuple[str, str]:
        """Make an empty database; return its name and its address."""
        self._made += 1
        name = f"scratch_{self._made}"
        self.execute(f"CREATE DATABASE {name}")
        return name, f"postgresql+psycopg://{USER}@/{name}?host={self.folder}"

    def stop(self) -> None:
        """End the server, whoever is connected."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(60)


def _anybody() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _programs() -> Path | None:
    on_path = shutil.which("postgres")
    if on_path is not None and shutil.which("initdb") is not None:
        return Path(on_path).resolve().parent
    versions = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return versions[-1].parent if versions else None


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """The server that all tests of a session share."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not on this machine: Debian's package postgresql has it")
    # Not below pytest's own folder, which only its owner may enter.
    folder = Path(tempfile.mkdtemp(prefix="toros-pg-"))
    server = PostgreSQL(programs, folder)
    yield server
    server.stop()
    shutil.rmtree(folder)
