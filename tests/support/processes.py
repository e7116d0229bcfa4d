"""Looking at the processes of this machine."""

from __future__ import annotations

from pathlib import Path


def _commands() -> dict[int, tuple[int, str]]:
    """Return the parent and the command line of every process, by its id."""
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
        found[int(folder.name)] = (parent, command)
    return found


def toros_processes(folder: Path) -> list[str]:
    """Return the command lines of modules that were started with a configuration in `folder`."""
    return [
        command
        for _, command in _commands().values()
        if "toros" in command and "serve" in command and str(folder) in command
    ]


def children_of(pid: int) -> list[int]:
    """Return the ids of the children of a process."""
    return [child for child, (parent, _) in _commands().items() if parent == pid]
