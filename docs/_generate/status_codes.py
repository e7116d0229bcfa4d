"""Every status code, from the tree of errors."""

from __future__ import annotations

from _generate.words import Rows, cell, table
from toros.common.errors import TorosError, error_classes, status_codes

FAMILIES = (
    (0, "Success"),
    (1, "Protocol and modules"),
    (100, "Calibration"),
    (200, "Telescope and devices"),
    (300, "Dome"),
    (400, "Alerts"),
    (500, "Ingest and quality"),
)


def page() -> str:
    """Return every status code, by family."""
    names: dict[int, type[TorosError]] = {error.code: error for error in error_classes()}
    ends = [first for first, _ in FAMILIES[1:]] + [10**6]
    lines: list[str] = []
    for (first, title), end in zip(FAMILIES, ends, strict=True):
        rows: Rows = [
            (str(code), f"`{names[code].__name__}`" if code in names else "", cell(meaning))
            for code, meaning in status_codes().items()
            if first <= code < end
        ]
        lines += [f"## {title}", "", *table(("Code", "Error", "Meaning"), rows)]
    return "\n".join(lines)
