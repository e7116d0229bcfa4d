"""Which targets can be observed, which one is best, and why each other is left out.

Pure functions of arrays: N targets on a grid of T times. No I/O and no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from toros.common.config.telescope import Limits
from toros.sky.site import Site
from toros.sky.visibility import airmass, altaz, moon_separation, sun_altitude

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


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
        0–10; a greater one always goes first.
    weight : float
        Within a priority, the greater goes first. Any positive scale.
    not_before, expires : datetime or None
        The block lies between them.
    key : int
        The caller's own identity of the entry, carried along.
    limits : Limits or None
        Its own limits; None where the telescope's hold.
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


class Constraint(StrEnum):
    """What can keep a target from being observed, in the order in which it is reported."""

    EXPIRED = "expired"
    TOO_EARLY = "not before"
    SUN = "Sun"
    LOW = "altitude"
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
    site: Site, unix: Floats, targets: Sequence[PlanTarget], limits: Limits
) -> Visibility:
    """Return where and when `targets` can be observed, on the grid `unix`."""
    ra = np.array([target.ra_deg for target in targets], dtype=float)
    dec = np.array([target.dec_deg for target in targets], dtype=float)
    altitude, _ = altaz(site, unix, ra, dec)
    mass = airmass(altitude)
    moon = moon_separation(site, unix, ra, dec)
    sun = sun_altitude(site, unix)
    own = [target.limits or limits for target in targets]
    highest_sun = _column([each.max_sun_altitude_deg for each in own])
    earliest = _edge([target.not_before for target in targets], -np.inf)
    latest = _edge([target.expires for target in targets], np.inf)
    return Visibility(
        unix=unix,
        altitude_deg=altitude,
        airmass=mass,
        moon_separation_deg=moon,
        sun_altitude_deg=sun,
        allowed={
            Constraint.EXPIRED: unix <= latest,
            Constraint.TOO_EARLY: unix >= earliest,
            Constraint.SUN: sun <= highest_sun,
            Constraint.LOW: altitude >= _column([each.min_altitude_deg for each in own]),
            Constraint.AIRMASS: mass <= _column([each.max_airmass for each in own]),
            Constraint.ZENITH: altitude <= _column([each.max_altitude_deg for each in own]),
            Constraint.MOON: moon >= _column([each.min_moon_separation_deg for each in own]),
        },
    )


def _edge(moments: Sequence[datetime | None], without: float) -> Floats:
    return _column([without if moment is None else moment.timestamp() for moment in moments])


def _column(values: Sequence[float]) -> Floats:
    """Return one value a target, shape (N, 1)."""
    return np.array(values, dtype=np.float64).reshape(-1, 1)


def steps_of(durations_s: Floats, step_s: float) -> NDArray[np.int64]:
    """Return how many steps of the grid a block of each duration covers, at least one."""
    return np.maximum(np.ceil(durations_s / step_s - 1e-9).astype(np.int64), 1)


def possible_starts(observable: Bools, steps: NDArray[np.int64]) -> Bools:
    """Return at which times of the grid a block can begin that holds to its end.

    Parameters
    ----------
    observable : ndarray, shape (N, T)
    steps : ndarray, shape (N,)
        Length of each block in steps: times t, t + 1, …, t + steps must all be observable.

    Returns
    -------
    ndarray of bool, shape (N, T)
    """
    total = observable.shape[1]
    counts = np.zeros((observable.shape[0], total + 1), dtype=np.int64)
    np.cumsum(observable, axis=1, out=counts[:, 1:])
    first = np.arange(total)
    last = first + steps[:, None] + 1
    inside = last <= total
    held = np.take_along_axis(counts, np.minimum(last, total), axis=1) - counts[:, :-1]
    return np.asarray(inside & (held == steps[:, None] + 1), dtype=np.bool_)


def merit(targets: Sequence[PlanTarget]) -> Floats:
    """Return the merit of each target, shape (N,): its priority, then its weight.

    The weights add at most 1, so that they decide between targets of the same (whole) priority.
    """
    weights = np.array([max(target.weight, 0.0) for target in targets], dtype=float)
    largest = float(weights.max(initial=0.0))
    scaled = weights / largest if largest > 0 else weights
    priorities = np.array([target.priority for target in targets], dtype=float)
    return np.asarray(priorities + scaled, dtype=np.float64)


def order_of_choice(targets: Sequence[PlanTarget], starts: Bools) -> NDArray[np.int64]:
    """Return the indices of `targets`, best first: by merit, then what sets soonest, then name.

    Parameters
    ----------
    targets : sequence of PlanTarget
    starts : ndarray, shape (N, T)
        From `possible_starts`.
    """
    total = starts.shape[1]
    last = np.where(starts.any(axis=1), total - 1 - np.argmax(starts[:, ::-1], axis=1), total)
    names = np.array([target.name for target in targets], dtype=object)
    merits = merit(targets)
    ranked = sorted(range(len(targets)), key=lambda i: (-merits[i], last[i], names[i]))
    return np.array(ranked, dtype=np.int64)


def why_not(seen: Visibility, index: int, target: PlanTarget, limits: Limits) -> str:
    """Return, in words, why no block of target `index` fits anywhere on the grid."""
    limits = target.limits or limits
    if target.expires is not None and target.expires.timestamp() <= seen.unix[0]:
        return f"expired at {target.expires:%Y-%m-%d %H:%M} UTC"
    if target.not_before is not None and target.not_before.timestamp() >= seen.unix[-1]:
        return f"not before {target.not_before:%Y-%m-%d %H:%M} UTC"
    if not seen.allowed[Constraint.SUN][index].any():
        return f"the Sun stays above {limits.max_sun_altitude_deg:g}°"
    usable = np.ones(seen.unix.size, dtype=np.bool_)
    for constraint, mask in seen.allowed.items():
        met = usable & mask[index]
        if not met.any():
            return _words(constraint, seen, index, usable, limits)
        usable = met
    return "observable for less time than its frames need"


def _words(
    constraint: Constraint, seen: Visibility, index: int, usable: Bools, limits: Limits
) -> str:
    """Return why `constraint` excludes the target in the time that the others leave."""
    altitude = seen.altitude_deg[index][usable]
    if constraint is Constraint.LOW:
        return (
            f"altitude at most {altitude.max():.1f}° in the time left, "
            f"below {limits.min_altitude_deg:g}°"
        )
    if constraint is Constraint.AIRMASS:
        least = seen.airmass[index][usable].min()
        return f"airmass at least {least:.2f} in the time left, over {limits.max_airmass:g}"
    if constraint is Constraint.ZENITH:
        return f"within {90 - limits.max_altitude_deg:g}° of the zenith in all of the time left"
    if constraint is Constraint.MOON:
        widest = seen.moon_separation_deg[index][usable].max()
        return (
            f"at most {widest:.1f}° from the Moon in the time left, "
            f"within {limits.min_moon_separation_deg:g}°"
        )
    return "expires or begins outside the dark hours"
