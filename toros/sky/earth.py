"""The Earth's time and attitude: from unix seconds to the frame of a site.

Everything goes straight through ERFA (IAU 2006/2000A), vectorised. Earth orientation comes from
the tables that the package ``astropy-iers-data`` installs: no network is ever asked. Polar motion,
diurnal aberration and light deflection (each below 1″ here) are left out.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import erfa
import numpy as np
from numpy.typing import ArrayLike, NDArray

from toros.sky.site import Site

Floats: TypeAlias = NDArray[np.float64]

_UNIX_EPOCH_JD = 2440587.5
_DAY_S = 86400.0
_HOUR_S = 3600.0
_MJD_ZERO_JD = 2400000.5


@functools.cache
def _earth_orientation() -> tuple[Floats, Floats]:
    """Return the installed table of UT1 − UTC: MJD and seconds."""
    from astropy.utils import iers

    table = iers.IERS_A.open(iers.IERS_A_FILE)
    mjd = np.asarray(table["MJD"].value, dtype=np.float64)
    offset_s = np.asarray(table["UT1_UTC"].to_value("s"), dtype=np.float64)
    known = np.isfinite(offset_s)
    return mjd[known], offset_s[known]


def ut1_minus_utc_s(mjd_utc: Floats) -> Floats:
    """Return UT1 − UTC in seconds; beyond the table, its nearest value.

    UT1 − UTC jumps by 1 s at a leap second, so UT1 − TAI would be the smooth thing to
    interpolate; here the step is undone by interpolating each day on its own side.
    """
    table_mjd, table_s = _earth_orientation()
    low = np.clip(np.searchsorted(table_mjd, mjd_utc, side="right") - 1, 0, table_mjd.size - 2)
    first, second = table_s[low], table_s[low + 1]
    second = second - np.round(second - first)
    fraction = np.clip((mjd_utc - table_mjd[low]) / (table_mjd[low + 1] - table_mjd[low]), 0, 1)
    offset: Floats = first + (second - first) * fraction
    return offset


@dataclass(frozen=True)
class Instants:
    """Moments as the two-part Julian dates that ERFA takes, each an array of one shape."""

    utc2: Floats
    tt1: Floats
    tt2: Floats
    ut11: Floats
    ut12: Floats


def instants(unix: ArrayLike) -> Instants:
    """Return `unix` (seconds, any shape) as TT and UT1."""
    days = np.asarray(unix, dtype=np.float64) / _DAY_S
    whole = np.floor(days)
    utc1 = _UNIX_EPOCH_JD + whole
    utc2 = days - whole
    # The ufuncs return their status instead of warning of years beyond ERFA's leap-second table:
    # the prediction "no new leap second" is what everybody uses.
    tai1, tai2, _ = erfa.ufunc.utctai(utc1, utc2)
    tt1, tt2, _ = erfa.ufunc.taitt(tai1, tai2)
    ut11, ut12, _ = erfa.ufunc.utcut1(utc1, utc2, ut1_minus_utc_s(utc1 - _MJD_ZERO_JD + utc2))
    return Instants(utc2, tt1, tt2, ut11, ut12)


def unit_vectors(longitude_deg: ArrayLike, latitude_deg: ArrayLike) -> Floats:
    """Return unit vectors ``[N, 3]`` for N directions in spherical degrees."""
    vectors: Floats = erfa.s2c(
        np.radians(np.atleast_1d(np.asarray(longitude_deg, dtype=np.float64))),
        np.radians(np.atleast_1d(np.asarray(latitude_deg, dtype=np.float64))),
    )
    return vectors


def dots(first: Floats, second: Floats) -> Floats:
    """Return the scalar products ``[N, T]`` of vectors ``[N, 3]`` and ``[T, 3]``.

    Written out: for three components the threads of a BLAS cost more than they do.
    """
    x, y, z = first.T[:, :, None]
    products: Floats = x * second[:, 0]
    products += y * second[:, 1]
    products += z * second[:, 2]
    return products


def with_aberration(vectors: Floats, velocity_au_day: Floats) -> Floats:
    """Return the apparent direction of ICRS unit vectors for the moving Earth.

    First order in v/c (the second is 0.001″). `velocity_au_day` broadcasts against `vectors`.
    """
    speed_of_light_au_day = erfa.DAYSEC / erfa.AULT
    moved = vectors + velocity_au_day / speed_of_light_au_day
    apparent: Floats = moved / np.linalg.norm(moved, axis=-1, keepdims=True)
    return apparent


def earth_motion(unix: Floats) -> tuple[Floats, Floats]:
    """Return the Earth's heliocentric place and barycentric velocity, au and au/day.

    ``erfa.epv00`` is a long series; the Earth's path is so smooth that it is summed once an hour
    and taken as straight between (an error of 0.02″ of the Sun's place).

    Parameters
    ----------
    unix : ndarray, shape (T,)

    Returns
    -------
    place, velocity : ndarray, shape (T, 3)
    """
    hours = np.floor(unix / _HOUR_S)
    nodes, member = np.unique(hours, return_inverse=True)
    ends = np.unique(np.concatenate([nodes, nodes + 1]))
    moments = instants(ends * _HOUR_S)
    heliocentric, barycentric = erfa.epv00(moments.tt1, moments.tt2)
    first = np.searchsorted(ends, nodes)[member]
    fraction = (unix / _HOUR_S - hours)[:, None]

    def between(values: Floats) -> Floats:
        straight: Floats = values[first] * (1.0 - fraction) + values[first + 1] * fraction
        return straight

    return between(heliocentric["p"]), between(barycentric["v"])


def attitude(moments: Instants, middle: Instants) -> tuple[Floats, Floats]:
    """Return the matrix from GCRS to the true equator, and the Greenwich sidereal time.

    Parameters
    ----------
    moments : Instants
        T moments, at which the sidereal time (radians, ``[T]``) is wanted.
    middle : Instants
        One moment, at which precession and nutation are taken: over a night they move by 0.2″.
    """
    matrix: Floats = erfa.pnm06a(middle.tt1, middle.tt2)
    sidereal: Floats = erfa.gst06(moments.ut11, moments.ut12, moments.tt1, moments.tt2, matrix)
    return matrix, sidereal


def local_frames(site: Site, sidereal_rad: Floats) -> Floats:
    """Return ``[T, 3, 3]``: rows are east, north and up of `site` in the true equatorial frame."""
    angle = sidereal_rad + np.radians(site.longitude_deg)
    latitude = np.radians(site.latitude_deg)
    sin, cos, zero = np.sin(angle), np.cos(angle), np.zeros_like(angle)
    east = np.stack([-sin, cos, zero], axis=-1)
    north = np.stack(
        [-np.sin(latitude) * cos, -np.sin(latitude) * sin, zero + np.cos(latitude)], axis=-1
    )
    up = np.stack(
        [np.cos(latitude) * cos, np.cos(latitude) * sin, zero + np.sin(latitude)], axis=-1
    )
    frames: Floats = np.stack([east, north, up], axis=-2)
    return frames


def observer_au(site: Site, sidereal_rad: Floats) -> Floats:
    """Return ``[T, 3]``: the place of `site` from the geocentre, true equatorial frame, au."""
    fixed = erfa.gd2gc(
        1, np.radians(site.longitude_deg), np.radians(site.latitude_deg), site.elevation_m
    )
    sin, cos = np.sin(sidereal_rad), np.cos(sidereal_rad)
    turned = np.stack(
        [
            cos * fixed[0] - sin * fixed[1],
            sin * fixed[0] + cos * fixed[1],
            np.broadcast_to(fixed[2], sidereal_rad.shape),
        ],
        axis=-1,
    )
    place: Floats = turned / erfa.DAU
    return place


def days_of(unix: Floats) -> Sequence[NDArray[np.intp]]:
    """Return the indices of `unix` in groups that span at most a day and a half, in any order.

    One attitude serves a whole night; a longer array is cut so that precession stays small.
    """
    if unix.size == 0:
        return []
    if np.ptp(unix) <= 1.5 * _DAY_S:
        return [np.arange(unix.size)]
    day = np.floor(unix / _DAY_S)
    return [np.flatnonzero(day == value) for value in np.unique(day)]
