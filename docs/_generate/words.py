"""Fields of pydantic models in words, by their JSON schema; and tables in Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
Rows = list[tuple[str, ...]]

BOUNDS = {
    "minimum": "≥ {:g}",
    "exclusiveMinimum": "> {:g}",
    "maximum": "≤ {:g}",
    "exclusiveMaximum": "< {:g}",
    "maxLength": "at most {} characters",
    "maxItems": "at most {} items",
}
TYPES = {"boolean": "true or false", "integer": "integer", "number": "number", "object": "mapping"}
FORMATS = {
    "path": "path",
    "date": "date",
    "date-time": "time (ISO 8601, UTC)",
    "password": "text (secret)",
}


def row(name: str, item: Schema, schema: Schema, known: Schema) -> tuple[str, ...]:
    """Return a row of a table of fields or keys."""
    needed = name in schema.get("required", ())
    default = "needed" if needed else value_of(item.get("default"))
    return (f"`{name}`", type_of(item, known), default, meaning_of(item))


def alternatives(item: Schema) -> list[Schema]:
    """Return the alternatives of a schema, null left out."""
    found: Iterable[Schema] = item.get("anyOf") or item.get("allOf") or [item]
    return [option for option in found if option.get("type") != "null"]


def type_of(item: Schema, known: Schema) -> str:
    """Return the type of a field, with its bounds; `known` are the schema's definitions."""
    return " or ".join(_one_type(option, known) for option in alternatives(item))


def _one_type(option: Schema, known: Schema) -> str:
    if "$ref" in option:
        name = option["$ref"].rsplit("/", 1)[1]
        return _one_type(known[name], known) if "enum" in known[name] else name
    if "enum" in option:
        return "one of " + ", ".join(f"`{value}`" for value in option["enum"])
    if option.get("type") == "array":
        if "prefixItems" in option:
            return f"list of {len(option['prefixItems'])} numbers"
        return f"list of {type_of(option['items'], known)}"
    kind = option.get("type", "")
    text = FORMATS.get(option.get("format", "")) or TYPES.get(kind, "text")
    bounds = [form.format(option[key]) for key, form in BOUNDS.items() if key in option]
    return ", ".join([text, *bounds])


def meaning_of(item: Schema) -> str:
    """Return the description of a field, wherever the schema has it."""
    found = item.get("description") or next(
        (option["description"] for option in alternatives(item) if "description" in option), ""
    )
    return cell(found)


def value_of(value: Any) -> str:
    """Return a default as it would be written in YAML or JSON."""
    text = json.dumps(value, ensure_ascii=False)
    return f"`{text}`" if len(text) <= 60 else "(see the shipped file)"


def one_line(text: str) -> str:
    """Return `text` without its line breaks."""
    return " ".join(text.split())


def cell(text: str) -> str:
    """Return `text` as it can stand in a table."""
    return one_line(text).replace("|", "\\|")


def table(head: tuple[str, ...], rows: Rows) -> Iterator[str]:
    """Yield a table; nothing if it has no rows, and no last column if that is empty."""
    if not rows:
        return
    if not any(line[-1] for line in rows):
        head, rows = head[:-1], [line[:-1] for line in rows]
    yield f"| {' | '.join(head)} |"
    yield f"|{' --- |' * len(head)}"
    for line in rows:
        yield f"| {' | '.join(line)} |"
    yield ""
