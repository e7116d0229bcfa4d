"""What a benchmark prints, as Markdown, kept in a file as well."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TextIO


class _Both(io.TextIOBase):
    """Writes to two places."""

    def __init__(self, one: TextIO, other: TextIO) -> None:
        self._both = (one, other)

    def write(self, text: str, /) -> int:
        """Write to both at once: what was measured stays, whatever happens next."""
        for sink in self._both:
            sink.write(text)
            sink.flush()
        return len(text)


def processor_s(pid: int) -> float:
    """Return the processor time of a process so far, the system's for it included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def printed_to(path: Path | None) -> Iterator[None]:
    """Send what is printed to a file, too; None for no file."""
    if path is None:
        yield
        return
    with path.open("w", encoding="utf-8") as sink, redirect_stdout(_Both(sys.stdout, sink)):
        yield


def machine_load() -> str:
    """Return how busy the machine was of late, and whether we gave way to others."""
    one, five, _ = os.getloadavg()
    gave_way = f", at nice {os.nice(0)}" if os.nice(0) else ""
    return f"load {one:.1f} in the last minute, {five:.1f} in five{gave_way}"
