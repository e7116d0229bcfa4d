"""Who works on an order: a name that no other process ever has, and whether its bearer lives.

A process that dies by ``kill -9`` leaves its lease behind. On its own machine the kernel knows that
it is gone, so that its successor need not wait for the lease to run out; of other machines, and of
other containers, only the lease speaks.
"""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/ns/pid")


def make_owner(node: str) -> str:
    """Return a name for this process: ``node/boot:namespace/pid/start/random``."""
    pid = os.getpid()
    return f"{node}/{_place()}/{pid}/{_start_of(pid)}/{uuid4().hex[:8]}"


def is_gone(owner: str) -> bool:
    """Return whether the process called `owner` is known to have ended; False where unknown."""
    parts = owner.rsplit("/", 4)
    if len(parts) != 5 or not parts[2].isdigit():
        return False
    _, place, pid, start, _ = parts
    return bool(place) and place == _place() and _start_of(int(pid)) != start


def _place() -> str:
    """Return where process ids mean what they mean here; empty where that cannot be told."""
    try:
        namespace = _NAMESPACE.readlink().name.strip("pid:[]")
        return f"{_BOOT.read_text().strip()}:{namespace}"
    except OSError:
        return ""


def _start_of(pid: int) -> str:
    """Return when a process began, in clock ticks since boot; empty when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # The name of the program may hold anything: count from its closing bracket (proc(5)).
    fields = stat.rsplit(")", 1)[1].split()
    # A zombie holds its id, and does nothing any more.
    return "" if fields[0] in "ZX" else fields[19]
