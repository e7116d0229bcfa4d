"""Which targets can be observed when, and why others never can.

Pure functions of arrays: N targets on a grid of T times. No I/O and no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from toros.common.config.telescope import Limits
from toros.sky.site import Site
from toros.sky.visibility import airmass, altaz, altitude, moon_separation, sun_altitude

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Horizon = Sequence[tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class PlanTarget:
    """One target as the scheduler sees it.

    Parameters
    ----------
    name : str
        How the plan calls it.
    ra_deg, dec_deg : float
        ICRS position.
    exptime_s, count : float, int
        Exposure time and number of frames that are still wanted.
    filter : str or None
        None where the default filter will do.
    priority : float
        0–10; a target of a higher one outweighs any number of the next lower.
    weight : float
        Within a priority, what a minute on it is worth. Any positive scale.
    not_before, expires : datetime or None
        The block lies between them.
    key : int
        The caller's own identity of the entry, carried along.
    limits : Limits or None
        Its own limits; None where the telescope's hold.
    alerted : datetime or None
        When the alert came that it belongs to: its worth decays from then on.
    last_visit, interval_s : datetime or None, float or None
        When it was last observed, and how long after that it is wanted again.
    """

    name: str
    ra_deg: float
    dec_deg: float
    exptime_s: float
    count: int = 1
    filter: str | None = None
    priority: float = 5.0
    weight: float = 1.0
    not_before: datetime | None = None
    expires: datetime | None = None
    key: int = 0
    limits: Limits | None = None
    alerted: datetime | None = None
    last_visit: datetime | None = None
    interval_s: float | None = None


class Constraint(StrEnum):
    """What can keep a target from being observed, in the order in which it is reported."""

    EXPIRED = "expired"
    TOO_EARLY = "not before"
    SUN = "Sun"
    LOW = "altitude"
    HORIZON = "horizon"
    AIRMASS = "airmass"
    ZENITH = "zenith"
    MOON = "Moon"


@dataclass(frozen=True)
class Visibility:
    """N targets on a grid of T times.

    Attributes
    ----------
    unix : ndarray, shape (T,)
        Times in unix seconds, evenly spaced and ascending.
    altitude_deg, airmass, moon_separation_deg : ndarray, shape (N, T)
    sun_altitude_deg : ndarray, shape (T,)
    allowed : dict of Constraint to bool ndarray, shape (N, T)
        Where each constraint is met.
    """

    unix: Floats
    altitude_deg: Floats
    airmass: Floats
    moon_separation_deg: Floats
    sun_altitude_deg: Floats
    allowed: dict[Constraint, Bools]

    @property
    def observable(self) -> Bools:
        """Where every constraint is met, shape (N, T)."""
        met: Bools = np.logical_and.reduce(list(self.allowed.values()))
        return met


def visibility(
    site: Site,
    unix: Floats,
    targets: Sequence[PlanTarget],
    limits: Limits,
    horizon: Horizon = (),
) -> Visibility:
    """Return where and when `targets` can be observed, on the grid `unix`.

    `horizon` is the mask of what stands around, where there is one.
    """
    ra = np.array([target.ra_deg for target in targets], dtype=float)
    dec = np.array([target.dec_deg for target in targets], dtype=float)
    if horizon:
        height, azimuth = altaz(site, unix, ra, dec)
        free = height >= mask_deg(azimuth, horizon)
    else:
        height = altitude(site, unix, ra, dec)
        free = np.ones_like(height, dtype=np.bool_)
    mass = airmass(height)
    moon = moon_separation(site, unix, ra, dec)
    sun = sun_altitude(site, unix)
    own = [target.limits or limits for target in targets]
    highest_sun = _column([each.max_sun_altitude_deg for each in own])
    earliest = _edge([target.not_before for target in targets], -np.inf)
    latest = _edge([target.expires for target in targets], np.inf)
    return Visibility(
        unix=unix,
        altitude_deg=height,
        airmass=mass,
        moon_separation_deg=moon,
        sun_altitude_deg=sun,
        allowed={
            Constraint.EXPIRED: unix <= latest,
            Constraint.TOO_EARLY: unix >= earliest,
            Constraint.SUN: sun <= highest_sun,
            Constraint.LOW: height >= _column([each.min_altitude_deg for each in own]),
            Constraint.HORIZON: free,
            Constraint.AIRMASS: mass <= _column([each.max_airmass for each in own]),
            Constraint.ZENITH: height <= _column([each.max_altitude_deg for each in own]),
            Constraint.MOON: moon >= _column([each.min_moon_separation_deg for each in own]),
        },
    )


def mask_deg(azim_deg: ArrayLike, horizon: Horizon) -> Floats:
    """Return the altitude of the mask at each azimuth, degrees: straight between its points."""
    azimuths, altitudes = np.array(sorted(horizon), dtype=np.float64).T
    return np.asarray(
        np.interp(np.asarray(azim_deg, dtype=np.float64), azimuths, altitudes, period=360.0),
        dtype=np.float64,
    )


def _edge(moments: Sequence[datetime | None], without: float) -> Floats:
    return _column([without if moment is None else moment.timestamp() for moment in moments])


def _column(values: Sequence[float]) -> Floats:
    """Return one value a target, shape (N, 1)."""
    return np.array(values, dtype=np.float64).reshape(-1, 1)


def why_not(
    seen: Visibility, targets: Sequence[PlanTarget], limits: Limits, indices: NDArray[np.int64]
) -> dict[int, str]:
    """Return, in words, why no block of the targets `indices` fits anywhere on the grid.

    The constraints are taken in their order; the first that leaves no time is the reason.
    """
    reasons: dict[int, str] = {}
    usable = np.ones((indices.size, seen.unix.size), dtype=np.bool_)
    left = indices
    for constraint, mask in seen.allowed.items():
        met = usable & mask[left]
        lost = ~met.any(axis=1)
        best = _best(constraint, seen, left[lost], usable[lost])
        for index, reached in zip(left[lost].tolist(), best.tolist(), strict=True):
            target = targets[index]
            reasons[index] = _words(constraint, target, target.limits or limits, reached)
        left, usable = left[~lost], met[~lost]
    return reasons | dict.fromkeys(left.tolist(), "observable for less time than its frames need")


def _best(
    constraint: Constraint, seen: Visibility, indices: NDArray[np.int64], usable: Bools
) -> Floats:
    """Return how near targets come to meeting `constraint` in the `usable` times."""
    if constraint is Constraint.LOW:
        best = np.where(usable, seen.altitude_deg[indices], -90.0).max(axis=1)
    elif constraint is Constraint.AIRMASS:
        best = np.where(usable, seen.airmass[indices], np.inf).min(axis=1)
    elif constraint is Constraint.MOON:
        best = np.where(usable, seen.moon_separation_deg[indices], 0.0).max(axis=1)
    else:
        best = np.zeros(indices.size)
    return np.asarray(best, dtype=np.float64)


def _words(constraint: Constraint, target: PlanTarget, limits: Limits, best: float) -> str:
    """Return why `constraint` excludes a target that comes as near to it as `best`."""
    words = {
        Constraint.EXPIRED: f"expired at {target.expires:%Y-%m-%d %H:%M} UTC"
        if target.expires
        else "",
        Constraint.TOO_EARLY: f"not before {target.not_before:%Y-%m-%d %H:%M} UTC"
        if target.not_before
        else "",
        Constraint.SUN: f"the Sun stays above {limits.max_sun_altitude_deg:g}°",
        Constraint.LOW: f"altitude at most {best:.1f}° in the time left, "
        f"below {limits.min_altitude_deg:g}°",
        Constraint.HORIZON: "behind the mask of the horizon in all of the time left",
        Constraint.AIRMASS: f"airmass at least {best:.2f} in the time left, "
        f"over {limits.max_airmass:g}",
        Constraint.ZENITH: f"within {90 - limits.max_altitude_deg:g}° of the zenith in all of "
        "the time left",
        Constraint.MOON: f"at most {best:.1f}° from the Moon in the time left, "
        f"within {limits.min_moon_separation_deg:g}°",
    }
    return words[constraint]
