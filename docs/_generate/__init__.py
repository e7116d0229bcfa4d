"""The pages of the reference that are made from the code, as Markdown.

`conf.py` writes them before each build, so that they cannot say anything but what the code does.
"""

from __future__ import annotations

from pathlib import Path

from _generate import archive, command_line, configuration, requests, status_codes

PAGES = {
    "archive.md": archive.page,
    "command-line.md": command_line.page,
    "configuration.md": configuration.page,
    "requests.md": requests.page,
    "status-codes.md": status_codes.page,
}


def write(folder: Path) -> None:
    """Write the pages that have changed, so that a second build has nothing to do."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        path, text = folder / name, page()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
