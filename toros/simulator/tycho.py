"""Real stars, from the Tycho-2 index files of astrometry.net that Debian packages.

An index file (``index-tycho2-*.fits``, packages ``astrometry-data-tycho2-*``) holds for a plate
solver the brightest stars of each cell of the sky: a k-d tree whose data are unit vectors, stored
as 32-bit integers over a range, and beside it the VT magnitude of each star. The file for the
smallest fields holds the most stars, and those of the others are among them.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from toros.simulator.stars import Stars

log = logging.getLogger(__name__)

FOLDER = Path("/usr/share/astrometry")
# A star of middling colour (B - V = 0.65): V = VT - 0.06 (ESA 1997), r = V - 0.15 (Jester 2005).
R_MINUS_VT, COLOUR = -0.21, 0.5
# Fainter than this the cells hold only some of the stars.
COMPLETE_PERCENTILE = 99.0


@dataclass(frozen=True)
class Catalogue:
    """Stars of the whole sky.

    Parameters
    ----------
    name : str
        The file they come from.
    directions : array, shape (N, 3)
        Unit vectors, ICRS.
    mag : array, shape (N,)
        r magnitudes.
    faintest_mag : float
        Where the catalogue ends.
    """

    name: str
    directions: NDArray[np.float64]
    mag: NDArray[np.float64]
    faintest_mag: float

    def near(self, ra_deg: float, dec_deg: float, radius_deg: float) -> Stars:
        """Return the stars within a circle, ICRS degrees."""
        ra, dec = np.radians(ra_deg), np.radians(dec_deg)
        towards = np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
        inside = self.directions @ towards > np.cos(np.radians(min(radius_deg, 180.0)))
        x, y, z = self.directions[inside].T
        mag = self.mag[inside]
        return Stars(
            np.degrees(np.arctan2(y, x)) % 360.0,
            np.degrees(np.arctan2(z, np.hypot(x, y))),
            mag,
            np.full(mag.size, COLOUR),
        )


@lru_cache(maxsize=2)
def find_catalogue(folder: Path = FOLDER) -> Catalogue | None:
    """Return the stars of the richest index file in a folder, or None if there is none."""
    files = sorted(folder.glob("index-tycho2-*.fits"))
    readable = [(size, path) for path in files if (size := _size(path)) is not None]
    if not readable:
        return None
    catalogue = read_catalogue(max(readable)[1])
    log.info("Real stars: %d from %s.", catalogue.mag.size, catalogue.name)
    return catalogue


def _size(path: Path) -> int | None:
    """Return how many stars a file holds; None, with a warning, if it cannot be used."""
    try:
        with fits.open(path) as hdus:
            header = _table(hdus, "kdtree_header_stars").header
            little = str(header["ENDIAN"]).startswith("04")
            return int(header["KDT_NDAT"]) if little and header["KDT_DATA"] == "u32" else None
    except (OSError, KeyError) as error:
        log.warning("%s cannot be read as an astrometry.net index: %s", path, error)
        return None


def _table(hdus: fits.HDUList, column: str) -> Any:
    for hdu in hdus[1:]:
        if hdu.header.get("TTYPE1") == column:
            return hdu
    raise KeyError(column)


def read_catalogue(path: Path) -> Catalogue:
    """Return the stars of one index file."""
    with fits.open(path) as hdus:
        edges = np.frombuffer(_bytes(_table(hdus, "kdtree_range_stars")), "<f8")
        stored = np.frombuffer(_bytes(_table(hdus, "kdtree_data_stars")), "<u4").reshape(-1, 3)
        mag = np.asarray(_table(hdus, "MAG_VT").data["MAG_VT"], np.float64) + R_MINUS_VT
    # Three lower bounds, three upper bounds, and integers per unit of length.
    low, per_unit = edges[:3], edges[6]
    directions = low + stored / per_unit
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    return Catalogue(path.name, directions, mag, float(np.percentile(mag, COMPLETE_PERCENTILE)))


def _bytes(hdu: Any) -> bytes:
    return bytes(hdu.data.view(np.uint8).tobytes())
