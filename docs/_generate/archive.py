"""The tables of the database, from their models."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Column

from _generate.words import Rows, one_line, table
from toros.archive.models import Base
from toros.common.database import UtcDateTime

PYTHON_TYPES = {
    bool: "true or false",
    float: "number",
    int: "integer",
    str: "text",
}


def page() -> str:
    """Return the tables of the database with their columns."""
    meanings = {model.__tablename__: model.__doc__ or "" for model in Base.__subclasses__()}
    lines: list[str] = []
    for name, found in sorted(Base.metadata.tables.items()):
        rows: Rows = [
            (f"`{column.name}`", _column_type(column), _refers(column)) for column in found.columns
        ]
        lines += [f"### `{name}`", "", one_line(meanings[name].split("\n\n")[0]), ""]
        lines += table(("Column", "Type", ""), rows)
    return "\n".join(lines)


def _column_type(column: Column[Any]) -> str:
    """Return a column's type in words."""
    match column.type:
        case UtcDateTime():
            kind = "time"
        case JSON():
            kind = "JSON"
        case found:
            kind = PYTHON_TYPES[found.python_type]
    return f"{kind}, or null" if column.nullable else kind


def _refers(column: Column[Any]) -> str:
    keys = [f"→ `{key.target_fullname}`" for key in column.foreign_keys]
    return ", ".join((["key"] if column.primary_key else []) + keys)
