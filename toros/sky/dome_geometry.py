"""Where the aperture of a dome must point for a telescope that does not stand at its centre.

Lengths are metres, in the frame east, north, up with its origin at the centre of the dome's
sphere. The beam leaves the optical axis, which a German mount carries `german_axis_m` off its
polar axis, and the aperture must stand where the beam meets the sphere.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

from toros.sky.earth import Floats


class PierSide(enum.IntEnum):
    """The pointing state, numbered as ASCOM does.

    EAST is the normal state: the tube hangs east of the pier and looks west.
    """

    EAST = 0
    WEST = 1


@dataclass(frozen=True)
class DomeGeometry:
    """A dome and the place of the mount in it, metres.

    Parameters
    ----------
    radius_m : float
        Radius of the dome's sphere.
    slit_width_m : float
        Clear width of the aperture.
    pier_east_m, pier_north_m, pier_up_m : float
        Where the mount's axes meet, from the centre of the sphere.
    german_axis_m : float
        Distance of the optical axis from the polar axis; 0 for a fork or an alt-azimuth mount.
    beam_m : float
        Diameter of the telescope's beam.
    """

    radius_m: float = 2.5
    slit_width_m: float = 1.2
    pier_east_m: float = 0.0
    pier_north_m: float = 0.0
    pier_up_m: float = 0.0
    german_axis_m: float = 0.0
    beam_m: float = 0.6


def aperture(
    geometry: DomeGeometry,
    latitude_deg: float,
    alt_deg: float,
    azim_deg: float,
    side: PierSide | None = None,
) -> tuple[float, float]:
    """Return the altitude and azimuth, seen from the dome's centre, where the beam leaves it.

    Parameters
    ----------
    geometry : DomeGeometry
        The dome and the mount in it.
    latitude_deg : float
        Latitude of the site: it gives the polar axis.
    alt_deg, azim_deg : float
        Where the telescope points.
    side : PierSide, optional
        The pointing state of a German mount. By default the normal one: looking west when the
        target is west of the meridian, east when it is east.

    Returns
    -------
    alt_deg, azim_deg : float
        Of the centre of the aperture; 0 ≤ azim < 360.
    """
    pointing = _direction(alt_deg, azim_deg)
    origin = np.array([geometry.pier_east_m, geometry.pier_north_m, geometry.pier_up_m])
    origin = origin + _tube_offset(geometry, latitude_deg, pointing, side)
    along = float(origin @ pointing)
    inside = along**2 - float(origin @ origin) + geometry.radius_m**2
    if inside <= 0.0:
        raise ValueError("the telescope stands outside the dome: check the dome's geometry")
    east, north, up = origin + (np.sqrt(inside) - along) * pointing
    azimuth = float(np.degrees(np.arctan2(east, north)) % 360.0)
    return float(np.degrees(np.arctan2(up, np.hypot(east, north)))), azimuth


def aperture_azimuth(
    geometry: DomeGeometry,
    latitude_deg: float,
    alt_deg: float,
    azim_deg: float,
    side: PierSide | None = None,
) -> float:
    """Return only the azimuth of `aperture`."""
    return aperture(geometry, latitude_deg, alt_deg, azim_deg, side)[1]


def azimuth_tolerance(geometry: DomeGeometry, aperture_alt_deg: float) -> float:
    """Return how far, in degrees, the aperture may stand off before it clips the beam.

    The slit's half width less the beam's is swung about the dome's axis at the distance of the
    aperture from it, which shrinks towards the zenith; 180 where no azimuth can clip the beam.
    """
    spare = (geometry.slit_width_m - geometry.beam_m) / 2
    distance = geometry.radius_m * np.cos(np.radians(aperture_alt_deg))
    if spare <= 0.0:
        return 0.0
    if spare >= distance:
        return 180.0
    return float(np.degrees(np.arcsin(spare / distance)))


def azimuth_difference(first_deg: float, second_deg: float) -> float:
    """Return `first_deg` − `second_deg` the short way round, −180 ≤ difference < 180."""
    return (first_deg - second_deg + 180.0) % 360.0 - 180.0


def _direction(alt_deg: float, azim_deg: float) -> Floats:
    altitude, azimuth = np.radians(alt_deg), np.radians(azim_deg)
    return np.array(
        [
            np.cos(altitude) * np.sin(azimuth),
            np.cos(altitude) * np.cos(azimuth),
            np.sin(altitude),
        ]
    )


def _tube_offset(
    geometry: DomeGeometry, latitude_deg: float, pointing: Floats, side: PierSide | None
) -> Floats:
    """Return the vector from the polar axis to the optical axis, along the declination axis."""
    if geometry.german_axis_m == 0.0:
        return np.zeros(3)
    latitude = np.radians(latitude_deg)
    pole = np.array([0.0, np.cos(latitude), np.sin(latitude)])
    across = np.cross(pole, pointing)  # towards growing right ascension: east on the meridian
    length = float(np.linalg.norm(across))
    if length < 1e-9:
        # At the pole itself any hour angle will do: take the tube's resting place, over the pier.
        across, length = np.array([1.0, 0.0, 0.0]), 1.0
    if side is None:
        # East of the meridian the hour angle is negative, and the tube looks east from the west.
        side = PierSide.WEST if pointing[0] > 0.0 else PierSide.EAST
    sign = 1.0 if side is PierSide.EAST else -1.0
    offset: Floats = sign * geometry.german_axis_m * across / length
    return offset
