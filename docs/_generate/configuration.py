"""Every key of the configuration, from the models that read it."""

from __future__ import annotations

from collections.abc import Iterator

from _generate.words import Rows, Schema, alternatives, one_line, row, table
from toros.common.config import Config


def page() -> str:
    """Return every key of the configuration with its type, default and meaning."""
    schema = Config.model_json_schema()
    return "\n".join(_section("", schema, schema["$defs"], {}))


def _section(path: str, schema: Schema, known: Schema, told: dict[int, str]) -> Iterator[str]:
    """Yield the plain keys of a section as a table, then its sections.

    `told` has the key under which each model was described, by its identity: five devices are
    described once. (Two models may have the same name.)
    """
    sections: list[tuple[str, Schema]] = []
    rows: Rows = []
    for name, item in schema["properties"].items():
        suffix, inner = _model_within(item, known)
        if inner is not None:
            sections.append((f"{path}{name}{suffix}", inner))
        if inner is None or suffix:
            rows.append(row(name, item, schema, known))
    yield from table(("Key", "Type", "Default", "Meaning"), rows)
    for key, inner in sections:
        yield from (f"{'###' if '.' in key else '##'} `{key}`", "")
        yield from (one_line(inner.get("description", "")), "")
        if id(inner) in told:
            yield from (f"The same keys as `{told[id(inner)]}`.", "")
        else:
            told[id(inner)] = key
            yield from _section(f"{key}.", inner, known, told)


def _model_within(item: Schema, known: Schema) -> tuple[str, Schema | None]:
    """Return the model that `item` is, or that its members are; and how a member is written."""
    for option in alternatives(item):
        if "$ref" in option:
            found = known[option["$ref"].rsplit("/", 1)[1]]
            return "", found if "properties" in found else None
        for members, suffix in (("items", "[]"), ("additionalProperties", ".MODULE")):
            inner = option.get(members)
            if isinstance(inner, dict) and "$ref" in inner:
                return suffix, _model_within(inner, known)[1]
    return "", None
