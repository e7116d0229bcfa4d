"""Where things stand in the sky of the site, by ERFA (the routines behind astropy).

Refraction is left out: the simulated mount and dome live in a vacuum, so that what a client
computes without refraction agrees with what the devices report.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import erfa
import numpy as np
from astropy.coordinates import get_body, get_sun
from astropy.time import Time
from astropy.utils import iers
from astropy_iers_data import IERS_A_FILE  # type: ignore[import-untyped]

JD_UNIX_EPOCH = 2440587.5
DAY_S = 86400.0


@lru_cache(maxsize=1)
def _iers_table() -> iers.IERS:
    return iers.IERS_A.open(IERS_A_FILE)


@lru_cache(maxsize=64)
def _ut1_utc(day: int) -> float:
    """Return UT1 - UTC in seconds for a whole unix day, zero (±0.9 s) outside the table."""
    value, status = _iers_table().ut1_utc(JD_UNIX_EPOCH + day, 0.0, return_status=True)
    known = status not in (iers.TIME_BEFORE_IERS_RANGE, iers.TIME_BEYOND_IERS_RANGE)
    return float(value.to_value("s")) if known else 0.0


@dataclass(frozen=True)
class Observer:
    """A place on Earth.

    Parameters
    ----------
    latitude_deg, longitude_deg : float
        Geodetic, east positive.
    elevation_m : float
        Above the ellipsoid.
    """

    latitude_deg: float
    longitude_deg: float
    elevation_m: float

    def _place(self, unix: float) -> tuple[float, float, float, float, float, float]:
        days = unix / DAY_S
        return (
            JD_UNIX_EPOCH,
            days,
            _ut1_utc(math.floor(days)),
            math.radians(self.longitude_deg),
            math.radians(self.latitude_deg),
            self.elevation_m,
        )

    def altaz(self, unix: float, ra_deg: float, dec_deg: float) -> tuple[float, float]:
        """Return altitude and azimuth (north through east), degrees, of an ICRS direction."""
        place = self._place(unix)
        azim, zenith, *_ = erfa.atco13(
            math.radians(ra_deg),
            math.radians(dec_deg),
            *(0.0, 0.0, 0.0, 0.0),  # proper motions, parallax, radial velocity
            *place,
            *(0.0, 0.0),  # polar motion: under 0.5″
            *(0.0, 0.0, 0.0, 0.5),  # pressure (none: no refraction), temperature, humidity, µm
        )
        return 90.0 - math.degrees(zenith), math.degrees(azim) % 360.0

    def radec(self, unix: float, alt_deg: float, azim_deg: float) -> tuple[float, float]:
        """Return the ICRS right ascension and declination, degrees, of a horizontal direction."""
        place = self._place(unix)
        ra, dec = erfa.atoc13(
            "A",
            math.radians(azim_deg),
            math.radians(90.0 - alt_deg),
            *place,
            *(0.0, 0.0),
            *(0.0, 0.0, 0.0, 0.5),
        )
        return math.degrees(ra) % 360.0, math.degrees(dec)

    def sidereal_time_deg(self, unix: float) -> float:
        """Return the local apparent sidereal time, degrees."""
        jd, days, ut1_utc, longitude, *_ = self._place(unix)
        # TT = UTC + 69.2 s today; a second of TT moves the nutation by nothing visible.
        greenwich = erfa.gst06a(jd, days + ut1_utc / DAY_S, jd, days + 69.2 / DAY_S)
        return math.degrees(float(greenwich) + longitude) % 360.0

    def sun_altitude(self, unix: float) -> float:
        """Return the altitude of the Sun, degrees."""
        sun = get_sun(Time(unix, format="unix"))
        return self.altaz(unix, float(sun.ra.deg), float(sun.dec.deg))[0]

    def moon(self, unix: float) -> Moon:
        """Return where the Moon is (to about a degree: its parallax is left out) and its phase."""
        moment = Time(unix, format="unix")
        moon, sun = get_body("moon", moment), get_sun(moment)
        ra_deg, dec_deg = float(moon.ra.deg), float(moon.dec.deg)
        elongation = separation_deg(ra_deg, dec_deg, float(sun.ra.deg), float(sun.dec.deg))
        alt_deg, _ = self.altaz(unix, ra_deg, dec_deg)
        return Moon(ra_deg, dec_deg, alt_deg, phase_angle_deg=180.0 - elongation)


@dataclass(frozen=True)
class Moon:
    """The Moon at one moment; a phase angle of zero is full."""

    ra_deg: float
    dec_deg: float
    alt_deg: float
    phase_angle_deg: float


def unit_vector(longitude_deg: float, latitude_deg: float) -> np.ndarray:
    """Return the unit vector of a direction."""
    longitude, latitude = math.radians(longitude_deg), math.radians(latitude_deg)
    return np.array(
        [
            math.cos(latitude) * math.cos(longitude),
            math.cos(latitude) * math.sin(longitude),
            math.sin(latitude),
        ]
    )


def separation_deg(lon1_deg: float, lat1_deg: float, lon2_deg: float, lat2_deg: float) -> float:
    """Return the angle between two directions, degrees."""
    first, second = unit_vector(lon1_deg, lat1_deg), unit_vector(lon2_deg, lat2_deg)
    return math.degrees(
        math.atan2(float(np.linalg.norm(np.cross(first, second))), float(first @ second))
    )


def between(
    first: tuple[float, float], last: tuple[float, float], fraction: float
) -> tuple[float, float]:
    """Return the direction part of the way along the great circle; alt, azim in degrees."""
    start, end = unit_vector(first[1], first[0]), unit_vector(last[1], last[0])
    angle = math.radians(separation_deg(first[1], first[0], last[1], last[0]))
    if angle < 1e-9:
        return last
    point = (math.sin((1 - fraction) * angle) * start + math.sin(fraction * angle) * end) / (
        math.sin(angle)
    )
    altitude = math.degrees(math.atan2(point[2], math.hypot(point[0], point[1])))
    return altitude, math.degrees(math.atan2(point[1], point[0])) % 360.0


def airmass(alt_deg: float) -> float:
    """Return the airmass (Kasten & Young 1989), at most that of the horizon."""
    alt = max(alt_deg, 0.0)
    return float(1.0 / (math.sin(math.radians(alt)) + 0.50572 * (alt + 6.07995) ** -1.6364))
