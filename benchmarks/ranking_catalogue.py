"""The synthetic catalogue and events of the ranking's benchmark."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from toros.lvcgcn import column_store, completeness
from toros.lvcgcn.catalogue import CatalogueInfo, by_place
from toros.simulator.replay import (
    GW170817_NOTICE_TIME,
    GW170817_TIME,
    Localisation,
    make_gw170817,
    make_sky_map,
)

FOLDER = Path(tempfile.gettempdir()) / "toros-benchmark-catalogues"
NAME = "synthetic"
FARTHEST_MPC = 2000.0
FAR = Localisation(
    ra_deg=200.0,
    dec_deg=-35.0,
    area_90_deg2=3000.0,
    elongation=5.0,
    position_angle_deg=40.0,
    distance_mpc=600.0,
    distance_sigma_mpc=120.0,
)


def synthetic(folder: Path, count: int) -> float | None:
    """Build a catalogue of `count` galaxies, unless it is there; return the seconds it took."""
    known = column_store.manifest_of(folder, NAME)
    if known is not None and known["count"] == count:
        return None
    rng = np.random.default_rng(1)
    ra = rng.uniform(0, 360, count)
    dec = np.degrees(np.arcsin(rng.uniform(-1, 1, count)))
    distance = (FARTHEST_MPC * rng.uniform(0, 1, count) ** (1 / 3)).astype(np.float32)
    light = (10 ** rng.normal(0, 0.5, count)).astype(np.float32)
    begin = time.perf_counter()
    catalogue = by_place(
        info=CatalogueInfo(
            name=NAME,
            title="Synthetic",
            version="1",
            licence="none",
            cosmology="none",
            completeness=completeness.by_distance(distance, light),
        ),
        name=np.char.add(b"G", np.arange(count).astype("S8")),
        ra_deg=ra,
        dec_deg=dec,
        distance_mpc=distance,
        distance_error_mpc=np.maximum(0.1 * distance, 3).astype(np.float32),
        luminosity=light,
    )
    column_store.write(folder, catalogue)
    return time.perf_counter() - begin


def maps() -> dict[str, bytes]:
    """Return the events: one near and well placed, one far and wide."""
    far = make_sky_map(
        FAR,
        event="S170818x",
        event_time=GW170817_TIME,
        created=GW170817_NOTICE_TIME,
        instruments=("H1", "L1"),
    )
    return {"28 deg², 40 Mpc": make_gw170817().sky_map, "3000 deg², 600 Mpc": far}
