"""Between ICRS and the equatorial system that a mount's driver speaks."""

from __future__ import annotations

import erfa
import numpy as np
from alpaca.telescope import EquatorialCoordinateType

from toros.common.errors import DeviceError

_UNIX_EPOCH_JD = 2440587.5
# TT − UTC since 2017. A leap second more or less turns the equator by nothing one can measure.
_TT_MINUS_UTC_S = 69.184


def _tt(unix: float) -> tuple[float, float]:
    return _UNIX_EPOCH_JD, (unix + _TT_MINUS_UTC_S) / 86400.0


def to_mount(
    system: EquatorialCoordinateType, unix: float, ra_deg: float, dec_deg: float
) -> tuple[float, float]:
    """Return the right ascension (hours) and declination (degrees) that the driver wants.

    Topocentric coordinates are those of the true equator and equinox of date with annual
    aberration (``erfa.atci13`` and the equation of the origins); the diurnal part, 0.3″, is
    left out. "Other" is what drivers say that do not know: those of date are the common case.
    """
    if _is_icrs(system):
        return ra_deg / 15.0 % 24.0, dec_deg
    ra, dec, origins = erfa.atci13(
        np.radians(ra_deg), np.radians(dec_deg), 0.0, 0.0, 0.0, 0.0, *_tt(unix)
    )
    return float(np.degrees(erfa.anp(ra - origins)) / 15.0) % 24.0, float(np.degrees(dec))


def from_mount(
    system: EquatorialCoordinateType, unix: float, ra_h: float, dec_deg: float
) -> tuple[float, float]:
    """Return ICRS degrees for what the driver says (hours and degrees)."""
    if _is_icrs(system):
        return ra_h * 15.0 % 360.0, dec_deg
    moment = _tt(unix)
    origins = erfa.eo06a(*moment)
    ra, dec, _ = erfa.atic13(np.radians(ra_h * 15.0) + origins, np.radians(dec_deg), *moment)
    return float(np.degrees(erfa.anp(ra))), float(np.degrees(dec))


def _is_icrs(system: EquatorialCoordinateType) -> bool:
    if system == EquatorialCoordinateType.equJ2000:
        return True
    if system in (EquatorialCoordinateType.equTopocentric, EquatorialCoordinateType.equOther):
        return False
    raise DeviceError(
        f"the mount's driver speaks {system.name}: set it to J2000 or topocentric coordinates."
    )


def separation_deg(ra1_deg: float, dec1_deg: float, ra2_deg: float, dec2_deg: float) -> float:
    """Return the angle between two directions, degrees."""
    return float(np.degrees(erfa.seps(*np.radians([ra1_deg, dec1_deg, ra2_deg, dec2_deg]))))
