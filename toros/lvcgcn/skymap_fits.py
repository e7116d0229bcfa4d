"""Sky maps in FITS: multi-order or flat, nested or ring, with distances or without, gzipped or not.

The columns are those of Singer et al. (2016) and of the LVK Public Alerts User Guide. A map that
cannot be used is refused in one sentence; nothing about it is guessed.
"""

from __future__ import annotations

import io
import warnings
import zlib
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from toros.common.errors import UnusableSkyMap
from toros.lvcgcn.skymap import FINEST_ORDER, Distances, Floats, Integers, SkyMap, cell_area_sr

#: Probability in all must come to 1 within this much; public maps agree to 1e-3 or better.
TOTAL_TOLERANCE = 0.05
#: A map of which more than this probability has no distance is ranked in two dimensions.
MAX_WITHOUT_DISTANCE = 0.5
#: Room for a flat map of NSIDE 1024 in double precision with its distances, and no more.
DEFAULT_MAX_BYTES = 512 * 2**20

#: The least UNIQ of each order, and the end of the last one.
_FIRST_UNIQ = np.int64(4) << (2 * np.arange(FINEST_ORDER + 2, dtype=np.int64))
_PROBABILITY_COLUMNS = ("PROB", "PROBABILITY")
_CARDS = ("ORDERING", "NSIDE", "COORDSYS", "OBJECT", "DATE-OBS", "DISTMEAN", "DISTSTD")
_DISTANCE_COLUMNS = ("DISTMU", "DISTSIGMA", "DISTNORM")


def read_sky_map(content: bytes, *, max_bytes: int = DEFAULT_MAX_BYTES) -> SkyMap:
    """Read a sky map from the bytes of its FITS file.

    Parameters
    ----------
    content : bytes
        FITS, or gzipped FITS.
    max_bytes : int
        No more than this is unpacked.

    Raises
    ------
    UnusableSkyMap
        With one sentence that says why.
    """
    header, table = _table(_unpacked(content, max_bytes))
    _require_celestial(header)
    names = {str(name).upper() for name in table.dtype.names or ()}
    notes: list[str] = []
    if "UNIQ" in names:
        first, order = _from_uniq(_column(table, "UNIQ"))
    else:
        first, order = _from_flat(header, table, names)
    density = _density(table, names, order)
    rows = np.argsort(first, kind="stable")
    first, order, density = first[rows], order[rows], density[rows]
    _require_apart(first, order)
    density = _normalised(density, order, notes)
    distances = _distances(table, names, rows, density, order, notes)
    return SkyMap(
        first=first,
        order=order,
        density=density,
        distances=distances,
        distance_mpc=_figure(header, "DISTMEAN"),
        distance_sigma_mpc=_figure(header, "DISTSTD"),
        event=str(header["OBJECT"]) if header.get("OBJECT") else None,
        event_time=_moment(header.get("DATE-OBS")),
        notes=tuple(notes),
    )


def _unpacked(content: bytes, max_bytes: int) -> bytes:
    if content.startswith(b"\x1f\x8b"):
        unzip = zlib.decompressobj(wbits=31)
        try:
            content = unzip.decompress(content, max_bytes + 1)
        except zlib.error as error:
            raise UnusableSkyMap(f"The sky map's gzip is damaged: {error}.") from error
        if len(content) <= max_bytes and not unzip.eof:
            raise UnusableSkyMap("The sky map's gzip is cut short.")
    if len(content) > max_bytes:
        raise UnusableSkyMap(f"The sky map has over {max_bytes} bytes, more than are read.")
    if not content.startswith(b"SIMPLE  ="):
        raise UnusableSkyMap("The sky map is no FITS file.")
    return content


def _table(content: bytes) -> tuple[dict[str, Any], npt.NDArray[Any]]:
    """Return the header's cards that matter and the rows of the first binary table."""
    from astropy.io import fits
    from astropy.utils.exceptions import AstropyWarning

    damaged = (OSError, ValueError, TypeError, KeyError, IndexError, fits.VerifyError)
    with warnings.catch_warnings():
        # Truncation, which astropy only warns of, is an error below.
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            with fits.open(io.BytesIO(content), memmap=False, lazy_load_hdus=False) as hdus:
                for hdu in hdus:
                    if isinstance(hdu, fits.BinTableHDU):
                        place = hdu.fileinfo()
                        if place["datLoc"] + place["datSpan"] > len(content):
                            raise UnusableSkyMap("The sky map's FITS file is cut short.")
                        return _cards(hdu.header), np.asarray(hdu.data)
        except (*damaged, OverflowError, MemoryError, AttributeError, AssertionError) as error:
            raise UnusableSkyMap(f"The sky map's FITS file is damaged: {error}.") from error
    raise UnusableSkyMap("The FITS file is no sky map: it has no binary table.")


def _cards(header: Any) -> dict[str, Any]:
    return {key: header[key] for key in _CARDS if key in header}


def _column(table: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """Return a column, flat (healpy packs 1024 pixels into each row), in the machine's order."""
    spelt = next(key for key in table.dtype.names or () if key.upper() == name)
    values = np.ravel(table[spelt])
    if values.dtype.kind not in "fiu":
        raise UnusableSkyMap(f"The sky map's column {name} holds no numbers.")
    return values.astype(np.int64 if values.dtype.kind in "iu" else np.float64)


def _require_celestial(header: dict[str, Any]) -> None:
    system = str(header.get("COORDSYS", "C")).strip().upper()
    if system[:1] not in ("C", "E", "I") or system in ("E", "ECL", "ECLIPTIC"):
        # HEALPix writes C (or ICRS, EQU…) for equatorial, G for galactic, E for ecliptic.
        raise UnusableSkyMap(f"The sky map is in the coordinates {system!r}, not in equatorial.")


def _from_uniq(uniq: npt.NDArray[Any]) -> tuple[Integers, Integers]:
    if uniq.size == 0:
        raise UnusableSkyMap("The sky map is empty.")
    if uniq.dtype != np.int64 or uniq.min() < 4:
        raise UnusableSkyMap("The sky map's UNIQ column has values that are no HEALPix cell.")
    # UNIQ = 4·4^order + index, 0 ≤ index < 12·4^order (MOC 1.1): each order has a range of its own.
    order = np.searchsorted(_FIRST_UNIQ, uniq, side="right").astype(np.int64) - 1
    if order.max() > FINEST_ORDER:
        raise UnusableSkyMap("The sky map's UNIQ column has values that are no HEALPix cell.")
    index = uniq - (np.int64(4) << (2 * order))
    return _first(index, order), order


def _from_flat(
    header: dict[str, Any], table: npt.NDArray[Any], names: set[str]
) -> tuple[Integers, Integers]:
    import cdshealpix

    ordering = str(header.get("ORDERING", "")).strip().upper()
    if ordering not in ("NESTED", "NEST", "RING"):
        raise UnusableSkyMap(f"The sky map's ORDERING is {ordering!r}: not NUNIQ, NESTED or RING.")
    if not names.intersection({*_PROBABILITY_COLUMNS, "PROBDENSITY"}):
        raise UnusableSkyMap("The FITS table is no sky map: it has no column of probability.")
    explicit = "PIXEL" in names
    if explicit:
        index = _column(table, "PIXEL")
        nside = header.get("NSIDE")
    else:
        name = next(n for n in (*_PROBABILITY_COLUMNS, "PROBDENSITY") if n in names)
        index = np.arange(_column(table, name).size, dtype=np.int64)
        nside = header.get("NSIDE", round((index.size / 12) ** 0.5))
    if not isinstance(nside, int) or nside < 1 or nside & (nside - 1) or nside >= 2**FINEST_ORDER:
        raise UnusableSkyMap(f"The sky map's NSIDE {nside!r} is no power of two.")
    if index.size == 0:
        raise UnusableSkyMap("The sky map is empty.")
    if (not explicit and index.size != 12 * nside**2) or not (
        index.min() >= 0 and index.max() < 12 * nside**2
    ):
        raise UnusableSkyMap(f"The sky map has {index.size} pixels, which is not NSIDE {nside}.")
    level = nside.bit_length() - 1
    if ordering == "RING":
        index = cdshealpix.from_ring(index.astype(np.uint64), level, num_threads=1)
    order = np.full(index.size, level, dtype=np.int64)
    return _first(index.astype(np.int64), order), order


def _first(index: Integers, order: Integers) -> Integers:
    return index << (2 * (FINEST_ORDER - order))


def _require_apart(first: Integers, order: Integers) -> None:
    length = np.int64(1) << (2 * (FINEST_ORDER - order))
    if np.any(first[1:] < first[:-1] + length[:-1]):
        raise UnusableSkyMap("The sky map's cells lie over one another.")


def _density(table: npt.NDArray[Any], names: set[str], order: Integers) -> Floats:
    """Return the probability density in sr⁻¹, in the order of the file."""
    found = [name for name in ("PROBDENSITY", *_PROBABILITY_COLUMNS) if name in names]
    if not found:
        raise UnusableSkyMap("The FITS table is no sky map: it has no column of probability.")
    values = _column(table, found[0]).astype(np.float64)
    if values.size != order.size:
        raise UnusableSkyMap("The sky map's columns differ in length.")
    if not np.all(np.isfinite(values)):
        bad = int(np.count_nonzero(~np.isfinite(values)))
        raise UnusableSkyMap(f"The sky map's probability is not a number in {bad} pixels.")
    if values.min() < 0:
        raise UnusableSkyMap("The sky map has negative probabilities.")
    if found[0] == "PROBDENSITY":
        return values
    with np.errstate(over="ignore"):  # a sum that is not finite is refused below
        return values / cell_area_sr(order)


def _normalised(density: Floats, order: Integers, notes: list[str]) -> Floats:
    with np.errstate(over="ignore"):
        total = float(np.sum(density * cell_area_sr(order)))
    if not np.isfinite(total) or total <= 0:
        raise UnusableSkyMap("The sky map holds no probability.")
    if abs(total - 1.0) > TOTAL_TOLERANCE:
        notes.append(f"The map's probability came to {total:.4g}, not 1: it was normalised.")
    return density / total


def _distances(
    table: npt.NDArray[Any],
    names: set[str],
    rows: npt.NDArray[np.intp],
    density: Floats,
    order: Integers,
    notes: list[str],
) -> Distances | None:
    """Return the distance parameters, sorted like the cells; ``None`` where the map has none."""
    missing = [name for name in _DISTANCE_COLUMNS if name not in names]
    if missing:
        if len(missing) < len(_DISTANCE_COLUMNS):
            notes.append(f"The map has no {' or '.join(missing)}: its distances are not used.")
        return None
    columns = [_column(table, name).astype(np.float64) for name in _DISTANCE_COLUMNS]
    if any(column.size != rows.size for column in columns):
        raise UnusableSkyMap("The sky map's columns differ in length.")
    mu, sigma, norm = (column[rows] for column in columns)
    said = np.isfinite(mu) & np.isfinite(sigma) & (sigma > 0) & np.isfinite(norm) & (norm >= 0)
    mu[~said], sigma[~said], norm[~said] = np.inf, 1.0, 0.0
    held = density * cell_area_sr(order)
    without = float(np.sum(held[~said | (norm == 0)]))
    if without > MAX_WITHOUT_DISTANCE:
        notes.append(f"{without:.0%} of the probability has no distance: ranked in two dimensions.")
        return None
    return Distances(mu_mpc=mu, sigma_mpc=sigma, norm=norm)


def _figure(header: dict[str, Any], name: str) -> float | None:
    value = header.get(name)
    if isinstance(value, (int, float)) and np.isfinite(value):
        return float(value)
    return None


def _moment(text: object) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
