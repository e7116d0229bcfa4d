"""The galaxy catalogue: arrays sorted along the nested HEALPix curve, built once and cached."""

from __future__ import annotations

import logging
import os
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from toros.common.atomic import atomic_path
from toros.common.errors import UnusableCatalogue
from toros.common.nearest import nearest
from toros.lvcgcn.skymap import Floats, Integers, pixels_of

log = logging.getLogger(__name__)

#: Part of the cache's file name: one more whenever the columns or what they mean change.
_LAYOUT = 1
_COLUMNS = ("name", "ra_deg", "dec_deg", "distance_mpc", "distance_error_mpc", "pixel")


@dataclass(frozen=True)
class CatalogueInfo:
    """Where a catalogue comes from."""

    name: str
    title: str
    version: str
    licence: str
    cosmology: str


@dataclass(frozen=True)
class Catalogue:
    """Galaxies in ascending order of `pixel`.

    Parameters
    ----------
    info : CatalogueInfo
        Where it comes from.
    name : ndarray of str, shape (n,)
        Designations.
    ra_deg, dec_deg : ndarray, shape (n,), degrees
        Positions (ICRS).
    distance_mpc, distance_error_mpc : ndarray, shape (n,), Mpc
        Luminosity distances and their errors; NaN where nobody knows.
    pixel : ndarray of int64, shape (n,)
        Nested HEALPix index at order 29.
    """

    info: CatalogueInfo
    name: npt.NDArray[np.str_]
    ra_deg: Floats
    dec_deg: Floats
    distance_mpc: Floats
    distance_error_mpc: Floats
    pixel: Integers

    def __len__(self) -> int:
        return int(self.pixel.size)

    def describe(self) -> dict[str, Any]:
        """Return what `toros catalog info` shows."""
        known = np.isfinite(self.distance_mpc)
        return {
            **asdict(self.info),
            "galaxies": len(self),
            "with_distance": int(np.count_nonzero(known)),
            "median_distance_mpc": float(np.median(self.distance_mpc[known])),
        }


def by_place(
    *,
    info: CatalogueInfo,
    name: npt.NDArray[np.str_],
    ra_deg: Floats,
    dec_deg: Floats,
    distance_mpc: Floats,
    distance_error_mpc: Floats,
) -> Catalogue:
    """Return a catalogue of the given columns, sorted by place on the sky."""
    pixel = pixels_of(ra_deg, dec_deg)
    rows = np.argsort(pixel, kind="stable")
    return Catalogue(
        info=info,
        name=name[rows],
        ra_deg=ra_deg[rows],
        dec_deg=dec_deg[rows],
        distance_mpc=distance_mpc[rows],
        distance_error_mpc=distance_error_mpc[rows],
        pixel=pixel[rows],
    )


@dataclass(frozen=True)
class _Source:
    """A catalogue that can be built from what is installed."""

    title: str
    version: Callable[[], str]
    build: Callable[[], Catalogue]


def _sources() -> dict[str, _Source]:
    from toros.lvcgcn import openngc

    return {"openngc": _Source("OpenNGC galaxies (pyongc)", openngc.version, openngc.build)}


def names() -> list[str]:
    """Return the names of the catalogues that there are."""
    return list(_sources())


def title(name: str) -> str:
    """Return a catalogue's title for people."""
    return _find(name, None)[0].title


def load(name: str, folder: Path | None = None) -> Catalogue:
    """Return a catalogue, from its cache if there is a current one, else built and cached.

    Parameters
    ----------
    name : str
        One of `names`.
    folder : pathlib.Path, optional
        Where built catalogues are kept; by default the user's cache folder.

    Raises
    ------
    UnusableCatalogue
        If there is no catalogue of that name or it cannot be built.
    """
    source, path = _find(name, folder)
    if path.exists():
        try:
            return _read(path)
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            log.warning("The cached catalogue %s is damaged (%s) and is built again.", path, error)
    catalogue = source.build()
    try:
        _write(path, catalogue)
    except OSError as error:
        # Building takes a second; a read-only home is no reason to fail.
        log.warning("The catalogue cannot be cached in %s: %s.", path.parent, error)
    return catalogue


def build(name: str, folder: Path | None = None) -> tuple[Catalogue, Path]:
    """Build a catalogue, cache it and return it with the path of its cache.

    Raises
    ------
    UnusableCatalogue
        If there is no catalogue of that name, or it cannot be built or written.
    """
    source, path = _find(name, folder)
    catalogue = source.build()
    try:
        _write(path, catalogue)
    except OSError as error:
        raise UnusableCatalogue(f"The catalogue cannot be written to {path}: {error}.") from error
    return catalogue, path


def cache_path(name: str, folder: Path | None = None) -> Path:
    """Return where the built catalogue is kept."""
    return _find(name, folder)[1]


def _find(name: str, folder: Path | None) -> tuple[_Source, Path]:
    sources = _sources()
    key = name.strip().lower()
    if key not in sources:
        raise UnusableCatalogue(f"There is no catalogue {name!r}{nearest(key, sources)}.")
    source = sources[key]
    place = folder or _cache_folder()
    return source, place / f"{key}-{source.version()}-layout{_LAYOUT}.npz"


def _cache_folder() -> Path:
    chosen = os.environ.get("XDG_CACHE_HOME")
    base = Path(chosen) if chosen else Path("~/.cache").expanduser()
    return base / "toros"


def _write(path: Path, catalogue: Catalogue) -> None:
    columns = {name: getattr(catalogue, name) for name in _COLUMNS}
    about = np.array([*asdict(catalogue.info).values()])
    with atomic_path(path) as temporary:
        np.savez(temporary, about=about, **columns)


def _read(path: Path) -> Catalogue:
    # Opened here: numpy leaves open the file of a damaged archive.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        info = CatalogueInfo(*(str(text) for text in stored["about"]))
        columns = {name: stored[name] for name in _COLUMNS}
    if len({column.shape for column in columns.values()}) != 1:
        raise ValueError("its columns differ in length")
    return Catalogue(info=info, **columns)
