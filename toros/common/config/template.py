"""The shipped configuration file: every key with its default and what it means."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic.fields import FieldInfo

from toros.common.config.models import DEFAULT_PORTS, Config
from toros.common.config.section import Section

HEAD = """\
# The configuration of TOROS: one file for every module of a node, read once at their start.
#
# Every key stands here with its default; leave out what suits you. Keys match whatever their
# case, and with spaces, hyphens or underscores alike. ${VAR} takes from the environment, and a
# secret (password, token) may be given as password_file, token_file. Check your changes with
# `toros config check`, then restart the modules.
"""
SERVED = ("telescope", "dome", "preprocessor", "lvcgcn")


def render() -> str:
    """Return the text of the shipped file."""
    return HEAD + "\n" + "\n".join(_section(Config(), 0)) + "\n"


def _section(section: Section, depth: int) -> Iterator[str]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if depth == 0 and name != "node":
            yield ""
        if name == "services":
            yield from _services()
        elif isinstance(value, Section):
            summary = (type(value).__doc__ or "").splitlines()[0]
            yield f"{'  ' * depth}{name}:  # {summary}"
            yield from _section(value, depth + 1)
        else:
            yield from _line(name, field, value, depth)


def _services() -> Iterator[str]:
    yield "services:  # Where the modules of this node listen: http, or ip and port."
    for module in SERVED:
        yield f"  {module}: {{ip: 127.0.0.1, port: {DEFAULT_PORTS[module]}, threads: 2}}"


def _line(name: str, field: FieldInfo, value: Any, depth: int) -> Iterator[str]:
    indent = "  " * depth
    text = json.dumps(_plain(value), ensure_ascii=False)
    comment = f"  # {field.description}" if field.description else ""
    line = f"{indent}{name}: {text}{comment}"
    if len(line) <= 100 or not comment:
        yield line
    else:
        yield f"{indent}# {field.description}"
        yield f"{indent}{name}: {text}"


def _plain(value: Any) -> Any:
    if isinstance(value, Section):
        return value.model_dump(mode="json")
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value if isinstance(value, bool | int | float | str | None) else str(value)
