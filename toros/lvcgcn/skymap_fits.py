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
from toros.lvcgcn.skymap_flat import flat_cells

#: Probability in all must come to 1 within this much; public maps agree to 1e-3 or better.
TOTAL_TOLERANCE = 0.05
#: A map of which more than this probability has no distance is ranked in two dimensions.
MAX_WITHOUT_DISTANCE = 0.5
#: Room for a flat map of NSIDE 1024 in double precision with its distances, and no more.
DEFAULT_MAX_BYTES = 512 * 2**20

#: The least UNIQ of each order, and the end of the last one.
_FIRST_UNIQ = np.int64(4) << (2 * np.arange(FINEST_ORDER + 2, dtype=np.int64))
_CARDS = ("ORDERING", "NSIDE", "COORDSYS", "OBJECT", "DATE-OBS", "DISTMEAN", "DISTSTD")
_PROBABILITY = ("PROBDENSITY", "PROB", "PROBABILITY")
_DISTANCE_COLUMNS = ("DISTMU", "DISTSIGMA", "DISTNORM")
_COLUMNS = {"UNIQ", "PIXEL", *_PROBABILITY, *_DISTANCE_COLUMNS}

#: By their names, of one length, in the file's own byte order.
Columns = dict[str, npt.NDArray[Any]]


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
    columns = _columns(table)
    notes: list[str] = []
    first, order, pixels, said = _cells(header, columns, notes)
    density = _normalised(_density(said, pixels), order, notes)
    distances = _distances(said, density, order, notes)
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
    """Return the header's cards that matter and the rows of the first binary table, as they are.

    The rows are a view of `content`: a flat map has a hundred megabytes of them.
    """
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
                        return _cards(hdu.header), _rows(hdu, content)
        except (*damaged, OverflowError, MemoryError, AttributeError, AssertionError) as error:
            raise UnusableSkyMap(f"The sky map's FITS file is damaged: {error}.") from error
    raise UnusableSkyMap("The FITS file is no sky map: it has no binary table.")


def _rows(hdu: Any, content: bytes) -> npt.NDArray[Any]:
    place = hdu.fileinfo()
    if place["datLoc"] + place["datSpan"] > len(content):
        raise UnusableSkyMap("The sky map's FITS file is cut short.")
    kind = hdu.columns.dtype.newbyteorder(">")
    if kind.itemsize != hdu.header["NAXIS1"]:
        raise UnusableSkyMap("The sky map's FITS file is damaged: its rows and columns disagree.")
    rows = np.zeros(0, kind)
    if hdu.header["NAXIS2"]:
        rows = np.frombuffer(content, kind, hdu.header["NAXIS2"], place["datLoc"])
    return rows


def _cards(header: Any) -> dict[str, Any]:
    return {key: header[key] for key in _CARDS if key in header}


def _columns(table: npt.NDArray[Any]) -> Columns:
    """Return the columns that matter, flat (healpy packs 1024 pixels into each row)."""
    found = {}
    for spelt in table.dtype.names or ():
        name = spelt.upper()
        if name in _COLUMNS:
            values = table[spelt]
            # A column of single values stays a view of the file.
            found[name] = values.reshape(-1) if values.ndim > 1 else values
            if values.dtype.kind not in "fiu":
                raise UnusableSkyMap(f"The sky map's column {name} holds no numbers.")
    if len({values.size for values in found.values()}) > 1:
        raise UnusableSkyMap("The sky map's columns differ in length.")
    return found


def _cells(
    header: dict[str, Any], columns: Columns, notes: list[str]
) -> tuple[Integers, Integers, Integers, dict[str, Floats]]:
    """Return the cells in ascending order, the order of their pixels, and what is said of those."""
    wanted = [name for name in _PROBABILITY if name in columns][:1]
    if not wanted:
        raise UnusableSkyMap("The FITS table is no sky map: it has no column of probability.")
    missing = [name for name in _DISTANCE_COLUMNS if name not in columns]
    if not missing:
        wanted += _DISTANCE_COLUMNS
    elif len(missing) < len(_DISTANCE_COLUMNS):
        notes.append(f"The map has no {' or '.join(missing)}: its distances are not used.")
    if "UNIQ" in columns:
        first, order = _from_uniq(columns["UNIQ"])
    else:
        level, ring = _flat_level(header, columns, columns[wanted[0]].size)
        if "PIXEL" not in columns:
            first, order, values = flat_cells([columns[name] for name in wanted], level, ring=ring)
            # What is joined in a cell was said of each pixel.
            pixels = np.full(order.size, level)
            return first, order, pixels, dict(zip(wanted, values, strict=True))
        first, order = _from_pixels(columns["PIXEL"], level, ring=ring)
    rows = np.argsort(first, kind="stable")
    first, order = first[rows], order[rows]
    _require_apart(first, order)
    said = {name: columns[name][rows].astype(np.float64) for name in wanted}
    return first, order, order, said


def _require_celestial(header: dict[str, Any]) -> None:
    system = str(header.get("COORDSYS", "C")).strip().upper()
    if system[:1] not in ("C", "E", "I") or system in ("E", "ECL", "ECLIPTIC"):
        # HEALPix writes C (or ICRS, EQU…) for equatorial, G for galactic, E for ecliptic.
        raise UnusableSkyMap(f"The sky map is in the coordinates {system!r}, not in equatorial.")


def _from_uniq(column: npt.NDArray[Any]) -> tuple[Integers, Integers]:
    if column.size == 0:
        raise UnusableSkyMap("The sky map is empty.")
    uniq = column.astype(np.int64)
    if column.dtype.kind == "f" or uniq.min() < 4:
        raise UnusableSkyMap("The sky map's UNIQ column has values that are no HEALPix cell.")
    # UNIQ = 4·4^order + index, 0 ≤ index < 12·4^order (MOC 1.1): each order has a range of its own.
    order = np.searchsorted(_FIRST_UNIQ, uniq, side="right").astype(np.int64) - 1
    if order.max() > FINEST_ORDER:
        raise UnusableSkyMap("The sky map's UNIQ column has values that are no HEALPix cell.")
    index = uniq - (np.int64(4) << (2 * order))
    return _first(index, order), order


def _flat_level(header: dict[str, Any], columns: Columns, count: int) -> tuple[int, bool]:
    """Return the HEALPix order of a map of `count` pixels, and whether it is in ring order."""
    ordering = str(header.get("ORDERING", "")).strip().upper()
    if ordering not in ("NESTED", "NEST", "RING"):
        raise UnusableSkyMap(f"The sky map's ORDERING is {ordering!r}: not NUNIQ, NESTED or RING.")
    explicit = "PIXEL" in columns
    nside = header.get("NSIDE", None if explicit else round((count / 12) ** 0.5))
    if not isinstance(nside, int) or nside < 1 or nside & (nside - 1) or nside > 2**FINEST_ORDER:
        raise UnusableSkyMap(f"The sky map's NSIDE {nside!r} is no power of two.")
    if count == 0:
        raise UnusableSkyMap("The sky map is empty.")
    if not explicit and count != 12 * nside**2:
        raise UnusableSkyMap(f"The sky map has {count} pixels, which is not NSIDE {nside}.")
    return nside.bit_length() - 1, ordering == "RING"


def _from_pixels(column: npt.NDArray[Any], level: int, *, ring: bool) -> tuple[Integers, Integers]:
    import cdshealpix

    index = column.astype(np.int64)
    if column.dtype.kind == "f" or index.min() < 0 or index.max() >= 12 * 4**level:
        raise UnusableSkyMap("The sky map's PIXEL column has values that are no pixel.")
    if ring:
        index = cdshealpix.from_ring(index.astype(np.uint64), level, num_threads=1)
    order = np.full(index.size, level, dtype=np.int64)
    return _first(index.astype(np.int64), order), order


def _first(index: Integers, order: Integers) -> Integers:
    return index << (2 * (FINEST_ORDER - order))


def _require_apart(first: Integers, order: Integers) -> None:
    length = np.int64(1) << (2 * (FINEST_ORDER - order))
    if np.any(first[1:] < first[:-1] + length[:-1]):
        raise UnusableSkyMap("The sky map's cells lie over one another.")


def _density(said: dict[str, Floats], order: Integers) -> Floats:
    """Return the probability density in sr⁻¹."""
    name = next(name for name in _PROBABILITY if name in said)
    values = said[name]
    if not np.all(np.isfinite(values)):
        bad = int(np.count_nonzero(~np.isfinite(values)))
        raise UnusableSkyMap(f"The sky map's probability is not a number in {bad} pixels.")
    if values.min() < 0:
        raise UnusableSkyMap("The sky map has negative probabilities.")
    if name == "PROBDENSITY":
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
    said: dict[str, Floats], density: Floats, order: Integers, notes: list[str]
) -> Distances | None:
    """Return the distance parameters of the cells; ``None`` where the map has none."""
    if _DISTANCE_COLUMNS[0] not in said:
        return None
    mu, sigma, norm = (said[name] for name in _DISTANCE_COLUMNS)
    known = np.isfinite(mu) & np.isfinite(sigma) & (sigma > 0) & np.isfinite(norm) & (norm >= 0)
    mu[~known], sigma[~known], norm[~known] = np.inf, 1.0, 0.0
    held = density * cell_area_sr(order)
    without = float(np.sum(held[~known | (norm == 0)]))
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
