"""Every command with its arguments and options, from the command itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer.main

from _generate.words import Rows, cell, table
from toros.cli.main import app


def page() -> str:
    """Return every command with its arguments and options."""
    lines: list[str] = []
    for words, command in commands():
        context = command.context_class(command, info_name=" ".join(words))
        usage = " ".join([*words, *command.collect_usage_pieces(context)])
        lines += [f"## `{' '.join(words)}`", "", command.help or "", "", f"```text\n{usage}\n```"]
        records = [item.get_help_record(context) for item in command.get_params(context)]
        rows: Rows = [(f"`{cell(name)}`", cell(text)) for name, text in filter(None, records)]
        lines += ["", *table(("", ""), rows)]
    return "\n".join(lines)


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the words and the Click command of each command of `toros`."""
    pending: list[tuple[tuple[str, ...], Any]] = [(("toros",), typer.main.get_command(app))]
    while pending:
        words, command = pending.pop(0)
        inner = getattr(command, "commands", None)
        if inner is None:
            yield words, command
        else:
            pending = [((*words, name), item) for name, item in inner.items()] + pending
