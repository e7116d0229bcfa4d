"""The galaxy catalogue: columns sorted along the nested HEALPix curve."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from toros.lvcgcn.notice import plain_name
from toros.lvcgcn.skymap import FINEST_ORDER, Floats, Integers, pixels_of
from toros.lvcgcn.weight import Weight

#: Order of the pixels (0.9° wide) of which the greatest weight is kept, so that whole map cells
#: can be passed over.
PEAK_ORDER = 6
_PEAK_SHIFT = np.int64(2 * (FINEST_ORDER - PEAK_ORDER))

__all__ = ["Catalogue", "CatalogueInfo", "Weight", "by_place"]

Reals = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True)
class CatalogueInfo:
    """Where a catalogue comes from, and how complete it is.

    Parameters
    ----------
    name, title, version, licence, cosmology : str
        For people and for records.
    source : str
        The file or service that it was built from.
    completeness : tuple of (float, float)
        Upper edge of a shell in Mpc, and the fraction of the B light in it that the catalogue
        has; empty where nobody can say.
    """

    name: str
    title: str
    version: str
    licence: str
    cosmology: str
    source: str = ""
    completeness: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Catalogue:
    """Galaxies in ascending order of `pixel`, in memory or mapped from a file.

    Parameters
    ----------
    info : CatalogueInfo
        Where it comes from.
    name : ndarray of str or of bytes in UTF-8, shape (n,)
        Designations.
    ra_deg, dec_deg : ndarray, shape (n,), degrees
        Positions (ICRS).
    distance_mpc, distance_error_mpc : ndarray, shape (n,), Mpc
        Luminosity distances and their errors; NaN where nobody knows.
    pixel : ndarray of int64, shape (n,)
        Nested HEALPix index at order 29.
    luminosity, stellar_mass : ndarray, shape (n,)
        In the B band in 10¹⁰ L_B,⊙, and in 10¹⁰ M⊙; NaN where nobody knows, None for all.
    peaks : mapping
        Of each weight there is, the greatest in each pixel of order `PEAK_ORDER`.
    typical : mapping
        Of each weight there is, the median of those that are known: what the others are given.
    """

    info: CatalogueInfo
    name: npt.NDArray[Any]
    ra_deg: Floats
    dec_deg: Floats
    distance_mpc: Reals
    distance_error_mpc: Reals
    pixel: Integers
    luminosity: Reals | None = None
    stellar_mass: Reals | None = None
    peaks: Mapping[Weight, Reals] = field(default_factory=dict)
    typical: Mapping[Weight, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.pixel.size)

    def name_of(self, row: int) -> str:
        """Return a galaxy's designation; by its place, where it has none that can be sent."""
        name = self.name[row]
        text = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
        return plain_name(text) or f"galaxy {self.ra_deg[row]:.4f}{self.dec_deg[row]:+.4f}"

    def weights(self) -> list[Weight]:
        """Return the weights that this catalogue can give."""
        return [Weight.NONE, *self.peaks]

    def weight_of(self, weight: Weight, rows: npt.NDArray[np.intp] | slice) -> Floats | None:
        """Return the weights of some galaxies; ``None`` where each counts alike."""
        column = self.column_of(weight)
        if column is None:
            return None
        values = column[rows].astype(np.float64)
        values[np.isnan(values)] = self.typical[weight]
        return values

    def column_of(self, weight: Weight) -> Reals | None:
        """Return the column of a weight, ``None`` for that of `Weight.NONE`."""
        return {
            Weight.NONE: None,
            Weight.LUMINOSITY: self.luminosity,
            Weight.STELLAR_MASS: self.stellar_mass,
        }[weight]

    def peak_in(self, weight: Weight, first: Integers, order: Integers) -> Floats:
        """Return a bound on the weight of any galaxy in each of some HEALPix cells.

        Parameters
        ----------
        weight : Weight
            Which.
        first : ndarray of int64, shape (cells,)
            The cells' first pixels of order 29.
        order : ndarray of int64, shape (cells,)
            Their orders.
        """
        if weight is Weight.NONE:
            return np.ones(first.size)
        peaks = self.peaks[weight].astype(np.float64)
        result: Floats = peaks[first >> _PEAK_SHIFT]
        for large in np.flatnonzero(order < PEAK_ORDER):
            begin = int(first[large] >> _PEAK_SHIFT)
            result[large] = peaks[begin : begin + 4 ** int(PEAK_ORDER - order[large])].max()
        return result

    def release(self) -> None:
        """Give back the memory of mapped columns; their pages stay in the system's cache.

        A search touches pages all over some columns. What it is done with would else count as
        this process's memory for as long as it lives.
        """
        for column in (self.pixel, self.distance_mpc, self.distance_error_mpc,
                       self.luminosity, self.stellar_mass):  # fmt: skip
            mapped = getattr(column, "_mmap", None)
            if mapped is not None:
                mapped.madvise(mmap.MADV_DONTNEED)

    def describe(self) -> dict[str, Any]:
        """Return what `toros catalog info` shows."""
        known = np.isfinite(self.distance_mpc)
        info = self.info
        return {
            "name": info.name,
            "title": info.title,
            "version": info.version,
            "licence": info.licence,
            "cosmology": info.cosmology,
            "source": info.source,
            "galaxies": len(self),
            "with_distance": int(np.count_nonzero(known)),
            "median_distance_mpc": float(np.median(self.distance_mpc[known])),
            "weights": [weight.value for weight in self.weights()],
            "completeness": [[to, round(held, 4)] for to, held in info.completeness],
        }


def by_place(
    *,
    info: CatalogueInfo,
    name: npt.NDArray[Any],
    ra_deg: Floats,
    dec_deg: Floats,
    distance_mpc: Reals,
    distance_error_mpc: Reals,
    luminosity: Reals | None = None,
    stellar_mass: Reals | None = None,
) -> Catalogue:
    """Return a catalogue of the given columns, sorted by place on the sky."""
    pixel = pixels_of(ra_deg, dec_deg)
    rows = np.argsort(pixel, kind="stable")
    pixel = pixel[rows]
    given = {Weight.LUMINOSITY: luminosity, Weight.STELLAR_MASS: stellar_mass}
    columns = {
        weight: _usable(column[rows]) for weight, column in given.items() if column is not None
    }
    known = {weight: column for weight, column in columns.items() if np.isfinite(column).any()}
    typical = {weight: float(np.nanmedian(column)) for weight, column in known.items()}
    return Catalogue(
        info=info,
        name=name[rows],
        ra_deg=ra_deg[rows],
        dec_deg=dec_deg[rows],
        # Single precision is a part in 10⁷ of a distance known to a part in ten.
        distance_mpc=distance_mpc[rows].astype(np.float32),
        distance_error_mpc=distance_error_mpc[rows].astype(np.float32),
        pixel=pixel,
        luminosity=known.get(Weight.LUMINOSITY),
        stellar_mass=known.get(Weight.STELLAR_MASS),
        peaks={weight: _peaks(pixel, column, typical[weight]) for weight, column in known.items()},
        typical=typical,
    )


def _usable(column: Reals) -> npt.NDArray[np.float32]:
    """Return a weight in single precision, NaN where it is none."""
    values = column.astype(np.float32)
    values[~(np.isfinite(values) & (values > 0))] = np.nan
    return values


def _peaks(pixel: Integers, column: Reals, typical: float) -> npt.NDArray[np.float32]:
    coarse = pixel >> _PEAK_SHIFT
    begin = np.flatnonzero(np.diff(coarse, prepend=-1))
    result = np.zeros(12 * 4**PEAK_ORDER, dtype=np.float32)
    filled = np.nan_to_num(column, nan=typical)
    result[coarse[begin]] = np.maximum.reduceat(filled, begin)
    # Rounding the typical weight to single precision must not lower the bound.
    return np.nextafter(result, np.float32(np.inf))
