"""How bright the empty sky is: night, twilight, day and Moon."""

from __future__ import annotations

import math

import numpy as np

from toros.simulator.astrometry import Moon, separation_deg

# Zenith brightness against the altitude of the Sun: the polynomial of Patat et al. (2006, A&A 455,
# 385) for V between -5° and -15°, carried on to the day and to the end of twilight.
_SUN_ALT = np.array([-90.0, -18.0, -15.0, -12.0, -10.0, -8.0, -5.0, 0.0, 10.0, 30.0, 90.0])
_SUN_MAG = np.array([40.0, 24.0, 21.3, 19.7, 18.0, 15.9, 11.84, 6.5, 4.8, 3.6, 3.0])


def flux(mag: float) -> float:
    """Return the brightness relative to magnitude zero."""
    return float(10.0 ** (-0.4 * mag))


def twilight_mag(sun_alt_deg: float) -> float:
    """Return the sunlit part of the zenith sky, mag per square arcsecond."""
    return float(np.interp(sun_alt_deg, _SUN_ALT, _SUN_MAG))


def sky_airmass(alt_deg: float) -> float:
    """Return the optical path through the air glow (Krisciunas & Schaefer 1991, eq. 3)."""
    sin_z = math.cos(math.radians(max(alt_deg, 0.0)))
    return float((1.0 - 0.96 * sin_z**2) ** -0.5)


def moonlight_mag(moon: Moon, ra_deg: float, dec_deg: float, alt_deg: float, k: float) -> float:
    """Return scattered moonlight, mag per square arcsecond (Krisciunas & Schaefer 1991).

    Parameters
    ----------
    moon : Moon
        Where the Moon is.
    ra_deg, dec_deg, alt_deg : float
        The direction of the sky.
    k : float
        Extinction, mag per airmass.
    """
    if moon.alt_deg <= 0.0 or alt_deg <= 0.0:
        return 40.0
    phase = abs(moon.phase_angle_deg)
    moon_light = 10.0 ** (-0.4 * (3.84 + 0.026 * phase + 4e-9 * phase**4))
    away = separation_deg(moon.ra_deg, moon.dec_deg, ra_deg, dec_deg)
    rayleigh = 10**5.36 * (1.06 + math.cos(math.radians(away)) ** 2)
    mie = 10 ** (6.15 - max(away, 1.0) / 40.0)
    nanolamberts = (
        (rayleigh + mie)
        * moon_light
        * 10 ** (-0.4 * k * sky_airmass(moon.alt_deg))
        * (1.0 - 10 ** (-0.4 * k * sky_airmass(alt_deg)))
    )
    return (20.7233 - math.log(max(nanolamberts, 1e-9) / 34.08)) / 0.92104


def sky_mag(
    dark_mag: float,
    extinction_mag: float,
    *,
    sun_alt_deg: float,
    moon: Moon,
    direction: tuple[float, float, float],
) -> float:
    """Return the brightness of the sky in a direction, mag per square arcsecond.

    Parameters
    ----------
    dark_mag : float
        Moonless night sky at the zenith.
    extinction_mag : float
        Extinction, mag per airmass.
    sun_alt_deg : float
        Altitude of the Sun.
    moon : Moon
        Where the Moon is.
    direction : tuple of float
        ra, dec and altitude, degrees.
    """
    ra_deg, dec_deg, alt_deg = direction
    path = sky_airmass(alt_deg)
    # Krisciunas & Schaefer (1991), eq. 2: a longer path glows more and is dimmed more.
    night = flux(dark_mag) * path * 10 ** (-0.4 * extinction_mag * (path - 1.0))
    twilight = flux(twilight_mag(sun_alt_deg))
    moonlight = flux(moonlight_mag(moon, ra_deg, dec_deg, alt_deg, extinction_mag))
    return -2.5 * math.log10(night + twilight + moonlight)
