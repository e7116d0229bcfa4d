"""Where targets, the Sun and the Moon stand in the sky of a site, for many times at once.

All functions are airless (no refraction), take unix seconds and ICRS degrees, and give degrees.
Checked against astropy in ``tests/unit/test_sky_visibility.py``: 0.05′ for targets and the Sun,
0.5′ for the Moon.
"""

from __future__ import annotations

import erfa
import numpy as np
from numpy.typing import ArrayLike

from toros.sky.earth import (
    Floats,
    attitude,
    days_of,
    dots,
    earth_motion,
    instants,
    local_frames,
    observer_au,
    unit_vectors,
    with_aberration,
)
from toros.sky.site import Site


def _times(unix: ArrayLike) -> Floats:
    return np.atleast_1d(np.asarray(unix, dtype=np.float64))


def _middle(times: Floats) -> Floats:
    """Return the middle of `times`, as an array of one."""
    return np.array([(times.min() + times.max()) / 2])


def altaz(
    site: Site, unix: ArrayLike, ra_deg: ArrayLike, dec_deg: ArrayLike
) -> tuple[Floats, Floats]:
    """Return the altitude and azimuth of N targets at T times.

    Parameters
    ----------
    site : Site
        The observatory.
    unix : array_like
        T unix seconds.
    ra_deg, dec_deg : array_like
        N targets, ICRS degrees.

    Returns
    -------
    alt_deg, azim_deg : numpy.ndarray
        ``[N, T]`` degrees, azimuth from north through east, 0 ≤ azim < 360.

    Notes
    -----
    Precession and nutation (``erfa.pnm06a``) and the aberration vector are taken once, at the
    middle of the night; the sidereal time (``erfa.gst06``) at each step. J2000 coordinates with
    the textbook sidereal time would be 22′ off.
    """
    times = _times(unix)
    targets = unit_vectors(ra_deg, dec_deg)
    above = np.empty((targets.shape[0], times.size))
    azimuth = np.empty_like(above)
    for chosen in days_of(times):
        local = _local(site, times[chosen], targets)
        above[:, chosen] = np.degrees(np.arcsin(np.clip(local[2], -1, 1)))
        degrees = np.degrees(np.arctan2(local[0], local[1]))
        azimuth[:, chosen] = np.where(degrees < 0.0, degrees + 360.0, degrees)
    return above, azimuth


def altitude(site: Site, unix: ArrayLike, ra_deg: ArrayLike, dec_deg: ArrayLike) -> Floats:
    """Return only the altitude ``[N, T]`` of `altaz`, in a third of the time."""
    times = _times(unix)
    targets = unit_vectors(ra_deg, dec_deg)
    result = np.empty((targets.shape[0], times.size))
    for chosen in days_of(times):
        of_date, frames = _of_date(site, times[chosen], targets)
        result[:, chosen] = np.degrees(np.arcsin(np.clip(dots(of_date, frames[:, 2]), -1, 1)))
    return result


def _of_date(site: Site, times: Floats, targets: Floats) -> tuple[Floats, Floats]:
    """Return apparent unit vectors ``[N, 3]`` and local frames ``[T, 3, 3]`` of one night."""
    middle = _middle(times)
    matrix, sidereal = attitude(instants(times), instants(middle[0]))
    of_date: Floats = with_aberration(targets, earth_motion(middle)[1]) @ matrix.T
    return of_date, local_frames(site, sidereal)


def _local(site: Site, times: Floats, targets: Floats) -> Floats:
    """Return ``[3, N, T]``: east, north and up components of N targets at T times of one night."""
    of_date, frames = _of_date(site, times, targets)
    return np.stack([dots(of_date, frames[:, row]) for row in range(3)])


def hour_angle(site: Site, unix: ArrayLike, ra_deg: ArrayLike, dec_deg: ArrayLike) -> Floats:
    """Return the hour angle ``[N, T]`` of N targets at T times, −180 ≤ hour angle < 180 degrees."""
    times = _times(unix)
    targets = unit_vectors(ra_deg, dec_deg)
    angle = np.empty((targets.shape[0], times.size))
    for chosen in days_of(times):
        middle = _middle(times[chosen])
        matrix, sidereal = attitude(instants(times[chosen]), instants(middle[0]))
        ra_of_date, _ = erfa.c2s(with_aberration(targets, earth_motion(middle)[1]) @ matrix.T)
        local = np.degrees(sidereal)[np.newaxis] + site.longitude_deg
        angle[:, chosen] = (local - np.degrees(ra_of_date)[:, np.newaxis] + 180.0) % 360.0 - 180.0
    return angle


def airmass(alt_deg: ArrayLike) -> Floats:
    """Return the airmass at an airless altitude; infinite below the horizon.

    Pickering (2002), *DIO* 12, 3: good to the horizon and equal to sec z high up.
    """
    given = np.asarray(alt_deg, dtype=np.float64)
    up = given > 0.0
    seen = np.where(up, given, 90.0)
    mass = 1.0 / np.sin(np.radians(seen + 244.0 / (165.0 + 47.0 * seen**1.1)))
    result: Floats = np.where(up, np.maximum(mass, 1.0), np.inf)
    return result


def sun_altitude(site: Site, unix: ArrayLike) -> Floats:
    """Return the altitude ``[T]`` of the Sun's centre."""
    times = _times(unix)
    above = np.empty(times.size)
    for chosen in days_of(times):
        place, velocity = earth_motion(times[chosen])
        above[chosen] = _body_altitude(site, times[chosen], -place, velocity)
    return above


def moon_altitude(site: Site, unix: ArrayLike) -> Floats:
    """Return the altitude ``[T]`` of the Moon's centre, parallax included."""
    times = _times(unix)
    above = np.empty(times.size)
    for chosen in days_of(times):
        moments = instants(times[chosen])
        moon = erfa.moon98(moments.tt1, moments.tt2)["p"]
        above[chosen] = _body_altitude(site, times[chosen], moon)
    return above


def _body_altitude(
    site: Site, times: Floats, geocentric_au: Floats, velocity_au_day: Floats | None = None
) -> Floats:
    """Return the topocentric altitude ``[T]`` of a body of the solar system at ``[T, 3]`` GCRS.

    With the Earth's velocity, its aberration counts.
    """
    moments = instants(times)
    matrix, sidereal = attitude(moments, instants((times.min() + times.max()) / 2))
    place = geocentric_au @ matrix.T - observer_au(site, sidereal)
    direction = place / np.linalg.norm(place, axis=-1, keepdims=True)
    if velocity_au_day is not None:
        icrs = direction @ matrix
        direction = with_aberration(icrs, velocity_au_day) @ matrix.T
    up = local_frames(site, sidereal)[:, 2]
    above: Floats = np.degrees(np.arcsin(np.sum(direction * up, axis=-1)))
    return above


def moon_separation(site: Site, unix: ArrayLike, ra_deg: ArrayLike, dec_deg: ArrayLike) -> Floats:
    """Return the angle ``[N, T]`` between N targets and the Moon as seen from the site."""
    times = _times(unix)
    moon = np.empty((times.size, 3))
    for chosen in days_of(times):
        moments = instants(times[chosen])
        matrix, sidereal = attitude(
            moments, instants((times[chosen].min() + times[chosen].max()) / 2)
        )
        observer = observer_au(site, sidereal) @ matrix
        moon[chosen] = erfa.moon98(moments.tt1, moments.tt2)["p"] - observer
    return _separation(unit_vectors(ra_deg, dec_deg), moon)


def sun_separation(site: Site, unix: ArrayLike, ra_deg: ArrayLike, dec_deg: ArrayLike) -> Floats:
    """Return the angle ``[N, T]`` between N targets and the Sun (parallax, 9″, left out)."""
    del site
    place, _ = earth_motion(_times(unix))
    return _separation(unit_vectors(ra_deg, dec_deg), -place)


def moon_illumination(unix: ArrayLike) -> Floats:
    """Return the illuminated fraction ``[T]`` of the Moon's disc, 0 new to 1 full.

    Meeus, *Astronomical Algorithms* (1998), ch. 48, from the geocentric vectors of Sun and Moon.
    """
    times = _times(unix)
    moments = instants(times)
    moon = erfa.moon98(moments.tt1, moments.tt2)["p"]
    to_sun, to_earth = -earth_motion(times)[0] - moon, -moon
    lengths = np.linalg.norm(to_sun, axis=-1) * np.linalg.norm(to_earth, axis=-1)
    cosine = np.sum(to_sun * to_earth, axis=-1) / lengths
    lit: Floats = (1.0 + cosine) / 2.0
    return lit


def _separation(targets: Floats, bodies: Floats) -> Floats:
    directions = bodies / np.linalg.norm(bodies, axis=-1, keepdims=True)
    cosine = dots(targets, directions)
    separation: Floats = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
    return separation
