"""The reference is made from the code, and nothing is missing in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel

from toros.archive.models import Base
from toros.cli.modules import ROOMS
from toros.common.config import Config
from toros.common.errors import error_classes, status_codes

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def generate(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the package that makes the pages, found as `conf.py` finds it."""
    monkeypatch.syspath_prepend(str(DOCS))
    return import_module("_generate")


@pytest.mark.parametrize("module", ROOMS)
def test_every_request_of_every_module_is_described(generate: ModuleType, module: str) -> None:
    page = generate.requests.page()
    section = page.split(f"## {module}\n")[1]

    for request in import_module(f"toros.{module}.requests").TABLE:
        assert f"({module}-{request.name})=" in page
        described = section.split(f"### `{request.name}`\n")[1].split("### ")[0]
        assert request.summary in described
        for name in (*request.fields.model_fields, *request.aliases):
            assert f"`{name}`" in described


def test_the_requests_that_every_module_answers_are_described(generate: ModuleType) -> None:
    page = generate.requests.page()

    for name in ("status", "work_order_status", "list_work_orders", "cancel"):
        assert f"(module-{name})=" in page


def test_every_status_code_is_described(generate: ModuleType) -> None:
    page = generate.status_codes.page()
    rows = {int(code): rest for code, rest in re.findall(r"^\| (\d+) \|(.*)$", page, re.MULTILINE)}

    assert rows.keys() == status_codes().keys()
    for error in error_classes():
        assert f"`{error.__name__}`" in rows[error.code]


def _keys(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield name
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _keys(inner)


def test_every_key_of_the_configuration_is_described(generate: ModuleType) -> None:
    page = generate.configuration.page()
    said = {part for name in re.findall(r"`([\w.\[\]]+)`", page) for part in name.split(".")}

    assert set(_keys(Config)) <= said
    assert "{'" not in page, "a default was written as Python"


def test_every_command_is_described(generate: ModuleType) -> None:
    page = generate.command_line.page()

    for words in ("night", "serve", "send", "config check", "db upgrade", "alert rank", "plan"):
        assert f"## `toros {words}`\n" in page
    assert "--simulated" in page


def test_every_table_is_described(generate: ModuleType) -> None:
    page = generate.archive.page()

    for name, table in Base.metadata.tables.items():
        section = page.split(f"### `{name}`\n")[1].split("### ")[0]
        assert all(f"`{column.name}`" in section for column in table.columns)


def test_pages_are_written_once(generate: ModuleType, tmp_path: Path) -> None:
    generate.write(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}

    generate.write(tmp_path)

    assert set(generate.PAGES) == {path.name for path in before}
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}


def test_tables_have_as_many_cells_as_heads(generate: ModuleType) -> None:
    make: Any
    for make in generate.PAGES.values():
        for table in re.findall(r"(?:^\|.*\|\n)+", make(), re.MULTILINE):
            lines = table.splitlines()
            cells = {len(re.findall(r"(?<!\\)\|", line)) for line in lines}
            assert len(cells) == 1, lines[0]
