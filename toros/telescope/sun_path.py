"""The way of a slew past the Sun. Pure.

How a mount goes from one place to another is its own affair: along the great circle, or with both
axes at once, be they equatorial or horizontal. All of these ways must keep clear of the Sun. What
stands near it already may go away from it, but not nearer.
"""

from __future__ import annotations

import numpy as np

from toros.common.config.telescope import TelescopeSettings
from toros.common.errors import NotObservable
from toros.sky.earth import Floats, unit_vectors
from toros.sky.site import Site
from toros.sky.visibility import altaz, sun_separation
from toros.telescope.pointing import equatorial_of, sun_altitude_at

#: From a mountain the Sun's disc is seen down to this: refraction, and the dip of the horizon.
SUN_SEEN_DEG = -3.0
#: A mount reads where it is less finely than the Sun's place is known here.
ROOM_DEG = 0.5
_STEP_DEG = 1.0

Place = tuple[float, float]


def check_way(
    site: Site, unix: float, start: Place, end: Place, settings: TelescopeSettings
) -> None:
    """Refuse a slew that would pass the Sun within the cone, while the Sun is up.

    Parameters
    ----------
    site : Site
    unix : float
        When it begins.
    start, end : tuple of float
        ICRS right ascension and declination, degrees.
    settings : TelescopeSettings

    Raises
    ------
    NotObservable
        Naming a place by way of which it can go, if there is one.
    """
    if sun_altitude_at(site, unix) <= SUN_SEEN_DEG:
        return
    passed, allowed = _nearest(site, unix, start, end, settings.sun_cone_deg)
    if passed >= allowed:
        return
    by_way_of = _detour(site, unix, start, end, settings)
    hint = (
        "There is no way around it now."
        if by_way_of is None
        else f"Go by way of RA {by_way_of[0]:.1f}°, Dec {by_way_of[1]:+.1f}°."
    )
    raise NotObservable(
        f"On the way to RA {end[0]:.4f}°, Dec {end[1]:.4f}° it may pass the Sun at "
        f"{passed:.1f}°, within {settings.sun_cone_deg:g}°. {hint}"
    )


def _nearest(
    site: Site, unix: float, start: Place, end: Place, cone_deg: float
) -> tuple[float, float]:
    """Return the least angle to the Sun on any of the ways, and the least that is allowed."""
    ra, dec = np.concatenate([way(site, unix, start, end) for way in WAYS], axis=1)
    angles = sun_separation(site, np.array([unix]), [*ra, start[0]], [*dec, start[1]])[:, 0]
    return float(angles[:-1].min()), float(min(cone_deg, angles[-1])) - ROOM_DEG


def _detour(
    site: Site, unix: float, start: Place, end: Place, settings: TelescopeSettings
) -> Place | None:
    """Return a place high up by way of which both parts of a slew are clear; None if none is."""
    lowest = max(settings.horizon_deg + 10.0, 30.0)
    for altitude in np.arange(80.0, lowest - 1.0, -10.0):
        for azimuth in np.arange(0.0, 360.0, 20.0):
            ra, dec = equatorial_of(site, unix, altitude, azimuth)
            place = (float(ra), float(dec))
            legs = ((start, place), (place, end))
            found = [_nearest(site, unix, *leg, settings.sun_cone_deg) for leg in legs]
            far = sun_separation(site, np.array([unix]), [place[0]], [place[1]])[0, 0]
            if far > settings.sun_cone_deg and all(near >= least for near, least in found):
                return place
    return None


def _great_circle(site: Site, unix: float, start: Place, end: Place) -> Floats:
    del site, unix
    first, last = unit_vectors([start[0], end[0]], [start[1], end[1]])
    angle = float(np.arccos(np.clip(first @ last, -1.0, 1.0)))
    if angle in (0.0, np.pi):  # nowhere to go, or no circle that is the one
        return np.array([start, end]).T
    along = np.linspace(0.0, 1.0, int(np.degrees(angle) / _STEP_DEG) + 2)[:, None]
    vectors = np.sin((1 - along) * angle) * first + np.sin(along * angle) * last
    vectors /= np.sin(angle)
    ra = np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0]))
    return np.stack([ra, np.degrees(np.arcsin(np.clip(vectors[:, 2], -1.0, 1.0)))])


def _by_equatorial_axes(site: Site, unix: float, start: Place, end: Place) -> Floats:
    del site, unix
    return _by_axes(start, end)


def _by_horizontal_axes(site: Site, unix: float, start: Place, end: Place) -> Floats:
    altitude, azimuth = altaz(site, np.array([unix]), [start[0], end[0]], [start[1], end[1]])
    first, last = zip(azimuth[:, 0].tolist(), altitude[:, 0].tolist(), strict=True)
    azimuths, altitudes = _by_axes((first[0], first[1]), (last[0], last[1]))
    return np.array(equatorial_of(site, unix, altitudes, azimuths))


def _by_axes(start: Place, end: Place) -> Floats:
    """Return both axes on their way at one pace, the first the short way round."""
    turn = (end[0] - start[0] + 180.0) % 360.0 - 180.0
    lift = end[1] - start[1]
    gone = np.linspace(0.0, 1.0, int(max(abs(turn), abs(lift)) / _STEP_DEG) + 2)
    gone = gone * max(abs(turn), abs(lift))
    around = start[0] + np.sign(turn) * np.minimum(gone, abs(turn))
    return np.stack([around % 360.0, start[1] + np.sign(lift) * np.minimum(gone, abs(lift))])


WAYS = (_great_circle, _by_equatorial_axes, _by_horizontal_axes)
