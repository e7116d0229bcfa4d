"""The night as a problem for the search: N targets, the times they fit, and what lies between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from toros.common.config.telescope import TelescopeSettings
from toros.sky.earth import dots, unit_vectors
from toros.telescope.scheduler import Bools, Floats, PlanTarget

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Pointing:
    """Where the telescope is before the first block; None where that is not known or matters."""

    ra_deg: float | None = None
    dec_deg: float | None = None
    filter: str | None = None


@dataclass(frozen=True)
class Windows:
    """When the block of each of N targets can begin, on an even grid of T times.

    A block can begin at any moment, between two times of the grid as well: it holds if every
    constraint is met at each time of the grid from the one before it to the one after its end.

    Attributes
    ----------
    unix : ndarray, shape (T,)
    duration_s : ndarray, shape (N,)
    until_unix : ndarray, shape (N, T)
        The last time to which the constraints are met without a break from that time on; -inf
        where they are not met.
    next_node : ndarray, shape (N, T + 1)
        The first time of the grid, from that one on, at which the block fits; T if there is none.
    """

    unix: Floats
    duration_s: Floats
    until_unix: Floats
    next_node: Ints

    @classmethod
    def of(cls, unix: Floats, observable: Bools, duration_s: Floats) -> Windows:
        """Return the windows that `observable`, shape (N, T), leaves."""
        total = unix.size
        # Where the run of allowed times that holds a time ends: the next forbidden time, less one.
        column = np.arange(total, dtype=np.int32)
        forbidden = np.where(observable, np.int32(total), column)
        ahead = np.minimum.accumulate(forbidden[:, ::-1], axis=1)[:, ::-1]
        until = np.where(observable, unix[np.maximum(ahead - 1, 0)], -np.inf)
        fits = until >= unix + duration_s[:, None] - 1e-6
        nodes = np.full((observable.shape[0], total + 1), total, dtype=np.int32)
        nodes[:, :total] = np.where(fits, column, np.int32(total))
        following = np.minimum.accumulate(nodes[:, ::-1], axis=1)[:, ::-1]
        return cls(unix, duration_s, until, following)

    @property
    def fits(self) -> Bools:
        """Whether the block can begin at each time of the grid, shape (N, T)."""
        return np.asarray(self.next_node[:, :-1] == np.arange(self.unix.size), dtype=np.bool_)

    @cached_property
    def ever(self) -> Bools:
        """Whether the block fits at all, shape (N,)."""
        return np.asarray(self.next_node[:, 0] < self.unix.size, dtype=np.bool_)

    @cached_property
    def step_s(self) -> float:
        """The step of the grid."""
        return float(self.unix[1] - self.unix[0])

    @cached_property
    def last_fit_unix(self) -> Floats:
        """When each block can begin for the last time, shape (N,); -inf if never."""
        fits = self.fits
        last = self.unix.size - 1 - np.argmax(fits[:, ::-1], axis=1)
        return np.where(fits.any(axis=1), self.unix[last], -np.inf)

    def node(self, unix: Floats) -> Ints:
        """Return the index of the time of the grid at or before each of `unix`."""
        found = np.floor((unix - self.unix[0]) / self.step_s + 1e-9)
        return np.asarray(np.clip(found, 0, self.unix.size - 1), dtype=np.int64)

    def earliest(self, index: Ints, ready_unix: Floats) -> Floats:
        """Return when blocks can begin at the earliest if not before `ready_unix`; inf if never.

        `index` and `ready_unix` broadcast against one another.
        """
        beyond = ready_unix > self.unix[-1]
        node = self.node(np.where(np.isfinite(ready_unix), ready_unix, self.unix[0]))
        at_once = self.until_unix[index, node] >= ready_unix + self.duration_s[index] - 1e-6
        later = self.next_node[index, node + 1]
        then = np.append(self.unix, np.inf)[later]
        return np.where(beyond, np.inf, np.where(at_once, ready_unix, then))

    def taken(self, chosen: Ints) -> Windows:
        """Return the windows of some of the targets."""
        return Windows(
            self.unix, self.duration_s[chosen], self.until_unix[chosen], self.next_node[chosen]
        )


@dataclass(frozen=True)
class Problem:
    """What the search works on.

    Attributes
    ----------
    windows : Windows
    worth : ndarray, shape (N, T)
        What the whole block gives if it begins at that time of the grid.
    transition_s : ndarray, shape (N + 1, N)
        From the end of one block to the start of another; the last row from where the telescope
        is now.
    """

    windows: Windows
    worth: Floats
    transition_s: Floats

    @property
    def here(self) -> int:
        """The row of `transition_s` for where the telescope is now."""
        return int(self.transition_s.shape[0]) - 1

    def worth_at(self, index: Ints, unix: Floats) -> Floats:
        """Return the worth of blocks that begin at `unix`."""
        found: Floats = self.worth[index, self.windows.node(unix)]
        return found


def transitions(
    targets: Sequence[PlanTarget], here: Pointing, settings: TelescopeSettings
) -> Floats:
    """Return how long slew and filter change take from each target to each, seconds.

    Both go on at the same time, so that the longer one counts.

    Returns
    -------
    ndarray, shape (N + 1, N)
        The last row: from where the telescope is now.
    """
    ra = np.array([target.ra_deg for target in targets], dtype=np.float64)
    dec = np.array([target.dec_deg for target in targets], dtype=np.float64)
    names = np.array([target.filter or "" for target in targets], dtype=object)
    _, place = np.unique(names.astype(str), return_inverse=True)
    to = unit_vectors(ra, dec)
    known = here.ra_deg is not None and here.dec_deg is not None
    start = unit_vectors([here.ra_deg or 0.0], [here.dec_deg or 0.0])
    angle = np.arccos(np.clip(dots(np.concatenate([to, start]), to), -1.0, 1.0))
    slew_s = np.degrees(angle) / settings.slew_rate_deg_s
    if not known:
        slew_s[-1] = 0.0
    other = np.zeros_like(slew_s, dtype=np.bool_)
    other[:-1] = place[:, None] != place
    if here.filter is not None:
        other[-1] = names != here.filter
    spent: Floats = np.maximum(slew_s, other * settings.filter_change_s)
    return spent
