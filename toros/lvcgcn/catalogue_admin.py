"""What `toros catalog` does: list, describe, build, fetch."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from toros.common.config.lvcgcn import LvcgcnSettings
from toros.lvcgcn import catalogue_sources as catalogues
from toros.lvcgcn import column_store, galaxy_table, vizier
from toros.lvcgcn.galaxy_table import Columns

Progress = Callable[[str, int, int], None]


def catalog_list(settings: LvcgcnSettings) -> list[dict[str, Any]]:
    """Return the catalogues there are, can be built at once, or can be fetched."""
    folder = settings.catalog_folder
    built, place = catalogues.built(folder), catalogues.folder_of(folder)
    titles = {name: source.title for name, source in catalogues.installed().items()}
    titles |= {name: known.title for name, known in vizier.KNOWN.items()}
    titles |= {name: str(catalogues.about(name, folder)["title"]) for name in built}
    return [
        {
            "name": name,
            "title": title,
            "built": name in built,
            "state": _state(name, built),
            "path": str(place / name) if name in built else None,
        }
        for name, title in sorted(titles.items())
    ]


def _state(name: str, built: Collection[str]) -> str:
    if name in built:
        return "built"
    return "to be fetched" if name in vizier.KNOWN else "built when it is used"


def catalog_info(name: str, settings: LvcgcnSettings, *, verify: bool = False) -> dict[str, Any]:
    """Return what is known of a catalogue.

    Parameters
    ----------
    name : str
        Which.
    settings : LvcgcnSettings
        Where catalogues are kept.
    verify : bool
        Whether to read every file and compare its digest.

    Raises
    ------
    UnusableCatalogue
        If there is none.
    """
    folder = settings.catalog_folder
    found = catalogues.load(name, folder)
    key, place = catalogues.checked_name(name), catalogues.folder_of(folder)
    document = {**found.describe(), "path": str(place / key)}
    if key in catalogues.built(folder):
        document["sha256"] = catalogues.about(key, folder)["sha256"]
    if verify:
        document["damaged_columns"] = column_store.verify(place, key)
    return document


def catalog_build(
    name: str,
    settings: LvcgcnSettings,
    *,
    table: Path | None = None,
    columns: Columns | None = None,
    title: str | None = None,
) -> dict[str, Any]:
    """Build a catalogue anew and swap it in.

    Parameters
    ----------
    name : str
        Which.
    settings : LvcgcnSettings
        Where catalogues are kept.
    table : pathlib.Path, optional
        The table to build it from; without one, a catalogue that is installed.
    columns : Columns, optional
        What the table's columns are called.
    title : str, optional
        For people.

    Raises
    ------
    UnusableCatalogue
        If it cannot be built or written.
    """
    folder = settings.catalog_folder
    if table is None:
        found, path = catalogues.build(name, folder)
    else:
        key = catalogues.checked_name(name)
        found = galaxy_table.build(key, table, columns or Columns(), title=title or key)
        path = catalogues.keep(found, folder)
    return {**found.describe(), "path": str(path)}


def catalog_fetch(name: str, settings: LvcgcnSettings, progress: Progress) -> dict[str, Any]:
    """Fetch a catalogue from VizieR, build it and swap it in.

    What was fetched stays: a fetch that broke off goes on where it stopped.

    Raises
    ------
    UnusableCatalogue
        If it is not known, or does not come.
    """
    folder = settings.catalog_folder
    found = vizier.fetch(catalogues.checked_name(name), catalogues.folder_of(folder), progress)
    path = catalogues.keep(found, folder)
    return {**found.describe(), "path": str(path)}
