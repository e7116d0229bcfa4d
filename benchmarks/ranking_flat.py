"""Flat sky maps of NSIDE 512: how long one takes to read and rank, and in how much memory."""

from __future__ import annotations

import gc
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cdshealpix
import numpy as np
from astropy.io import fits

from toros.lvcgcn.catalogue import Catalogue
from toros.lvcgcn.ranking import rank, scores
from toros.lvcgcn.skymap import FINEST_ORDER, SkyMap, cell_area_sr
from toros.lvcgcn.skymap_fits import read_sky_map

LEVEL = 9
TOP = 1000


def flat(sky_map: SkyMap, *, rough: bool) -> bytes:
    """Return a map spread out on pixels in ring order, as the LVK do.

    Parameters
    ----------
    sky_map : SkyMap
        The map, with distances.
    rough : bool
        Whether every pixel says something else, as no map of the LVK does.
    """
    pixels = np.arange(12 * 4**LEVEL)
    cell = sky_map.cells_at(pixels << (2 * (FINEST_ORDER - LEVEL)))
    distances = sky_map.distances
    assert distances is not None
    probability = sky_map.density[cell] * cell_area_sr(np.array(LEVEL))
    if rough:
        probability *= np.random.default_rng(1).uniform(0.9, 1.1, pixels.size)
    columns = {
        "PROB": probability,
        "DISTMU": distances.mu_mpc[cell],
        "DISTSIGMA": distances.sigma_mpc[cell],
        "DISTNORM": distances.norm[cell],
    }
    ring = cdshealpix.from_ring(pixels.astype(np.uint64), LEVEL).astype(np.intp)
    table = fits.BinTableHDU.from_columns(
        [fits.Column(name, "D", array=values[ring]) for name, values in columns.items()]
    )
    table.header.update({"ORDERING": "RING", "NSIDE": 2**LEVEL, "COORDSYS": "C"})
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(out)
    return out.getvalue()


def measure(
    content: bytes, catalogue: Catalogue, memory_mb: Callable[[str], float]
) -> dict[str, Any]:
    """Return the times, the memory above that of the file, and whether brute force agrees."""
    gc.collect()
    before = _from_here(memory_mb)
    begin = time.perf_counter()
    sky_map = read_sky_map(content)
    read = time.perf_counter()
    ranking = rank(sky_map, catalogue, TOP)
    ranked = time.perf_counter()
    peak = memory_mb("VmHWM")
    plain = scores(sky_map, catalogue)
    top = np.lexsort((np.arange(plain.size), -plain))[: len(ranking)]
    return {
        "cells": int(sky_map.first.size),
        "file_mb": len(content) / 2**20,
        "seconds_to_read": read - begin,
        "seconds_to_rank": ranked - read,
        "mb_more": peak - before,
        "identical": bool(
            np.array_equal(top, ranking.order) and np.array_equal(plain[top], ranking.score)
        ),
    }


def _from_here(memory_mb: Callable[[str], float]) -> float:
    """Return what is resident now, from where the greatest is counted anew."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return memory_mb("VmRSS")
