"""Catalogues from VizieR: declination band by declination band, each kept as it came.

A band that is on disk is not asked for again, so that a fetch that broke off goes on where it
stopped. When the last one is there the catalogue is built from all of them.
"""

from __future__ import annotations

import json
import logging
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from toros.common.atomic import atomic_path, write_text
from toros.common.clock import Clock
from toros.common.errors import UnusableCatalogue
from toros.common.nearest import nearest
from toros.lvcgcn import galaxy_table, vizier_answer
from toros.lvcgcn.catalogue import Catalogue, CatalogueInfo

log = logging.getLogger(__name__)

Table = Mapping[str, npt.NDArray[Any]]
#: A band: from, to, in degrees of declination.
Band = tuple[float, float]
Progress = Callable[[str, int, int], None]

_ATTEMPTS = 3
_TIMEOUT_S = 600


@dataclass(frozen=True)
class VizierCatalogue:
    """A table of VizieR, and what its columns mean.

    Parameters
    ----------
    table : str
        Its designation.
    title, licence, cosmology : str
        For people and for records.
    columns : dict
        Its columns, by their meanings as in `galaxy_table.Columns`.
    filters : dict
        Columns and the constraints on them, in VizieR's words.
    names : dict
        Columns that may name a galaxy, the best first, and what stands before their values.
    bands : int
        In how many bands of equal area it is fetched.
    server : str or None
        Host of VizieR or of one of its mirrors; None is astroquery's own choice.
    pause_s : float
        Before a band that did not come is asked for again; twice that, a third time.
    """

    table: str
    title: str
    licence: str
    cosmology: str
    columns: Mapping[str, str]
    names: Mapping[str, str]
    filters: Mapping[str, str] = field(default_factory=dict)
    bands: int = 180
    server: str | None = None
    pause_s: float = 10.0

    @property
    def needed(self) -> set[str]:
        """Columns without which it is no catalogue."""
        return {self.columns[meaning] for meaning in ("ra", "dec", "distance")}


KNOWN = {
    "glade+": VizierCatalogue(
        table="VII/291/gladep",
        title="GLADE+ (Dálya et al. 2022, MNRAS 514, 1403)",
        licence="CDS: free for scientific use, with its citation",
        cosmology="flat LambdaCDM, H0 = 67.66 km/s/Mpc, Om0 = 0.3111 (the table's own)",
        columns={
            "ra": "RAJ2000",
            "dec": "DEJ2000",
            "distance": "dL",
            "distance_error": "e_dL",
            "absolute_b_mag": "BMAG",
            "stellar_mass": "M*",
        },
        names={"GWGC": "", "HyperLEDA": "", "2MASS": "2MASX J", "PGC": "PGC ", "GLADE+": "GLADE+ "},
        # No quasars, and none without a distance (f_dL = 0).
        filters={"Type": "G", "f_dL": ">0"},
    ),
    "gwgc": VizierCatalogue(
        table="VII/267/gwgc",
        title="GWGC (White et al. 2011, CQG 28, 085016)",
        licence="CDS: free for scientific use, with its citation",
        cosmology="the table's own distances",
        columns={
            "ra": "RAJ2000",
            "dec": "DEJ2000",
            "distance": "Dist",
            "distance_error": "e_Dist",
            "absolute_b_mag": "BMAG",
        },
        names={"Name": "", "PGC": "PGC "},
        bands=6,
    ),
}


def fetch(name: str, folder: Path, progress: Progress) -> Catalogue:
    """Return a catalogue of VizieR, fetched as far as it is not on disk yet.

    Parameters
    ----------
    name : str
        One of `KNOWN`.
    folder : pathlib.Path
        Where catalogues are kept; the bands go to ``.NAME-bands`` there.
    progress : callable
        Called with a step, how many bands are done, and of how many.

    Raises
    ------
    UnusableCatalogue
        If it is not known, or a band does not come.
    """
    known = KNOWN.get(name)
    if known is None:
        raise UnusableCatalogue(
            f"{name!r} is not among those that can be fetched{nearest(name, KNOWN)}: "
            f"{', '.join(KNOWN)}. Any other table: toros catalog build NAME FILE --columns …"
        )
    place = _place(folder / f".{name}-bands", known)
    paths = []
    for done, band in enumerate(bands(known.bands)):
        progress(f"fetch {name}", done, known.bands)
        path = place / f"{done:04d}.npz"
        if not path.exists():
            _keep(path, _asked(known, band))
        paths.append(path)
    progress(f"fetch {name}", known.bands, known.bands)
    return _assembled(name, known, paths)


def bands(count: int) -> list[Band]:
    """Return bands of equal area, from the south pole to the north pole."""
    edges = np.degrees(np.arcsin(np.linspace(-1.0, 1.0, count + 1)))
    return [(float(low), float(high)) for low, high in pairwise(edges)]


def _asked(known: VizierCatalogue, band: Band) -> Table:
    """Ask VizieR for a band, a few times."""
    import requests
    from astroquery.exceptions import RemoteServiceError
    from astroquery.exceptions import TimeoutError as Silence

    passing = (OSError, ValueError, requests.RequestException, RemoteServiceError, Silence)
    for attempt in range(_ATTEMPTS):
        if attempt:
            # By the machine's time: networks know no simulated one.
            Clock().sleep(known.pause_s * 2 ** (attempt - 1))
        try:
            return _ask(known, band)
        except passing as error:
            log.warning("VizieR, %s, %s: %s", known.table, band, error)
            problem = error
    raise UnusableCatalogue(
        f"VizieR did not give {known.table} between declinations {band[0]:.2f} and {band[1]:.2f} "
        f"degrees ({problem}). What came is kept: the same command goes on from there."
    )


def _ask(known: VizierCatalogue, band: Band) -> Table:
    from astroquery.vizier import Vizier

    low, high = band
    wanted = [*known.columns.values(), *known.names]
    where = {} if known.server is None else {"vizier_server": known.server}
    service = Vizier(columns=wanted, row_limit=-1, timeout=_TIMEOUT_S, **where)
    declination = known.columns["dec"]
    answer = service.query_constraints_async(
        catalog=known.table, cache=False, **{declination: f"{low:.8f}..{high:.8f}"}, **known.filters
    )
    answer.raise_for_status()
    table = vizier_answer.table_of(answer.content)
    columns = {
        name: vizier_answer.column_of(table, name, needed=name in known.needed) for name in wanted
    }
    # VizieR's ranges hold both ends: a galaxy on an edge belongs to the band above it.
    inside = (columns[declination] < round(high, 8)) | (high >= 90.0)
    return {name: values[inside] for name, values in columns.items()}


def _place(place: Path, known: VizierCatalogue) -> Path:
    """Return the folder of the bands, without what was fetched when other bands were asked for."""
    asked = json.dumps([known.table, known.bands, known.columns, known.names, known.filters])
    note = place / "asked.json"
    if not (note.exists() and note.read_text(encoding="utf-8") == asked):
        for path in place.glob("*.npz"):
            path.unlink()
        place.mkdir(parents=True, exist_ok=True)
        write_text(note, asked)
    return place


def _keep(path: Path, table: Table) -> None:
    with atomic_path(path) as temporary:
        columns = {name: _savable(values) for name, values in table.items()}
        np.savez_compressed(temporary, allow_pickle=False, **columns)


def _savable(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return values.astype(np.str_) if values.dtype.kind == "O" else values


def _assembled(name: str, known: VizierCatalogue, paths: list[Path]) -> Catalogue:
    parts: dict[str, list[npt.NDArray[Any]]] = {}
    for path in paths:
        band = _kept(path)
        for meaning, column in known.columns.items():
            parts.setdefault(meaning, []).append(band[column].astype(np.float64))
        parts.setdefault("name", []).append(_named(known, band))
    info = CatalogueInfo(
        name=name,
        title=known.title,
        version=known.table,
        licence=known.licence,
        cosmology=known.cosmology,
        source=f"VizieR {known.table}",
    )
    columns = {meaning: np.concatenate(arrays) for meaning, arrays in parts.items()}
    return galaxy_table.from_columns(info, columns)


def _kept(path: Path) -> Table:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as band:
            return {name: band[name] for name in band.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        path.unlink(missing_ok=True)
        raise UnusableCatalogue(
            f"{path} was damaged ({error}), and removed: the same command fetches it again."
        ) from error


def _named(known: VizierCatalogue, band: Table) -> npt.NDArray[np.bytes_]:
    """Return each galaxy's best designation."""
    result: npt.NDArray[Any] = np.array([])
    for column, prefix in known.names.items():
        values = _texts(band[column])
        named = np.where(values != "", np.char.add(prefix, values), "")
        result = named if not result.size else np.where(result != "", result, named)
    return np.char.encode(result.astype(np.str_), "utf-8")


def _texts(values: npt.NDArray[Any]) -> npt.NDArray[np.str_]:
    """Return designations as text, empty where there is none."""
    if values.dtype.kind == "f":
        known = np.isfinite(values)
        return np.where(known, np.nan_to_num(values).astype(np.int64).astype(np.str_), "")
    texts = np.char.strip(values.astype(np.str_))
    return np.where(np.isin(texts, ("", "--", "null", "NaN", "nan")), "", texts)
