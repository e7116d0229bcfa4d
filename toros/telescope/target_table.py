"""Tables of targets that a person wrote: CSV, ECSV, or columns with blanks between."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Iterator, Mapping
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from toros.common.config.telescope import TelescopeSettings
from toros.common.errors import UnusableTargetTable
from toros.common.work_order import as_utc
from toros.telescope.scheduler import PlanTarget

REQUIRED = ("name", "ra", "dec")
OPTIONAL = (
    *("priority", "weight", "exptime", "count", "filter", "not_before", "expires"),
    *("last_visit", "interval_h"),
)
# What tables written for astroplan, or by it (`Schedule.to_table`, `observability_table`), call
# the same columns.
ALIASES = {
    "target": "name",
    "target_name": "name",
    "ra_degrees": "ra",
    "ra_deg": "ra",
    "dec_degrees": "dec",
    "dec_deg": "dec",
    "duration_(minutes)": "minutes",
}
NO_TARGETS = ("TransitionBlock", "Unused Time")  # astroplan's words for what is between blocks
COLUMNS = REQUIRED + OPTIONAL
MAX_BYTES = 64 * 1024 * 1024


def read_targets(path: Path, settings: TelescopeSettings) -> list[PlanTarget]:
    """Return the targets of a CSV or ECSV table.

    Columns, in any case and order: ``name``, ``ra`` (degrees; sexagesimal values are hours),
    ``dec`` (degrees), and optionally ``priority`` (0–10), ``weight``, ``exptime`` (s), ``count``,
    ``filter``, ``not_before`` and ``expires`` (ISO 8601, UTC), ``last_visit`` (likewise) and
    ``interval_h``, how many hours after it the target is wanted again. An ECSV column of angles
    may carry any unit of angle. Other columns are left alone.

    Tables that astroplan's users have can be read as they are: columns with blanks between and a
    first line ``# name ra_degrees dec_degrees``, and an ECSV of ``Schedule.to_table()``, whose
    transitions are no targets and whose blocks are observed for as long as they lasted.

    Raises
    ------
    UnusableTargetTable
        Naming the file, the line or row, and the column that is wrong.
    """
    text = _read_text(path)
    if text.startswith("# %ECSV"):
        rows = _ecsv_rows(path)
    elif text.strip() and "," not in text:
        rows = _blank_rows(path, text)
    else:
        rows = _csv_rows(path, text)
    targets = [
        _target(row, where, settings) for where, row in rows if row.get("name") not in NO_TARGETS
    ]
    if not targets:
        raise UnusableTargetTable(f"{path}: the table holds no target.")
    seen: dict[str, int] = {}
    for number, target in enumerate(targets):
        if seen.setdefault(target.name, number) != number:
            raise UnusableTargetTable(f"{path}: two targets are called {target.name!r}.")
    return targets


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UnusableTargetTable(f"{path}: over {MAX_BYTES // 2**20} MiB is no target table.")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UnusableTargetTable(f"{path}: cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UnusableTargetTable(f"{path}: is not text in UTF-8 (byte {error.start}).") from error


def _csv_rows(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield where each row stands and its values by column."""
    reader = csv.reader(io.StringIO(text), strict=True)
    header: list[str] | None = None
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells) or cells[0].lstrip().startswith("#"):
                continue
            where = f"{path}, line {reader.line_num}"
            if header is None:
                header = _header(cells, where)
                continue
            if len(cells) != len(header):
                raise UnusableTargetTable(
                    f"{where}: {len(cells)} values for {len(header)} columns."
                )
            yield (
                where,
                {
                    name: cell.strip()
                    for name, cell in zip(header, cells, strict=True)
                    if cell.strip()
                },
            )
    except csv.Error as error:
        raise UnusableTargetTable(f"{path}, line {reader.line_num}: {error}.") from error
    if header is None:
        raise UnusableTargetTable(
            f"{path}: is empty; its first line must name the columns, at least name,ra,dec."
        )


def _blank_rows(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of columns with blanks between; the first line, a comment or not, names them.

    As astroplan's documentation has its tables of targets; a name with blanks stands in quotes.
    """
    header: list[str] | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        where = f"{path}, line {number}"
        try:
            cells = shlex.split(line.lstrip("# ") if header is None else line, comments=True)
        except ValueError as error:
            raise UnusableTargetTable(f"{where}: {error}.") from error
        if not cells:
            continue
        if header is None:
            header = _header(cells, where)
            continue
        if len(cells) != len(header):
            raise UnusableTargetTable(f"{where}: {len(cells)} values for {len(header)} columns.")
        yield where, dict(zip(header, cells, strict=True))


def _header(cells: list[str], where: str) -> list[str]:
    names = [cell.strip().casefold().replace(" ", "_") for cell in cells]
    names = [ALIASES.get(name, name) for name in names]
    for name in REQUIRED:
        if name not in names:
            raise UnusableTargetTable(
                f"{where}: there is no column {name!r}; the columns are {', '.join(names)}."
            )
    for name in names:
        # A misspelt optional column would silently be left alone.
        near = get_close_matches(name, COLUMNS, n=1, cutoff=0.75)
        if near and name not in COLUMNS:
            raise UnusableTargetTable(
                f"{where}: unknown column {name!r}; did you mean {near[0]!r}?"
            )
    for name in COLUMNS:
        if names.count(name) > 1:
            raise UnusableTargetTable(f"{where}: column {name!r} stands there twice.")
    return names


def _ecsv_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import numpy as np
    from astropy import units as u
    from astropy.table import QTable, Table

    try:
        table = Table.read(path, format="ascii.ecsv")
        names = _header(list(table.colnames), str(path))
        table.rename_columns(list(table.colnames), names)
        quantities = QTable(table)
        for name in ("ra", "dec"):
            if getattr(quantities[name], "unit", None) is not None:
                table[name] = quantities[name].to_value(u.deg)
    except UnusableTargetTable:
        raise
    except Exception as error:
        raise UnusableTargetTable(f"{path}: is not an ECSV table that can be read: {error}") from (
            error
        )
    for number, row in enumerate(table, start=1):
        values = {name: row[name] for name in names if not np.ma.is_masked(row[name])}
        yield (
            f"{path}, row {number}",
            {
                name: value.item() if hasattr(value, "item") else value
                for name, value in values.items()
            },
        )


def _target(row: Mapping[str, Any], where: str, settings: TelescopeSettings) -> PlanTarget:
    for name in REQUIRED:
        if row.get(name) in (None, ""):
            raise UnusableTargetTable(f"{where}: column {name!r} is empty.")
    exptime_s = _number(row, "exptime", settings.exptime_s, where, 1e-3, 3600.0)
    usual = float(settings.count)
    if "minutes" in row and "count" not in row:
        usual = max(_number(row, "minutes", 0.0, where, 0, 1440) * 60.0 // exptime_s, 1.0)
    count = int(_number(row, "count", usual, where, 1, 10000, whole=True))
    interval_h = _number(row, "interval_h", 0.0, where, 0, 1e6)
    return PlanTarget(
        name=str(row["name"]),
        ra_deg=_angle(row["ra"], "ra", where) % 360.0,
        dec_deg=_angle(row["dec"], "dec", where),
        exptime_s=exptime_s,
        count=count,
        filter=str(row["filter"]) if "filter" in row else settings.filter,
        priority=_number(row, "priority", settings.priority, where, 0, 10),
        weight=_number(row, "weight", 1.0, where, 0, 1e12),
        not_before=_moment(row, "not_before", where),
        expires=_moment(row, "expires", where),
        last_visit=_moment(row, "last_visit", where),
        interval_s=interval_h * 3600.0 or None,
    )


def _angle(value: Any, column: str, where: str) -> float:
    """Return an angle in degrees; text with separators is sexagesimal, and then ra is in hours."""
    from astropy import units as u
    from astropy.coordinates import Angle

    try:
        degrees = float(value)
    except ValueError:
        try:
            unit = u.hourangle if column == "ra" else u.deg
            degrees = float(Angle(str(value), unit=unit).to_value(u.deg))
        except (ValueError, TypeError) as error:
            raise UnusableTargetTable(
                f"{where}: {column} {value!r} is neither degrees nor sexagesimal."
            ) from error
    low, high = (-360.0, 360.0) if column == "ra" else (-90.0, 90.0)
    if not low <= degrees <= high:
        raise UnusableTargetTable(f"{where}: {column} {value} is not between {low:g} and {high:g}.")
    return degrees


def _number(
    row: Mapping[str, Any],
    column: str,
    default: float,
    where: str,
    low: float,
    high: float,
    *,
    whole: bool = False,
) -> float:
    if column not in row:
        return default
    try:
        number = float(row[column])
    except (TypeError, ValueError) as error:
        raise UnusableTargetTable(f"{where}: {column} {row[column]!r} is not a number.") from error
    if not low <= number <= high or (whole and number != int(number)):
        kind = "a whole number" if whole else "a number"
        raise UnusableTargetTable(
            f"{where}: {column} {row[column]} is not {kind} between {low:g} and {high:g}."
        )
    return number


def _moment(row: Mapping[str, Any], column: str, where: str) -> datetime | None:
    if column not in row:
        return None
    try:
        return as_utc(datetime.fromisoformat(str(row[column])))
    except ValueError as error:
        raise UnusableTargetTable(
            f"{where}: {column} {row[column]!r} is not a time like 2017-08-17T23:00:00."
        ) from error
