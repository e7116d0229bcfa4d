"""How much a master differs from an earlier one of its kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toros.imaging.frames import Master, Pixels
from toros.imaging.headers import read_exposure
from toros.imaging.master_file import MasterFile, open_master
from toros.imaging.pool import in_threads, strips
from toros.imaging.sampling import sample_rows


@dataclass(frozen=True)
class Change:
    """What is different.

    Parameters
    ----------
    fraction : float
        Of the pixels that were good before, those that have changed or are good no longer.
    median : float
        Median of new - old [ADU; a flat: dimensionless].
    """

    fraction: float
    median: float


def change_of(new: Path, old: Path, *, sigma: float, tolerance: float) -> Change:
    """Compare two masters, strip by strip.

    Parameters
    ----------
    sigma, tolerance : float
        A pixel has changed if it differs by more than `sigma` times the uncertainty of the
        difference, and `tolerance` [ADU; a flat: dimensionless] beyond that.

    Raises
    ------
    UnreadableFile, MixedShapes
        If they cannot be compared.
    """
    info = read_exposure(new)
    with open_master(new, info) as new_file, open_master(old, info) as old_file:
        shape = (new_file.shape[0], new_file.shape[1])
        counts: list[tuple[int, int]] = []

        def count(rows: slice) -> None:
            ours, theirs = new_file.rows(rows), old_file.rows(rows)
            limit = sigma * np.hypot(_error(ours), _error(theirs)) + tolerance
            changed = (np.abs(ours.pixels - theirs.pixels) > limit) | ours.mask
            before = ~theirs.mask
            counts.append((int(np.count_nonzero(changed & before)), int(before.sum())))

        in_threads(count, strips(*shape))
        median = _median_change(new_file, old_file, shape)
    changed, compared = np.sum(counts, axis=0)
    return Change(float(changed / compared) if compared else 0.0, median)


def _error(master: Master) -> Pixels | float:
    return 0.0 if master.uncertainty is None else master.uncertainty


def _median_change(new: MasterFile, old: MasterFile, shape: tuple[int, int]) -> float:
    differences = []
    for rows in sample_rows(shape):
        ours, theirs = new.rows(rows), old.rows(rows)
        differences.append((ours.pixels - theirs.pixels)[~(ours.mask | theirs.mask)])
    found = np.concatenate(differences)
    return float(np.median(found)) if found.size else 0.0
