"""Where the telescope may point, and where the flat field is. Pure."""

from __future__ import annotations

from datetime import datetime

import numpy as np
from numpy.typing import ArrayLike

from toros.common.config.telescope import Limits, TelescopeSettings
from toros.common.errors import NotObservable
from toros.sky.earth import Floats
from toros.sky.site import Site
from toros.sky.visibility import (
    airmass,
    altaz,
    hour_angle,
    moon_separation,
    sun_altitude,
    sun_separation,
)
from toros.telescope.scheduler import mask_deg

# The Sun's glare matters until it is well down.
SUN_HARMLESS_DEG = -6.0


def sun_altitude_at(site: Site, unix: float) -> float:
    """Return the Sun's altitude in degrees."""
    return float(sun_altitude(site, np.array([unix]))[0])


def altaz_at(site: Site, unix: float, ra_deg: float, dec_deg: float) -> tuple[float, float]:
    """Return altitude and azimuth in degrees of one ICRS position."""
    altitude, azimuth = altaz(site, np.array([unix]), [ra_deg], [dec_deg])
    return float(altitude[0, 0]), float(azimuth[0, 0])


def separation_deg(ra1_deg: float, dec1_deg: float, ra2_deg: float, dec2_deg: float) -> float:
    """Return the angle between two positions (Vincenty's formula: exact at all angles)."""
    ra, dec1, dec2 = np.radians([ra2_deg - ra1_deg, dec1_deg, dec2_deg])
    across = np.cos(dec2) * np.sin(ra)
    along = np.cos(dec1) * np.sin(dec2) - np.sin(dec1) * np.cos(dec2) * np.cos(ra)
    inner = np.sin(dec1) * np.sin(dec2) + np.cos(dec1) * np.cos(dec2) * np.cos(ra)
    return float(np.degrees(np.arctan2(np.hypot(across, along), inner)))


def azimuth_difference_deg(first_deg: float, second_deg: float) -> float:
    """Return the angle between two azimuths, 0–180 degrees."""
    return abs((first_deg - second_deg + 180.0) % 360.0 - 180.0)


def check_pointing(
    site: Site, unix: float, ra_deg: float, dec_deg: float, settings: TelescopeSettings
) -> None:
    """Refuse a slew below the horizon limit or near the Sun, whoever asks for it.

    Raises
    ------
    NotObservable
        Saying which limit it would break.
    """
    altitude, azimuth = altaz_at(site, unix, ra_deg, dec_deg)
    horizon = horizon_at(azimuth, settings)
    if altitude < horizon:
        raise NotObservable(
            f"RA {ra_deg:.4f}°, Dec {dec_deg:.4f}° is at altitude {altitude:.1f}° now, below the "
            f"telescope's horizon of {horizon:g}°."
        )
    near = float(sun_separation(site, np.array([unix]), [ra_deg], [dec_deg])[0, 0])
    if near < settings.sun_cone_deg and sun_altitude_at(site, unix) > SUN_HARMLESS_DEG:
        raise NotObservable(
            f"RA {ra_deg:.4f}°, Dec {dec_deg:.4f}° is {near:.1f}° from the Sun, within "
            f"{settings.sun_cone_deg:g}°."
        )


def horizon_at(azim_deg: float, settings: TelescopeSettings) -> float:
    """Return the lowest altitude at an azimuth, degrees: the mask, straight between its points."""
    if not settings.horizon:
        return settings.horizon_deg
    return max(float(mask_deg(azim_deg, settings.horizon)), settings.horizon_deg)


def why_not_now(
    site: Site,
    start_unix: float,
    end_unix: float,
    ra_deg: float,
    dec_deg: float,
    limits: Limits,
    expires: datetime | None = None,
) -> str:
    """Return which limit an exposure between two times would break; empty if none."""
    if expires is not None and end_unix > expires.timestamp():
        return f"it expires at {expires:%H:%M:%S} UTC"
    times = np.array([start_unix, end_unix])
    altitude = altaz(site, times, [ra_deg], [dec_deg])[0][0]
    moon = moon_separation(site, times, [ra_deg], [dec_deg]).min()
    tests = (
        (
            altitude.min() < limits.min_altitude_deg,
            f"altitude falls to {altitude.min():.1f}°, below {limits.min_altitude_deg:g}°",
        ),
        (
            altitude.max() > limits.max_altitude_deg,
            f"altitude rises to {altitude.max():.1f}°, over {limits.max_altitude_deg:g}°",
        ),
        (
            airmass(altitude).max() > limits.max_airmass,
            f"airmass rises over {limits.max_airmass:g}",
        ),
        (
            sun_altitude(site, times).max() > limits.max_sun_altitude_deg,
            f"the Sun is above {limits.max_sun_altitude_deg:g}°",
        ),
        (
            moon < limits.min_moon_separation_deg,
            f"{moon:.1f}° from the Moon, within {limits.min_moon_separation_deg:g}°",
        ),
    )
    return next((why for broken, why in tests if broken), "")


def flat_field(site: Site, unix: float, altitude_deg: float) -> tuple[float, float]:
    """Return the ICRS position, opposite the Sun in azimuth, where twilight flats are taken."""
    ra, dec = equatorial_of(site, unix, altitude_deg, _sun_azimuth(site, unix) + 180.0)
    return float(ra), float(dec)


def equatorial_of(
    site: Site, unix: float, altitude_deg: ArrayLike, azim_deg: ArrayLike
) -> tuple[Floats, Floats]:
    """Return right ascension and declination of places in the local sky, in the arrays' shape.

    Equatorial coordinates of date are returned as ICRS: 0.2° do not matter to a flat.
    """
    hour = hour_angle(site, np.array([unix]), [0.0], [0.0])[0, 0]
    latitude, altitude = np.radians(site.latitude_deg), np.radians(np.asarray(altitude_deg))
    azimuth = np.radians(np.asarray(azim_deg))
    sin_dec = np.sin(altitude) * np.sin(latitude) + (
        np.cos(altitude) * np.cos(latitude) * np.cos(azimuth)
    )
    west = -np.cos(altitude) * np.sin(azimuth)
    south = np.sin(altitude) * np.cos(latitude) - (
        np.cos(altitude) * np.sin(latitude) * np.cos(azimuth)
    )
    target_hour = np.degrees(np.arctan2(west, south))
    dec = np.degrees(np.arcsin(np.clip(sin_dec, -1.0, 1.0)))
    return np.asarray((hour - target_hour) % 360.0), np.asarray(dec)


def _sun_azimuth(site: Site, unix: float) -> float:
    """Return the Sun's azimuth in degrees, to a degree (mean longitude, equation of the centre)."""
    days = unix / 86400.0 - 10957.5  # from J2000.0
    anomaly = np.radians(357.529 + 0.98560028 * days)
    longitude = np.radians(
        280.459 + 0.98564736 * days + 1.915 * np.sin(anomaly) + 0.020 * np.sin(2 * anomaly)
    )
    tilt = np.radians(23.44)
    ra = np.degrees(np.arctan2(np.cos(tilt) * np.sin(longitude), np.cos(longitude)))
    dec = np.degrees(np.arcsin(np.sin(tilt) * np.sin(longitude)))
    return altaz_at(site, unix, float(ra) % 360.0, float(dec))[1]
