"""The galaxies of OpenNGC, from the database that `pyongc` carries (CC-BY-SA-4.0)."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import numpy as np

from toros.common.errors import UnusableCatalogue
from toros.lvcgcn import completeness
from toros.lvcgcn.catalogue import Catalogue, CatalogueInfo, by_place
from toros.lvcgcn.distances import (
    COSMOLOGY,
    distance_error_mpc,
    local_group_redshift,
    luminosity_distance_mpc,
)

TITLE = "OpenNGC galaxies (pyongc)"

# Pairs and groups are left out: their galaxies stand in the table themselves.
_QUERY = """
    SELECT name, ra, dec, redshift, bmag FROM objects
    WHERE type = 'G' AND ra IS NOT NULL AND dec IS NOT NULL
    ORDER BY name
"""


def version() -> str:
    """Return the version of the data."""
    import pyongc

    return str(pyongc.__version__)


def build() -> Catalogue:
    """Return the galaxies of OpenNGC with distances from their redshifts.

    Raises
    ------
    UnusableCatalogue
        If the database of `pyongc` cannot be read.
    """
    from pyongc import DBPATH

    address = f"{Path(DBPATH).resolve().as_uri()}?mode=ro"
    try:
        connection = sqlite3.connect(address, uri=True)
        try:
            rows = connection.execute(_QUERY).fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise UnusableCatalogue(f"OpenNGC cannot be read from {DBPATH}: {error}.") from error
    ra, dec, redshift, b_mag = np.array([row[1:] for row in rows], dtype=np.float64).T
    ra, dec = np.degrees(ra), np.degrees(dec)
    moving = local_group_redshift(redshift, ra, dec)
    distance = luminosity_distance_mpc(moving)
    # No correction for dust in our Galaxy: OpenNGC has none.
    light = completeness.luminosity_of(b_mag - 5 * np.log10(distance) - 25)
    return by_place(
        info=CatalogueInfo(
            name="openngc",
            title=TITLE,
            version=version(),
            licence="CC-BY-SA-4.0",
            cosmology=COSMOLOGY,
            source=f"pyongc {version()}",
            completeness=completeness.by_distance(distance, light),
        ),
        name=np.array([designation(row[0]) for row in rows]),
        ra_deg=ra,
        dec_deg=dec,
        distance_mpc=distance,
        distance_error_mpc=distance_error_mpc(moving),
        luminosity=light,
    )


def designation(name: str) -> str:
    """Return a name as people write it: ``NGC0224`` is ``NGC 224``."""
    return re.sub(r"^(NGC|IC)0*(\d)", r"\1 \2", name)
