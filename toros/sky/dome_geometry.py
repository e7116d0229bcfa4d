"""Where the aperture of a dome must point for a telescope that does not stand at its centre.

Lengths are metres, in the frame east, north, up with its origin at the centre of the dome's
sphere. The beam leaves the optical axis, which a German mount carries `german_axis_m` off its
polar axis (an alt-azimuth mount `altaz_axis_m` off its azimuth axis), and the aperture must stand
where the beam meets the sphere.

The slit is the strip of the sphere within half its width of the vertical plane through its
azimuth; it goes on past the zenith by half its width. `clearance` follows the rim of the beam to
the sphere, and so knows exactly which azimuths of the slit let the whole beam out.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from toros.sky.earth import Floats

# Points on the rim of the beam. The polygon that they make is drawn around the beam, not in it.
RIM_POINTS = 48


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
    altaz_axis_m : float
        Of an alt-azimuth mount: distance of the optical axis from the azimuth axis, along the
        altitude axis, to the right as seen along the beam.
    """

    radius_m: float = 2.5
    slit_width_m: float = 1.2
    pier_east_m: float = 0.0
    pier_north_m: float = 0.0
    pier_up_m: float = 0.0
    german_axis_m: float = 0.0
    beam_m: float = 0.6
    altaz_axis_m: float = 0.0


@dataclass(frozen=True)
class Clearance:
    """Which azimuths of the slit let the whole beam out, each ``[T]`` degrees.

    Parameters
    ----------
    azim_deg : numpy.ndarray
        The middle of them, 0 ≤ azim < 360.
    half_deg : numpy.ndarray
        How far off the slit may stand to either side; 180: anywhere; negative: the beam is
        clipped even at `azim_deg`.
    """

    azim_deg: Floats
    half_deg: Floats


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
    pointing = _direction(np.atleast_1d(float(alt_deg)), np.atleast_1d(float(azim_deg)))
    origin = _origin(geometry, latitude_deg, pointing, side)
    east, north, up = _leave(geometry, origin, pointing)[0]
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


def clearance(
    geometry: DomeGeometry,
    latitude_deg: float,
    alt_deg: ArrayLike,
    azim_deg: ArrayLike,
    side: PierSide | None = None,
    margin_m: float = 0.0,
) -> Clearance:
    """Return which azimuths of the slit let the whole beam out, for T directions.

    Parameters
    ----------
    geometry, latitude_deg, side
        As `aperture`.
    alt_deg, azim_deg : array_like
        ``[T]`` where the telescope points, degrees.
    margin_m : float
        Kept between the beam and each edge of the slit.

    Notes
    -----
    A ray that meets the sphere at the horizontal distance ρ from the dome's axis, in azimuth α,
    passes a slit of width w at the azimuth A where ``|ρ sin(α − A)| ≤ w/2`` on the slit's side:
    ``|α − A| ≤ arcsin(w/2ρ)``, or any A if ρ ≤ w/2. All rays of the rim must pass.
    """
    pointing = _direction(np.atleast_1d(alt_deg), np.atleast_1d(azim_deg))
    origin = _origin(geometry, latitude_deg, pointing, side)
    east, north, _ = np.moveaxis(_leave(geometry, origin, pointing), -1, 0)
    centre = np.degrees(np.arctan2(east, north))
    rim = _leave(geometry, origin + _rim(geometry.beam_m, pointing), pointing)
    distance = np.hypot(rim[..., 0], rim[..., 1])
    half = geometry.slit_width_m / 2 - margin_m
    play = np.degrees(np.arcsin(np.clip(half / np.maximum(distance, 1e-9), -1.0, 1.0)))
    free = distance <= half
    off = azimuth_differences(np.degrees(np.arctan2(rim[..., 0], rim[..., 1])), centre)
    low = np.where(free, -180.0, off - play).max(axis=0)
    high = np.where(free, 180.0, off + play).min(axis=0)
    middle = (centre + (low + high) / 2) % 360.0 % 360.0
    return Clearance(middle, np.minimum((high - low) / 2, 180.0))


def azimuth_difference(first_deg: float, second_deg: float) -> float:
    """Return `first_deg` − `second_deg` the short way round, −180 ≤ difference < 180."""
    return (first_deg - second_deg + 180.0) % 360.0 - 180.0


def azimuth_differences(first_deg: Floats, second_deg: Floats) -> Floats:
    """Return `azimuth_difference` of arrays."""
    differences: Floats = (first_deg - second_deg + 180.0) % 360.0 - 180.0
    return differences


def _direction(alt_deg: ArrayLike, azim_deg: ArrayLike) -> Floats:
    """Return unit vectors ``[T, 3]``."""
    altitude, azimuth = np.radians(alt_deg), np.radians(azim_deg)
    return np.stack(
        [
            np.cos(altitude) * np.sin(azimuth),
            np.cos(altitude) * np.cos(azimuth),
            np.sin(altitude),
        ],
        axis=-1,
    )


def _leave(geometry: DomeGeometry, origin: Floats, pointing: Floats) -> Floats:
    """Return where rays from `origin` along `pointing` meet the sphere, ``[..., 3]``."""
    along = (origin * pointing).sum(axis=-1)
    inside = along**2 - (origin**2).sum(axis=-1) + geometry.radius_m**2
    if np.any(inside <= 0.0) or np.any((origin**2).sum(axis=-1) >= geometry.radius_m**2):
        raise ValueError("the telescope stands outside the dome: check the dome's geometry")
    leaves: Floats = origin + (np.sqrt(inside) - along)[..., None] * pointing
    return leaves


def _rim(beam_m: float, pointing: Floats) -> Floats:
    """Return the corners ``[R, T, 3]`` of a polygon around the beam, from its axis."""
    # Any vector that is not along the beam spans the plane across it.
    steep = np.abs(pointing[:, 2:]) > 0.9
    aside = np.where(steep, [1.0, 0.0, 0.0], [0.0, 0.0, 1.0])
    first = np.cross(pointing, aside)
    first /= np.linalg.norm(first, axis=-1, keepdims=True)
    second = np.cross(pointing, first)
    angle = np.linspace(0.0, 2 * np.pi, RIM_POINTS, endpoint=False)[:, None, None]
    radius = beam_m / 2 / np.cos(np.pi / RIM_POINTS)
    corners: Floats = radius * (np.cos(angle) * first + np.sin(angle) * second)
    return corners


def _origin(
    geometry: DomeGeometry, latitude_deg: float, pointing: Floats, side: PierSide | None
) -> Floats:
    """Return a point ``[T, 3]`` of the optical axis for each direction."""
    origin = np.array([geometry.pier_east_m, geometry.pier_north_m, geometry.pier_up_m])
    if geometry.altaz_axis_m:
        return origin + geometry.altaz_axis_m * _across(pointing, np.array([0.0, 0.0, 1.0]), -1.0)
    if not geometry.german_axis_m:
        return np.broadcast_to(origin, pointing.shape)
    latitude = np.radians(latitude_deg)
    pole = np.array([0.0, np.cos(latitude), np.sin(latitude)])
    # Towards growing right ascension: east on the meridian.
    across = _across(pointing, pole, 1.0)
    if side is None:
        # East of the meridian the hour angle is negative, and the tube looks east from the west.
        sign = np.where(pointing[:, :1] > 0.0, -1.0, 1.0)
    else:
        sign = np.full((1, 1), 1.0 if side is PierSide.EAST else -1.0)
    return origin + sign * geometry.german_axis_m * across


def _across(pointing: Floats, axis: Floats, sign: float) -> Floats:
    """Return unit vectors ``[T, 3]`` across both the mount's first axis and the beam."""
    across = sign * np.cross(axis, pointing)
    length = np.linalg.norm(across, axis=-1, keepdims=True)
    # Along the axis itself any direction will do: take the tube's resting place.
    resting = np.array([1.0, 0.0, 0.0])
    result: Floats = np.where(length < 1e-9, resting, across / np.maximum(length, 1e-9))
    return result
