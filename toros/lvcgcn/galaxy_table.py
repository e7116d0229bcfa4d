"""A catalogue from any table of galaxies, its columns named by the user."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from toros.common.errors import UnusableCatalogue
from toros.common.nearest import nearest
from toros.lvcgcn import completeness
from toros.lvcgcn.catalogue import Catalogue, CatalogueInfo, by_place
from toros.lvcgcn.distances import (
    COSMOLOGY,
    distance_error_mpc,
    local_group_redshift,
    luminosity_distance_mpc,
)
from toros.lvcgcn.skymap import Floats

_FORMATS = {".fits": "fits", ".fit": "fits", ".csv": "ascii.csv", ".ecsv": "ascii.ecsv",
            ".vot": "votable", ".xml": "votable", ".parquet": "parquet"}  # fmt: skip


@dataclass(frozen=True)
class Columns:
    """What the columns of a table are called; None where it has none.

    A distance (Mpc) or a redshift (heliocentric) is needed. `luminosity` is in the B band, in
    10¹⁰ L_B,⊙; it may be given as an absolute or an apparent B magnitude instead. `stellar_mass`
    is in 10¹⁰ M⊙.
    """

    name: str | None = None
    ra: str = "ra"
    dec: str = "dec"
    distance: str | None = None
    distance_error: str | None = None
    redshift: str | None = None
    luminosity: str | None = None
    absolute_b_mag: str | None = None
    b_mag: str | None = None
    stellar_mass: str | None = None

    @classmethod
    def parse(cls, text: str) -> Columns:
        """Return the columns of a text like ``ra=RAJ2000,dec=DEJ2000,distance=dL``.

        Raises
        ------
        UnusableCatalogue
            Naming the part that is wrong.
        """
        known = [field.name for field in fields(cls)]
        given = {}
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            key, _, value = (side.strip() for side in part.partition("="))
            if key not in known or not value:
                raise UnusableCatalogue(
                    f"--columns: {part!r} is no pair like ra=RAJ2000{nearest(key, known)}; "
                    f"known are: {', '.join(known)}."
                )
            given[key] = value
        return cls(**given)

    def used(self) -> dict[str, str]:
        """Return the columns that the table has, by meaning."""
        return {field.name: name for field in fields(self) if (name := getattr(self, field.name))}


def build(name: str, path: Path, columns: Columns, *, title: str) -> Catalogue:
    """Return a catalogue built from a table's file.

    Raises
    ------
    UnusableCatalogue
        If the file or one of the columns cannot be used.
    """
    table = _read(path, columns)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return from_columns(
        CatalogueInfo(
            name=name,
            title=title,
            version=digest[:12],
            licence="as its source says",
            cosmology=COSMOLOGY if columns.distance is None else "the table's own distances",
            source=f"{path.name} (sha256 {digest})",
        ),
        table,
    )


def _read(path: Path, columns: Columns) -> dict[str, npt.NDArray[Any]]:
    from astropy.table import Table

    how = _FORMATS.get(path.suffix.lower())
    if how is None:
        raise UnusableCatalogue(f"{path}: tables end in {', '.join(sorted(_FORMATS))}.")
    options: dict[str, Any] = {"memmap": True} if how == "fits" else {}
    try:
        table = Table.read(path, format=how, **options)
    except ModuleNotFoundError as error:
        raise UnusableCatalogue(
            f"{path}: reading it needs {error.name} (pip install {error.name})."
        ) from error
    except (OSError, ValueError, TypeError, KeyError, IndexError) as error:
        raise UnusableCatalogue(f"{path} cannot be read as a table: {error}.") from error
    found = {}
    for meaning, spelt in columns.used().items():
        if spelt not in table.colnames:
            raise UnusableCatalogue(
                f"{path} has no column {spelt!r}{nearest(spelt, table.colnames)} "
                f"for {meaning}; see --columns."
            )
        found[meaning] = table[spelt]
    return {meaning: _plain(meaning, column) for meaning, column in found.items()}


def _plain(meaning: str, column: Any) -> npt.NDArray[Any]:
    """Return a column as text or as numbers, NaN where it is masked."""
    if meaning == "name":
        values = np.asarray(np.ma.filled(column, ""))
        return values if values.dtype.kind == "S" else values.astype(np.str_)
    try:
        return np.asarray(np.ma.filled(np.ma.asarray(column).astype(np.float64), np.nan))
    except (ValueError, TypeError) as error:
        raise UnusableCatalogue(f"The column for {meaning} holds no numbers: {error}.") from error


def from_columns(info: CatalogueInfo, table: Mapping[str, npt.NDArray[Any]]) -> Catalogue:
    """Return a catalogue of columns by their meanings; galaxies without a place are left out."""
    ra, dec = table["ra"], table["dec"]
    placed = np.isfinite(ra) & np.isfinite(dec) & (np.abs(dec) <= 90.0)
    if not placed.any():
        raise UnusableCatalogue(f"{info.source}: no row has a position.")
    kept = {meaning: column[placed] for meaning, column in table.items()}
    ra, dec = kept["ra"] % 360.0, kept["dec"]
    distance, error = _distances(info, kept, ra, dec)
    luminosity = _luminosity(kept, distance)
    if "name" in kept:
        names = kept["name"]
    else:
        names = np.array([f"{info.name} {number}" for number in np.flatnonzero(placed) + 1])
    told = CatalogueInfo(
        **{**vars(info), "completeness": completeness.by_distance(distance, luminosity)}
    )
    return by_place(
        info=told,
        name=names,
        ra_deg=ra,
        dec_deg=dec,
        distance_mpc=distance,
        distance_error_mpc=error,
        luminosity=luminosity,
        stellar_mass=kept.get("stellar_mass"),
    )


def _distances(
    info: CatalogueInfo, table: Mapping[str, Floats], ra: Floats, dec: Floats
) -> tuple[Floats, Floats]:
    if "distance" in table:
        given = table["distance"]
        distance = np.where(np.isfinite(given) & (given > 0), given, np.nan)
        error = table.get("distance_error", np.full(distance.size, np.nan))
        return distance, np.where(np.isfinite(error) & (error >= 0), error, np.nan)
    if "redshift" in table:
        moving = local_group_redshift(table["redshift"], ra, dec)
        return luminosity_distance_mpc(moving), distance_error_mpc(moving)
    raise UnusableCatalogue(f"{info.source}: --columns names neither a distance nor a redshift.")


def _luminosity(table: Mapping[str, Floats], distance: Floats) -> Floats | None:
    if "luminosity" in table:
        return table["luminosity"]
    if "absolute_b_mag" in table:
        return np.asarray(completeness.luminosity_of(table["absolute_b_mag"]))
    if "b_mag" in table:
        absolute = table["b_mag"] - 5.0 * np.log10(distance) - 25.0
        return np.asarray(completeness.luminosity_of(absolute))
    return None
