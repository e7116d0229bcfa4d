"""Which catalogues there are, and how to get one."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toros.common.errors import UnusableCatalogue
from toros.common.nearest import nearest
from toros.lvcgcn import column_store
from toros.lvcgcn.catalogue import Catalogue

log = logging.getLogger(__name__)

_NAME = re.compile(r"[a-z0-9][a-z0-9._+-]{0,63}")


@dataclass(frozen=True)
class Source:
    """A catalogue that can be built from what is installed."""

    title: str
    version: Callable[[], str]
    build: Callable[[], Catalogue]


def installed() -> dict[str, Source]:
    """Return the catalogues that need no file and no network."""
    from toros.lvcgcn import openngc

    return {"openngc": Source(openngc.TITLE, openngc.version, openngc.build)}


def folder_of(folder: Path | None) -> Path:
    """Return where built catalogues are kept; by default the user's cache folder."""
    if folder is not None:
        return folder
    chosen = os.environ.get("XDG_CACHE_HOME")
    return (Path(chosen) if chosen else Path("~/.cache").expanduser()) / "toros" / "catalogues"


def built(folder: Path | None) -> list[str]:
    """Return the names of the catalogues that are built."""
    place = folder_of(folder)
    return sorted(path.parent.name for path in place.glob(f"[!.]*/{column_store.MANIFEST}")
                  if "@" not in path.parent.name)  # fmt: skip


def names(folder: Path | None) -> list[str]:
    """Return the names of the catalogues that there are or can be at once."""
    return sorted({*installed(), *built(folder)})


def checked_name(name: str) -> str:
    """Return a catalogue's name as it is kept.

    Raises
    ------
    UnusableCatalogue
        If it cannot be the name of a folder.
    """
    key = name.strip().lower()
    if not _NAME.fullmatch(key):
        raise UnusableCatalogue(
            f"{name!r} cannot name a catalogue: letters, digits and . _ + - are taken."
        )
    return key


def load(name: str, folder: Path | None = None) -> Catalogue:
    """Return a catalogue, mapped into memory; OpenNGC is built first where it is not yet.

    Parameters
    ----------
    name : str
        One of `names`.
    folder : pathlib.Path, optional
        Where built catalogues are kept; by default the user's cache folder.

    Raises
    ------
    UnusableCatalogue
        If there is no catalogue of that name or it cannot be read.
    """
    key, place = checked_name(name), folder_of(folder)
    source = installed().get(key)
    try:
        found = column_store.read(place, key)
        if found is not None and (source is None or found.info.version == source.version()):
            return found
    except UnusableCatalogue as error:
        if source is None:
            raise
        log.warning("%s It is built again.", error)
    if source is None:
        raise UnusableCatalogue(_missing(key, folder))
    catalogue = source.build()
    try:
        column_store.write(place, catalogue)
    except OSError as error:
        # Building takes a second; a read-only home is no reason to fail.
        log.warning("The catalogue cannot be kept in %s: %s.", place, error)
    return catalogue


def keep(catalogue: Catalogue, folder: Path | None = None) -> Path:
    """Write a catalogue that was built, swap it in, and return where it is.

    Raises
    ------
    UnusableCatalogue
        If it cannot be written.
    """
    place = folder_of(folder)
    try:
        return column_store.write(place, catalogue)
    except OSError as error:
        raise UnusableCatalogue(f"The catalogue cannot be written to {place}: {error}.") from error


def build(name: str, folder: Path | None = None) -> tuple[Catalogue, Path]:
    """Build a catalogue that needs no file, keep it, and return it with its folder.

    Raises
    ------
    UnusableCatalogue
        If there is no such catalogue, or it cannot be built or written.
    """
    key = checked_name(name)
    source = installed().get(key)
    if source is None:
        raise UnusableCatalogue(
            f"{key} is not built from what is installed: name its file, or `toros catalog fetch`."
        )
    catalogue = source.build()
    return catalogue, keep(catalogue, folder)


def about(name: str, folder: Path | None = None) -> dict[str, Any]:
    """Return the manifest of a catalogue, but for its columns.

    Raises
    ------
    UnusableCatalogue
        If it is not built or damaged.
    """
    key = checked_name(name)
    manifest = column_store.manifest_of(folder_of(folder), key)
    if manifest is None:
        raise UnusableCatalogue(_missing(key, folder))
    return {word: value for word, value in manifest.items() if word != "columns"}


def _missing(key: str, folder: Path | None) -> str:
    known = names(folder)
    return (
        f"There is no catalogue {key!r}{nearest(key, known)}; there are: {', '.join(known)}. "
        "See toros catalog build and fetch."
    )
