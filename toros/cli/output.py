"""What the command writes: one JSON document on standard output, all else for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(document: Any) -> None:
    """Write `document` as the one JSON document on standard output."""
    if sys.stdout is None:  # closed, as by >&-: there rich is silent, too
        return
    json.dump(document, sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")


@contextmanager
def progress_bar() -> Iterator[ProgressReport]:
    """Yield a report whose bars show on a terminal, and nowhere else."""
    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bars:
        yield ProgressReport(bars)


class ProgressReport:
    """Shows how far each step has come: call it with the step, what is done, and the total."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, Any] = {}

    def __call__(self, step: str, done: int, total: int) -> None:
        """Show that `done` of `total` units of `step` are done; nothing if there are none."""
        if not total:
            return
        if step not in self._tasks:
            self._tasks[step] = self._bars.add_task(step.replace("_", " "), total=total)
        self._bars.update(self._tasks[step], completed=done, total=total)
